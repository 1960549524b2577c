"""The journal: what it knows, what it answers, and the port behind which it stands.

Rule: the journal is the truth about a run. What it acknowledged survives the death of the process
and of the machine; what it did not acknowledge may not have happened. What it is told stands in
`events.py`. Its first adapter is SQLite (`adapters/sqlite/`); one conformance suite
(`tests/adapters/journal_conformance.py`) says what any other must do.

The port is synchronous and has one caller: the recorder, which gathers what many tasks want to say
and lets all of it share one durable transaction. Every method is a transaction of its own, checks
that this process still owns the run, and raises `Fenced` if not and `StorageError` if the disk
failed; in both cases nothing of that call was written.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Protocol

import msgspec

from batcher.core.events import Decide, Event, Withdraw
from batcher.core.lifecycle import State
from batcher.core.model import LocalFile, Refund, RowError, Ticket

# --- The manifest, as it is read -------------------------------------------------------------


class Entry(msgspec.Struct, frozen=True):
    """One line of a manifest, usable or not."""

    line: int
    id: str  # the row's own, or derived from its content
    derived: bool  # whether `id` is derived: identical rows then get -2, -3, …
    body: bytes  # the row as one JSON object; b"null" if the line could not be read
    digest: bytes  # identity of the content: 16 bytes, the same whatever the order of its keys
    base: str | None = None  # folder that a relative `file` is resolved against, if it has one
    problem: RowError | None = None  # why it cannot be used; it becomes an outcome all the same
    raw: str | None = None  # the text of a line that could not be read, cut
    files: tuple[LocalFile, ...] = ()  # the row's local files, found and measured


class Standing(Enum):
    """What the journal knows of an entry."""

    FRESH = "fresh"  # pending: never submitted, or proved to have made no job
    FOLLOWED = "followed"  # intent, accepted or ready: somebody already looks after it
    ENDED = "ended"  # has its outcome
    REPEATED = "repeated"  # an earlier row of this manifest has the same id: to be rejected
    CHANGED = "changed"  # known by its id, not yet submitted, with another content
    CHANGED_LATE = "changed_late"  # the same, but submitted already: it stays as sent


class Admission(msgspec.Struct, frozen=True):
    """An entry and its standing. `ticket` is there for `FRESH` and `REPEATED` only."""

    entry: Entry
    standing: Standing
    ticket: Ticket | None = None


# --- What it knows of the past ---------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Attempt:
    """One submit of one row, from the money ledger."""

    generation: int
    intent_at: float
    answered_at: float | None
    verdict: str | None  # the move that closed it: accept, withdraw, refuse, …
    http_status: int | None
    request_id: str | None
    message: str | None


@dataclass(frozen=True, slots=True)
class Charge:
    """One attempt that cost money, or may have: for a talk with the vendor's support."""

    n: int  # of the row
    row_id: str
    line: int
    generation: int
    state: State  # of the row, now
    job_id: str | None  # None: in doubt, nobody knows it
    request_id: str | None
    submitted_at: float
    cost: int | None  # nanos; None = not known
    refund: Refund | None
    refund_raw: str | None
    is_given_up: bool  # the row was, or may be, submitted again since
    error: RowError | None  # why there is no result; of the row, if it has not been submitted since


@dataclass(frozen=True, slots=True)
class Held:
    """A row with its evidence: one that waits for a person, or any that was looked up."""

    ticket: Ticket
    state: State
    error: RowError | None
    attempts: tuple[Attempt, ...]
    has_result: bool  # a finished result is known and only its files are missing


# --- The port --------------------------------------------------------------------------------


