"""What stands on the screen when a run ends, and what `batcher status` prints: the same lines.

Rule: numbers first, then what a person must look at, then the next commands, ready to paste. All
but paths and commands fits 80 columns.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from batcher.core.lifecycle import OUTCOMES
from batcher.core.model import ErrorKind, StopReason
from batcher.core.money import nanos
from batcher.core.stats import ErrorView
from batcher.report.held import HELD_S_MIN, held_lines
from batcher.report.money import money_text
from batcher.report.summary import Cost, Stopped, Summary
from batcher.report.text import (
    command_text,
    count_text,
    duration_text,
    folded,
    path_word,
    plain,
    rows_text,
    stop_text,
    unbroken,
)

ERRORS_MAX = 3
REASONS = {
    StopReason.UNAUTHORIZED: "the API does not accept the key",
    StopReason.FORBIDDEN: "the key may not do this",
    StopReason.OUT_OF_CREDITS: "the account is out of credits",
    StopReason.DEADLINE: "the time is up",
    StopReason.BUDGET: "the run may make no more jobs",
    StopReason.FAILURE_LIMIT: "too many rows failed",
    StopReason.THROTTLED: "the API asks for a long wait",
    StopReason.UNAVAILABLE: "the API cannot be reached",
    StopReason.WORKER_LOST: "a worker process died again and again",
}
BUDGETS = {"--max-cost": "AMOUNT", "--max-jobs": "N"}  # flag -> what its help calls the value


def closing_lines(
    summary: Summary,
    directory: Path,
    title: str,
    errors: Mapping[ErrorKind, ErrorView] = {},
    program: str = "batcher",
    *,
    could_be_called: bool = False,
) -> list[str]:
    """Return everything that a person wants to know of a run that this process brought here.

    *errors* are those that this process met; they are told if not every row succeeded. *program*
    is what to type for `batcher` where the reader stands. *could_be_called*: webhooks would have
    told of jobs whose answer was lost, and the run goes without them.
    """
    is_good = summary.succeeded == summary.rows
    return [
        *state_lines(summary, directory, title, program, could_be_called=could_be_called),
        *([] if is_good else error_lines(errors)),
        *(f"next: {command}" for command in next_commands(summary, directory, program)),
        *_report(summary, directory, program),
    ]


def state_lines(
    summary: Summary,
    directory: Path,
    title: str,
    program: str = "batcher",
    *,
    could_be_called: bool = False,
) -> list[str]:
    """Return how a run stands."""
    word = "for" if summary.state == "running" else "after"
    took = f" {word} {duration_text(summary.wall_s)}" if summary.wall_s else ""
    lines = [
        f"{plain(title)}: {summary.state}{took}",
        *([] if summary.waiting is None else [f"now: {plain(summary.waiting)}"]),
        *_table(summary, directory),
        *_calls(summary),
        *_money(summary),
        *(held_lines(summary.held_back) if summary.wall_s >= HELD_S_MIN else ()),
        *_stop(summary.stopped),
        *_doubts(summary, could_be_called=could_be_called),
        *_look_at(summary, directory, program),
    ]
    return [part for line in lines for part in folded(line)]


def error_lines(errors: Mapping[ErrorKind, ErrorView]) -> Iterator[str]:
    """Yield the most frequent kinds of error, how often each was met, and an example."""
    often = sorted(errors.items(), key=lambda item: -item[1].count)[:ERRORS_MAX]
    if often:
        yield "errors, the most frequent first:"

    width = max((len(kind) for kind, _ in often), default=0)
    for kind, error in often:
        yield from folded(f"  {kind:<{width}}  {count_text(error.count)}  {plain(error.example)}")


def next_commands(summary: Summary, directory: Path, program: str = "batcher") -> list[str]:
    """Return the commands that make sense now, the most important first."""
    if summary.state == "running":
        return []

    run, commands = path_word(directory), []
    if summary.in_doubt:
        commands.append(command_text(program, "doubt", "list", run))

    if summary.state == "stopped":
        commands.append(command_text(program, "resume", run) + _larger(summary.stopped))

    if summary.exhausted:
        commands.append(command_text(program, "retry", run))

    return commands


def _report(summary: Summary, directory: Path, program: str) -> Iterator[str]:
    """Name the page that tells the rest."""
    if summary.state != "running":
        yield f"report: {command_text(program, 'report', path_word(directory))}"


def _table(summary: Summary, directory: Path) -> Iterator[str]:
    counts = {state: int(getattr(summary, state)) for state in OUTCOMES}
    width = max(len(count_text(n)) for n in (*counts.values(), summary.rows, summary.pending))
    yield f"  {'rows':<10} {count_text(summary.rows):>{width}}"
    for state, count in counts.items():
        where = f"  {plain(directory / f'{state}.jsonl', 1_000)}" if count else ""
        yield unbroken(f"  {_word(state):<10} {count_text(count):>{width}}{where}")

    if summary.pending:
        open_jobs = f"  {_open_jobs(summary)}" if summary.accepted else ""
        yield f"  {'pending':<10} {count_text(summary.pending):>{width}}{open_jobs}"


def _open_jobs(summary: Summary) -> str:
    """Say what becomes of jobs that are paid for and have no outcome yet."""
    said = f"{count_text(summary.accepted)} of them accepted"
    if summary.state == "running":
        return said

    return f"{said}: their jobs go on; resume collects them"


def _calls(summary: Summary) -> Iterator[str]:
    yield (
        f"  jobs accepted {count_text(summary.jobs_accepted)}, "
        f"submits {count_text(summary.submits)}, "
        f"status reads {count_text(summary.status_reads)}, "
        f"throttled {count_text(summary.throttled)}"
    )
    if summary.jobs_claimed:
        yield f"  {_jobs_text(summary.jobs_claimed)} claimed by webhook calls"


def _money(summary: Summary) -> Iterator[str]:
    """Say what the run cost, and what the API said of the money of failed jobs."""
    if summary.cost is not None:
        yield f"  {_cost_text(summary.cost)}"

    refunds = summary.refunds
    told = [
        f"{count_text(count)} {word}"
        for count, word in (
            (refunds.done, "done"),
            (refunds.already_done, "already done"),
            (refunds.unconfirmed, "unconfirmed"),
        )
        if count
    ]
    if told:
        yield f"  refunds: {', '.join(told)}"


def _cost_text(cost: Cost) -> str:
    """Return the sums in one line; parts that are nothing are left out."""
    parts = {
        "refunded": cost.refunded,
        "unconfirmed": cost.unconfirmed,
        "in doubt": cost.in_doubt,
        "perhaps besides, for submits sent again after a 500": cost.unproven,
    }
    told = [f"{word} {money_text(nanos(part))}" for word, part in parts.items() if part]
    charged = money_text(nanos(cost.charged), cost.currency)
    return f"charged {', '.join([charged, *told])} (prices of {_jobs_text(cost.jobs_priced)})"


def _stop(stopped: Stopped | None) -> Iterator[str]:
    if stopped is None:
        return

    meaning = next((text for word, text in REASONS.items() if word == stopped.reason), "")
    yield f"stopped: {plain(stop_text(stopped.reason, stopped.message, meaning), 600)}"
    if stopped.resume_at is not None:
        yield f"come back after {plain(stopped.resume_at)}"


def _larger(stopped: Stopped | None) -> str:
    """Return the flag without which a run would stop again at once, and what to put there."""
    if stopped is None or stopped.reason != StopReason.BUDGET:
        return ""

    for flag, word in BUDGETS.items():
        if flag in stopped.message:
            return f" {flag} {word}  # {word}: more than before, or none"

    return ""


def _doubts(summary: Summary, *, could_be_called: bool) -> Iterator[str]:
    """Say that rows are in doubt, and how another run would hear of their jobs."""
    if not summary.in_doubt:
        return

    yield (
        f"{rows_text(summary.in_doubt)} in doubt: answer lost, perhaps paid for; "
        "not sent again until you decide"
    )
    if could_be_called and summary.state == "finished":
        yield "webhooks would tell of such jobs: --webhook-listen (docs/webhooks.md)"


def _look_at(summary: Summary, directory: Path, program: str) -> Iterator[str]:
    """Say what only a person can decide."""
    words = ("refunds", path_word(directory), "--unconfirmed")
    find = unbroken(command_text(program, *words))
    if summary.refunds.unconfirmed:
        yield f"{_jobs_text(summary.refunds.unconfirmed)} whose refund somebody must check: {find}"
    elif summary.cost is not None and summary.cost.in_doubt and not summary.in_doubt:
        yield f"money of lost answers whose rows went on, which somebody must check: {find}"

    if summary.state == "finished" and not summary.rows:
        yield "warning: the manifest has no rows"

    if summary.pending and summary.state == "finished":
        yield f"{rows_text(summary.pending)} pending that are no longer in the manifest"


def _jobs_text(number: int) -> str:
    """Return `1 job` or `1,234 jobs`."""
    return f"{count_text(number)} {'job' if number == 1 else 'jobs'}"


def _word(state: str) -> str:
    return state.replace("_", " ")
