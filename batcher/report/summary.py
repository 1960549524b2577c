"""The summary of a run: the one object that `summary.json` holds and `status --json` prints.

Rule: counts are the journal's, so they are right after any crash; only why the run stopped and how
long it took come from `summary.json` itself. `wall_s` is the time that all processes of a run took
together: the file's, as the process found it, plus its own.

    state      running   a process owns the run directory
               finished  every row of the manifest has its outcome
               stopped   anything else: `resume` goes on
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Literal

import msgspec

from batcher.adapters.atomic import write_atomically
from batcher.core.binding import Held
from batcher.core.lifecycle import State
from batcher.core.model import Stop, iso
from batcher.core.money import amount
from batcher.core.stats import submits_of
from batcher.report.held import HeldBack, held_back_of

NAME = "summary.json"
VERSION = 1
WAITING_AGE_S_MAX = 30.0  # several times as long as a run takes to replace its file

RunState = Literal["running", "finished", "stopped"]


class Stopped(msgspec.Struct, frozen=True):
    """Why a run stopped before its end."""

    reason: str
    message: str
    resume_at: str | None = None


class Refunds(msgspec.Struct, frozen=True):
    """What the API said of the money of jobs that failed, in rows."""

    done: int = 0
    already_done: int = 0
    unconfirmed: int = 0


class Cost(msgspec.Struct, frozen=True, kw_only=True):
    """What the run cost as far as prices are known, in units of the currency.

    `charged` holds every submit that made a job or may have; `refunded`, `unconfirmed` and
    `in_doubt` are parts of it. `unproven` is not: those were refused, as the API says.
    """

    currency: str | None = None  # None: the API names none
    charged: float = 0.0
    refunded: float = 0.0  # what the API says it gave back
    net: float = 0.0  # charged less refunded
    unconfirmed: float = 0.0  # of failed jobs: a person must look whether it came back
    in_doubt: float = 0.0  # of submits of which nobody knows whether they made a job
    unproven: float = 0.0  # of submits sent again by the API's advice, without proof of no job
    jobs_priced: int = 0  # submits that these sums add up; of all others no price is known


class Summary(msgspec.Struct, frozen=True, kw_only=True):
    """Everything about a run in numbers."""

    v: int = VERSION
    state: RunState = "stopped"
    rows: int = 0
    succeeded: int = 0
    failed: int = 0
    exhausted: int = 0
    in_doubt: int = 0
    pending: int = 0  # rows read so far without an outcome
    accepted: int = 0  # those of them that have a job: it is paid for, and `resume` collects it
    stopped: Stopped | None = None
    waiting: str | None = None  # while it runs: what holds it back; None: nothing is known
    jobs_accepted: int = 0
    jobs_claimed: int = 0  # those of them that a webhook call told of, not the submit's answer
    submits: int = 0
    status_reads: int = 0
    throttled: int = 0
    refunds: Refunds = Refunds()
    cost: Cost | None = None  # None: not one price is known
    held_back: tuple[HeldBack, ...] = ()  # the longest first
    wall_s: float = 0.0
    updated: str | None = None

    @property
    def ended(self) -> int:
        """Rows that have an outcome."""
        return self.succeeded + self.failed + self.exhausted + self.in_doubt

    def as_json(self) -> bytes:
        """Return the object as one line of JSON, without the newline."""
        return msgspec.json.encode(self)


def summary_of(
    counters: Mapping[str, int],
    *,
    state: RunState,
    stopped: Stopped | None,
    wall_s: float,
    at: float | None = None,
    currency: str | None = None,
    waiting: str | None = None,
) -> Summary:
    """Build the summary of a run from the journal's *counters*. The only place that does.

    *currency* is what `report.money.currency_of` the run says.
    """

    def count(name: str) -> int:
        return counters.get(name, 0)

    going = (State.PENDING, State.INTENT, State.ACCEPTED, State.READY)
    return Summary(
        state=state,
        rows=count("rows"),
        succeeded=count("succeeded"),
        failed=count("failed"),
        exhausted=count("exhausted"),
        in_doubt=count("in_doubt"),
        pending=sum(count(name) for name in going),
        accepted=count(State.ACCEPTED) + count(State.READY),
        stopped=stopped,
        waiting=waiting,
        jobs_accepted=count("jobs_accepted"),
        jobs_claimed=count("jobs_claimed"),
        submits=submits_of(counters),
        status_reads=count("status_reads"),
        throttled=count("throttled"),
        refunds=Refunds(
            done=count("refund_done"),
            already_done=count("refund_already_done"),
            unconfirmed=count("refund_unconfirmed"),
        ),
        cost=_cost(counters, currency),
        wall_s=round(wall_s, 3),
        updated=iso(at),
    )


def _cost(counters: Mapping[str, int], currency: str | None) -> Cost | None:
    """Return the journal's sums of money as amounts, or None if it knows of no price."""
    if not counters.get("jobs_priced"):
        return None

    charged, refunded = counters.get("cost", 0), counters.get("cost_refunded", 0)
    return Cost(
        currency=currency,
        charged=amount(charged),
        refunded=amount(refunded),
        net=amount(charged - refunded),
        unconfirmed=amount(counters.get("cost_unconfirmed", 0)),
        in_doubt=amount(counters.get("cost_in_doubt", 0)),
        unproven=amount(counters.get("cost_unproven", 0)),
        jobs_priced=counters["jobs_priced"],
    )


