"""Exit codes: what a script learns of a run from one number.

0    every row succeeded
1    a bug in batcher
2    usage, configuration or manifest cannot be used
3    finished, but rows failed, are exhausted, in doubt, or are no longer in the manifest;
     with `--fail-on`: more of them than that allows
4    stopped before the end and resumable; `summary.json` says why
5    another process owns the run directory
74   journal or disk failed
130  interrupted by SIGINT, resumable
143  interrupted by SIGTERM or SIGHUP, resumable
141  a command that only prints: its reader has gone, as if killed by SIGPIPE
"""

from __future__ import annotations

from collections.abc import Sequence
from signal import SIGINT, SIGTERM, Signals
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # what it takes to print an exit code is not needed to print `--help`
    from batcher.cli.night.fail_on import Condition
    from batcher.report.summary import Summary

OK = 0
BUG = 1
UNUSABLE = 2
SOME_ROWS = 3
STOPPED = 4
PIPE_CLOSED = 141
SIGNAL_BASE = 128


def run_exit_code(
    summary: Summary, signal: Signals | None = None, fail_on: Sequence[Condition] = ()
) -> int:
    """Return the exit code of a run that came to a regular end.

    *signal* is what a person or the system sent; it explains the end even if the run was stopping
    for another reason by then. Pending rows without a reason are rows that left the manifest: they
    have no outcome, so the run did not do what it was asked to do. With *fail_on* a run that was
    not stopped is good unless one of these conditions holds.
    """
    if signal is not None:
        return signal_exit_code(signal)

    if summary.stopped is not None:
        interrupted = summary.stopped.reason == "interrupted"
        return signal_exit_code(SIGINT) if interrupted else STOPPED

    if fail_on:
        return SOME_ROWS if any(condition.holds(summary) for condition in fail_on) else OK

    return OK if summary.succeeded == summary.ended and not summary.pending else SOME_ROWS


def needs_person(summary: Summary, code: int) -> bool:
    """Return whether somebody must look at how a run ended, although its exit code may be 0.

    Rows in doubt and money that nobody knows of wait for a person whatever `--fail-on` lets pass;
    and a manifest without rows is more often a broken export than a quiet day.
    """
    money = summary.refunds.unconfirmed or (summary.cost is not None and summary.cost.in_doubt)
    return bool(code or summary.in_doubt or money or not summary.rows)


def signal_exit_code(signal: Signals) -> int:
    """Return 130 for SIGINT and 143 for any other signal that ends a run."""
    return SIGNAL_BASE + (SIGINT if signal is SIGINT else SIGTERM)
