"""How a run went, in one sentence, why, and what to do next: for who looks for ten seconds.

Rule: it judges by the summary and the kinds of error alone, and says nothing that they do not. What
to type comes from where the closing lines take it.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from batcher.core.model import StopReason
from batcher.report.advice import MEANINGS
from batcher.report.closing import REASONS
from batcher.report.page.facts import Facts
from batcher.report.page.words import share_text
from batcher.report.summary import Stopped, Summary
from batcher.report.text import command_text, count_text, duration_text, plain, rows_text

Tone = Literal["good", "mixed", "bad", "going"]
BAD_SHARE = 0.5  # of the rows: with less successes a run went badly
AS_WISHED = (StopReason.BUDGET, StopReason.DEADLINE, StopReason.INTERRUPTED)
MESSAGE_CHARS = 140
WORDS = {"good": "All good", "mixed": "Needs a look", "bad": "Went wrong", "going": "Running"}
MEANT = {
    "doubt": "See the rows in doubt, look for their jobs at the API, and decide each",
    "resume": "Go on where it stopped",
    "retry": "Take the exhausted rows up again",
}


@dataclass(frozen=True, slots=True)
class Step:
    """Something to do, and what to type for it."""

    text: str
    command: str | None = None


@dataclass(frozen=True, slots=True)
class Verdict:
    """The judgement."""

    tone: Tone
    word: str  # the tone for who sees no colour
    sentence: str
    reasons: tuple[str, ...]
    steps: tuple[Step, ...]


def judge(facts: Facts) -> Verdict:
    """Say how a run went."""
    summary = facts.summary
    return Verdict(
        tone=tone_of(summary),
        word=word_of(summary),
        sentence=sentence_of(summary),
        reasons=tuple(_reasons(facts)),
        steps=tuple(_steps(facts)),
    )


def word_of(summary: Summary) -> str:
    """Return the tone for who sees no colour."""
    return "Stopped" if summary.state == "stopped" else WORDS[tone_of(summary)]


def tone_of(summary: Summary) -> Tone:
    """Return how a run went, in one of four colours."""
    if summary.state == "running":
        return "going"

    if summary.state == "finished" and summary.succeeded == summary.rows:
        return "good"

    if summary.ended and summary.succeeded < BAD_SHARE * summary.ended:
        return "bad"

    was_wished = summary.stopped is not None and summary.stopped.reason in AS_WISHED
    return "mixed" if summary.state == "finished" or was_wished else "bad"


def sentence_of(summary: Summary) -> str:
    """Return how a run went, in one sentence."""
    took = f" in {duration_text(summary.wall_s)}" if summary.wall_s >= 1 else ""
    rows, good = summary.rows, summary.succeeded
    if summary.state == "running":
        since = f" after {duration_text(summary.wall_s)}" if summary.wall_s >= 1 else ""
        return f"{count_text(summary.ended)} of {rows_text(rows)} have ended{since}."

    if summary.state == "stopped":
        return f"Stopped before its end: {count_text(summary.ended)} of {rows_text(rows)} ended."

    if not rows:
        return "There was nothing to do: the manifest has no rows."

    if good == rows:
        return f"{'The row' if rows == 1 else f'All {rows_text(rows)}'} succeeded{took}."

    if not good:
        return f"None of {rows_text(rows)} succeeded{took}."

    return f"{count_text(good)} of {rows_text(rows)} succeeded ({share_text(good, rows)}){took}."


def _reasons(facts: Facts) -> Iterator[str]:
    summary = facts.summary
    if summary.state == "stopped":
        yield stop_of(summary.stopped)

    if summary.waiting is not None:
        yield f"Now: {summary.waiting}."

    parts = [
        (summary.failed, "failed"),
        (summary.exhausted, "exhausted: given up for now"),
        (summary.in_doubt, "in doubt: sent, answer lost, perhaps paid for"),
        (summary.pending, "still open" if summary.state == "running" else "pending"),
    ]
    told = [f"{count_text(number)} {word}" for number, word in parts if number]
    if told:
        yield f"{'; '.join(told)}."

    lost = summary.failed + summary.exhausted
    if facts.errors and lost:
        # In doubt has been told; what else went wrong most often?
        often = next((e for e in facts.errors if e.kind != "unknown_outcome"), facts.errors[0])
        meaning = MEANINGS.get(often.kind, often.kind)
        message = plain(often.example.message, MESSAGE_CHARS)
        yield f"Most often: {meaning} ({rows_text(often.rows)}): “{message}”"


def stop_of(stopped: Stopped | None) -> str:
    """Return why a run stopped before its end."""
    if stopped is None:
        return "Nobody says why: the process was ended from outside, or the machine was."

    meaning = next((text for word, text in REASONS.items() if word == stopped.reason), None)
    back = f" Come back after {stopped.resume_at}." if stopped.resume_at else ""
    why = stopped.message if meaning is None else f"{meaning}: {stopped.message}"
    return f"{why[:1].upper()}{why[1:].rstrip('.')}.{back}"


def _steps(facts: Facts) -> Iterator[Step]:
    about, summary = facts.about, facts.summary
    if summary.state == "running":
        watch = command_text(about.program, "status", about.run, "--watch")
        yield Step("Watch it", watch)
        yield Step("Make this page anew", command_text(about.program, "report", about.run))

    for command in facts.commands:
        words = shlex.split(command, comments=True)
        yield Step(MEANT.get(words[1], "Then"), command)

    if summary.refunds.unconfirmed:
        many = summary.refunds.unconfirmed
        find = command_text(about.program, "refunds", about.run, "--unconfirmed")
        jobs = "1 failed job" if many == 1 else f"{count_text(many)} failed jobs"
        yield Step(f"The API does not confirm the refund of {jobs}: ask its support", find)

    if summary.failed and summary.state != "running":
        mend = "Mend what the table of errors says, then run the failed rows alone"
        yield Step(mend, about.rerun)
