"""Reading a run into facts: its records, its journal, its log and its pictures, each once.

Rule: nothing is written, locked or asked of the API, and memory does not grow with the run.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass

import msgspec

from batcher.adapters.rundir import RunDirectory
from batcher.adapters.sqlite import SqliteJournal
from batcher.adapters.sqlite.history import Answers, History
from batcher.report.closing import next_commands
from batcher.report.page import events, facts
from batcher.report.page.about import about, limit
from batcher.report.page.facts import Answer, Facts, Stage
from batcher.report.page.source import Source, Telling
from batcher.report.page.tallies import LATEST, Tallies
from batcher.report.page.thumbs import contact_sheet
from batcher.report.page.timeline import TimeBins
from batcher.report.records import read_outcomes
from batcher.report.summary import Summary

VERDICTS = {
    None: "no answer yet",
    "accept": "accepted: a job was made",
    "withdraw": "no job was made: tried again",
    "refuse": "refused for good",
    "exhaust": "refused once too often: given up for now",
    "doubt": "answer lost: in doubt",
    "resubmit": "answer lost: sent again by decision",
}


def gather(source: Source, summary: Summary) -> Facts:
    """Read everything that the page of a run shows; *summary* is how the run stands.

    Raises `StorageError` if the journal cannot be read.
    """
    directory, tell, bins = source.directory, source.tell, TimeBins()
    tallies = Tallies(bins, tell)
    journal = _read_journal(directory, bins, tell)
    read_outcomes(directory.path, journal.lengths, tallies)
    log = events.read_log(directory.log, bins, tell)
    ends_are_sure = bins.totals[events.LOGGED] == bins.totals[LATEST]
    ends = (facts.SUCCEEDED, events.LOGGED if ends_are_sure else LATEST)
    sample = tallies.pictures
    return Facts(
        about=about(source, journal.processes),
        summary=_told(summary, tell),
        commands=tuple(next_commands(summary, directory.path, source.program)),
        columns=tuple(bins.columns(facts.STARTED, ends)),
        ends_are_sure=ends_are_sure,
        limit=limit(source),
        in_flight_max=source.settings.in_flight,
        stages=tuple(_stages(tallies)),
        reads=tuple(sorted(tallies.reads.items())),
        errors=tallies.errors,
        answers=journal.answers,
        log=log,
        pictures=contact_sheet(
            sample.items, files=sample.seen, folders=source.folders, page=source.page, tell=tell
        ),
        unreadable=tallies.unreadable,
    )


@dataclass(frozen=True, slots=True)
class _Journal:
    """What the journal adds to the records."""

    lengths: dict[str, int | None]
    answers: tuple[Answer, ...] = ()
    processes: int = 0


def _read_journal(directory: RunDirectory, bins: TimeBins, tell: Telling) -> _Journal:
    if not directory.journal.exists():
        return _Journal({})

    with closing(SqliteJournal.read(directory.journal)) as journal:
        lengths = journal.outputs()

    with closing(History.read(directory.journal)) as history:
        for submits in history.submits():
            bins.add(facts.SUBMITTED, submits.at, submits.number)
            if submits.is_throttled:
                bins.add(facts.THROTTLED, submits.at, submits.number)
            elif submits.verdict not in (None, "accept"):
                bins.add(facts.TROUBLED, submits.at, submits.number)

        for at, count in history.open_rows():
            bins.add(facts.STARTED, at, count)

        answers = tuple(Answer(_answer_text(a, tell), a.number) for a in history.answers())
        return _Journal(lengths, answers, history.processes())


def _answer_text(answer: Answers, tell: Telling) -> str:
    parts = [VERDICTS.get(answer.verdict, tell(answer.verdict, 40))]
    if answer.http_status is not None:
        parts.append(f"HTTP {answer.http_status}")

    if answer.kind is not None:
        parts.append(tell(answer.kind, 40))

    return ", ".join(parts)


def _stages(tallies: Tallies) -> Iterator[Stage]:
    for name, meaning, histogram in (
        ("submit answered", "from the submit until its answer", tallies.answered),
        ("job", "from the answer until a status read saw the end", tallies.job),
        ("result fetched", "from that read until the result was safe", tallies.collected),
        ("whole row", "from its last submit until its result was safe", tallies.whole),
        ("between reads", "job time divided by its status reads", tallies.spacing),
    ):
        times = histogram.distribution()
        if times is not None:
            yield Stage(name, meaning, times)


def _told(summary: Summary, tell: Telling) -> Summary:
    """Return the summary with its texts fit to be shown."""
    stopped = summary.stopped
    if stopped is not None:
        stopped = msgspec.structs.replace(
            stopped,
            reason=tell(stopped.reason, 40),
            message=tell(stopped.message, 600),
            resume_at=None if stopped.resume_at is None else tell(stopped.resume_at, 40),
        )

    waiting = None if summary.waiting is None else tell(summary.waiting, 300)
    return msgspec.structs.replace(summary, stopped=stopped, waiting=waiting)