def stopped_by(stop: Stop | None) -> Stopped | None:
    """Return why a run stopped, as the summary writes it."""
    return None if stop is None else Stopped(stop.reason, stop.message, iso(stop.resume_at))


def state_of(*, is_owned: bool, pending: int, last: Summary | None) -> RunState:
    """Say how a run stands, seen from outside.

    Nothing pending is not enough to be finished: a process that was killed may not have read its
    manifest to the end. So the last process must have said that it finished, and nobody must have
    made rows pending again since (`doubt`). What it left pending has vanished from the manifest.
    """
    if is_owned:
        return "running"

    finished = last is not None and last.state == "finished" and last.pending == pending
    return "finished" if finished else "stopped"


def seen_from_outside(
    counters: Mapping[str, int],
    last: Summary | None,
    *,
    is_owned: bool,
    currency: str | None = None,
) -> Summary:
    """Build the summary of a run that another process may be busy with, or that was killed."""
    found = summary_of(counters, state="stopped", stopped=None, wall_s=0.0, currency=currency)
    state = state_of(is_owned=is_owned, pending=found.pending, last=last)
    return msgspec.structs.replace(
        found,
        state=state,
        stopped=last.stopped if last is not None and state == "stopped" else None,
        waiting=last.waiting if last is not None and state == "running" else None,
        held_back=() if last is None else last.held_back,
        wall_s=0.0 if last is None else last.wall_s,
        updated=None if last is None else last.updated,
    )


def brought_to(summary: Summary, now: float, owned_since: str | None) -> Summary:
    """Return the summary of a running run with the time since its file was written in it.

    The file may still be that of the process before: then the owner's own start counts. What held
    the run back is forgotten once it is old: a file that is not replaced knows nothing of now.
    """
    known = [at for at in map(_epoch_s, (summary.updated, owned_since)) if at is not None]
    if summary.state != "running" or not known:
        return summary

    age_s = max(0.0, now - max(known))
    return msgspec.structs.replace(
        summary,
        wall_s=round(summary.wall_s + age_s, 3),
        waiting=summary.waiting if age_s <= WAITING_AGE_S_MAX else None,
        updated=iso(now),
    )


def _epoch_s(text: str | None) -> float | None:
    try:
        return None if text is None else datetime.fromisoformat(text).timestamp()
    except ValueError:
        return None


def read_summary(directory: Path) -> Summary | None:
    """Return what `summary.json` says, or None if there is none or it cannot be read.

    A summary is derived: a damaged one costs the run its wall time and nothing else.
    """
    try:
        return msgspec.json.decode((directory / NAME).read_bytes(), type=Summary)
    except (OSError, RecursionError, ValueError, msgspec.MsgspecError):
        return None


class SummaryFile:
    """`summary.json` of a run that this process owns, and whose money is in *currency*."""

    def __init__(self, directory: Path, currency: str | None = None) -> None:
        self._currency = currency
        self._before = read_summary(directory) or Summary()
        self._path = directory / NAME

    def begin(self) -> None:
        """Say that the run goes on: who finds this file after a kill must not think it finished."""
        going = msgspec.structs.replace(self._before, state="running", stopped=None, waiting=None)
        write_atomically(self._path, going.as_json() + b"\n")

    def decided(self, counters: Mapping[str, int]) -> Summary:
        """Bring the counts up to date after a person's decision."""
        summary = seen_from_outside(counters, self._before, is_owned=False, currency=self._currency)
        write_atomically(self._path, summary.as_json() + b"\n")
        return summary

    def write(
        self,
        counters: Mapping[str, int],
        *,
        state: RunState,
        stop: Stop | None,
        elapsed_s: float,
        at: float,
        waiting: str | None = None,
        held: Sequence[Held] = (),
    ) -> Summary:
        """Replace the file; *elapsed_s* is the time of this process. Raises `OSError`."""
        summary = summary_of(
            counters,
            state=state,
            stopped=stopped_by(stop),
            wall_s=self._before.wall_s + elapsed_s,
            at=at,
            currency=self._currency,
            waiting=waiting,
        )
        told = held_back_of(held, self._before.held_back)
        summary = msgspec.structs.replace(summary, held_back=told)
        write_atomically(self._path, summary.as_json() + b"\n")
        return summary