class Journal(Protocol):
    """The durable truth about one run."""

    def claim(self, at: float) -> int:
        """Take the run over: start a new epoch and return it. Every older owner is fenced."""
        ...

    def admit(self, entries: Sequence[Entry], *, allow_changed: bool = False) -> list[Admission]:
        """Note that *entries* are in the manifest of this epoch, and say how each stands.

        With `allow_changed` a row that changed before its submit takes its new content and is
        FRESH. Entries with a `problem` are admitted like any other.
        """
        ...

    def apply(
        self,
        events: Sequence[Event],
        outputs: Mapping[str, int] | Callable[[], Mapping[str, int]] | None = None,
        counters: Mapping[str, int] | None = None,
    ) -> list[bool]:
        """Make *events* durable, all or none, in one transaction, and return one answer for each.

        The answer is True, and False only for an `Accept` (or ADOPT) whose job id belongs to
        another row: that event was left out. At most one event for each row. `outputs` are the
        outcome files' new lengths in bytes, `counters` are amounts to add. If `outputs` is a
        function, it appends the events' lines durably and returns the lengths: it is called once
        at the most, when this process is known to own the run and every move to be legal, and the
        commit comes after it.

        Raises `IllegalMove` if any row cannot make its move; then nothing was written.
        """
        ...

    def followed(self, after: int, limit: int) -> list[Ticket]:
        """Return rows that are accepted or ready, by number, from *after* on."""
        ...

    def unanswered(self, after: int, limit: int) -> list[Ticket]:
        """Return rows in intent that an earlier epoch left without an answer, by number."""
        ...

    def unseen(self, after: int, limit: int) -> list[Ticket]:
        """Return pending rows that `admit` has not met in this epoch, by number, from *after* on.

        Only rows that may be submitted: the rest are `unusable`.
        """
        ...

    def unusable(self, after: int, limit: int) -> list[Ticket]:
        """Return pending rows that `admit` has not met in this epoch and that can only be rejected.

        A crash came before they were. `last_error` says why; None: an earlier row has the same id.
        """
        ...

    def held(self, state: State, after: int, limit: int) -> list[Held]:
        """Return rows in EXHAUSTED or IN_DOUBT with their evidence, by number."""
        ...

    def find(self, row_id: str) -> Held | None:
        """Return the row with this id, in whatever state, or None."""
        ...

    def at(self, n: int) -> Held | None:
        """Return the row with this number, in whatever state, or None."""
        ...

    def charges(self, after: int, limit: int) -> list[Charge]:
        """Return attempts without a result to show for their money, by row, from *after* on.

        These are: every attempt that made a job, of which the job failed, was lost or was given up;
        and every attempt in doubt. At most *limit* rows, each with all such attempts it has.
        """
        ...

    def charges_of(self, n: int) -> list[Charge]:
        """Return those of the row with this number, the oldest first; none if there is no row."""
        ...

    def counters(self) -> dict[str, int]:
        """Return every counter.

        Kept by the journal itself: the number of rows in each state (`pending` …), `rows`,
        `jobs_accepted`, `submits`, `refund_done`, `refund_already_done`, `refund_unconfirmed`,
        and in nanos, as far as costs are known: `cost` of every attempt that made a job or may have
        made one, and of that `cost_refunded` (`done`, `already_done`), `cost_unconfirmed` and
        `cost_in_doubt`; `jobs_priced`, the number of attempts that `cost` sums up.
        Kept for the engine: whatever it adds (`status_reads`, `throttled`, …).
        """
        ...

    def outputs(self) -> dict[str, int | None]:
        """Return each outcome file's committed length; None = it must be rebuilt."""
        ...

    def mark_rebuild(
        self,
        events: Sequence[Decide | Withdraw],
        files: Sequence[str],
        counters: Mapping[str, int] | None = None,
    ) -> list[bool]:
        """Apply what takes rows out of *files*, and mark these for rebuilding, at once."""
        ...

    def submits_since(self, at: float) -> list[float]:
        """Return the intent times from *at* on, ascending (a day's cap is counted from them)."""
        ...

    def fact(self, key: str) -> str | None:
        """Return a fact about the run (`account`, `manifest_rows`, …) or None."""
        ...

    def note(self, facts: Mapping[str, str]) -> None:
        """Keep facts about the run."""
        ...

    def close(self) -> None:
        """Release everything. Idempotent."""
        ...
