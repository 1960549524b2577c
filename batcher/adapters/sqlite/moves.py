"""How events change rows; what they change in the money ledger is in `ledger.py`.

Most events of a run need no judgement (`usual.py`); here is what judges the rest, and all of a call
in which one was not what it seemed.

Rule: decide first, then write. All rows of a batch are read once, every event is judged by
`core.lifecycle.move`, and only when no event is illegal does the first statement run. Each
statement must change exactly one row for each event, or the whole transaction is given up.
"""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import assert_never

import orjson

from batcher.adapters.sqlite import statements as sql
from batcher.adapters.sqlite.ledger import Bill, Ledger, Writes
from batcher.adapters.sqlite.reading import encoded_error
from batcher.adapters.sqlite.usual import Usual
from batcher.core.errors import IllegalMove, StorageError
from batcher.core.events import Accept, Collect, Decide, Event, Finish, Intend, Rerun, Withdraw
from batcher.core.lifecycle import Move, State, move
from batcher.core.model import ErrorKind, RowError


def write(
    db: sqlite3.Connection, epoch: int, events: Sequence[Event], counts: Counter[str]
) -> list[bool]:
    """Write *events*, the usual ones the short way; return the answers, and add to *counts*.

    Raises `Unusual` if it must be begun anew, in another transaction, with `judge`.
    """
    usual = Usual(epoch, events)
    usual.write(db, counts)
    if not usual.rest:
        return [True] * len(events)

    answers = judge(db, epoch, usual.rest, counts)
    of_rest = dict(zip((event.n for event in usual.rest), answers, strict=True))
    return [of_rest.get(event.n, True) for event in events]


def judge(
    db: sqlite3.Connection, epoch: int, events: Sequence[Event], counts: Counter[str]
) -> list[bool]:
    """Judge every one of *events* and write them; return the answers, and add to *counts*."""
    batch = Batch(db, epoch, events, counts)
    batch.write()
    return batch.answers


@dataclass(frozen=True, slots=True)
class _Stand:
    """What a row is before its event."""

    n: int
    state: State
    generation: int
    job_id: str | None
    has_result: bool
    error: str | None  # JSON, of an exhausted row


class Batch:
    """Events, judged together and written together."""

    def __init__(
        self, db: sqlite3.Connection, epoch: int, events: Sequence[Event], counts: Counter[str]
    ) -> None:
        self.counts = counts
        self._db = db
        self._epoch = epoch
        self._writes: Writes = {}
        self._ledger = Ledger(epoch, self._writes, self.counts)
        self._stands = self._read_stands([event.n for event in events])
        self._owners = self._read_owners(events)
        self.answers = [self._judge(event) for event in events]

    def write(self) -> None:
        """Run the statements that the events came to."""
        for statement, parameters in self._writes.items():
            changed = self._db.executemany(statement, parameters).rowcount
            if changed != len(parameters):
                raise StorageError(
                    f"the journal changed {changed} rows instead of {len(parameters)}: "
                    f"{' '.join(statement.split())}"
                )

    def _read_stands(self, numbers: list[int]) -> dict[int, _Stand]:
        """Read what the rows and their last attempts are before their events."""
        stands = {}
        listed = orjson.dumps(numbers).decode()
        for n, state, generation, job_id, has_result, error, *bill in self._db.execute(
            sql.STAND, (listed,)
        ):
            stands[n] = _Stand(n, State(state), generation, job_id, bool(has_result), error)
            self._ledger.know(n, Bill(generation, *bill))

        return stands

    def _read_owners(self, events: Sequence[Event]) -> dict[str, int]:
        """Return which rows the job ids of *events* belong or belonged to."""
        ids = [e.job_id for e in events if isinstance(e, Accept | Decide) and e.job_id is not None]
        if not ids:
            return {}

        return dict(self._db.execute(sql.JOB_OWNERS, (orjson.dumps(ids).decode(),)).fetchall())

    def _judge(self, event: Event) -> bool:
        """Gather what *event* changes; False if its job id belongs to another row."""
        stand = self._stands.get(event.n)
        if stand is None:
            raise IllegalMove(f"unknown (row {event.n})", event.move)

        try:
            target = move(stand.state, event.move)
        except IllegalMove:
            raise IllegalMove(f"{stand.state} (row {event.n})", event.move) from None

        if isinstance(event, Accept | Decide) and not self._may_have(event.job_id, event.n):
            return False

        self._gather(event, stand, target)
        self.counts[stand.state] -= 1
        self.counts[target] += 1
        return True

    def _may_have(self, job_id: str | None, n: int) -> bool:
        """Return whether row *n* may call this job its own; from then on it does."""
        return job_id is None or self._owners.setdefault(job_id, n) == n

    def _gather(self, event: Event, stand: _Stand, target: State) -> None:
        """Note the statements of one event."""
        match event:
            case Intend():
                self._intend(event, stand)
            case Accept():
                self._accept(event, stand)
            case Withdraw():
                self._withdraw(event, stand)
            case Collect():
                self._move(sql.COLLECT, stand, event.result, event.at)
            case Rerun():
                error = encoded_error(event.error)
                self._free(stand, spends=True, error=error, job_error=error)
                self._settle(event, stand)
            case Finish():
                self._finish(event, stand, target)
            case Decide():
                self._decide(event, stand)
            case _:
                assert_never(event)

    def _move(self, statement: str, stand: _Stand, *values: object) -> None:
        """Note an update of the row, bound to the state that it was judged in."""
        self._writes.setdefault(statement, []).append((*values, stand.n, stand.state.value))

    def _intend(self, event: Intend, stand: _Stand) -> None:
        """Open an attempt."""
        if event.generation != stand.generation + 1:
            raise IllegalMove(
                f"{stand.state} (row {event.n}, generation {stand.generation})",
                f"{event.move} as generation {event.generation}",
            )

        self._move(sql.INTEND, stand, event.generation)
        self._ledger.open(event)

    def _accept(self, event: Accept, stand: _Stand) -> None:
        """Close the attempt with its job."""
        self._move(sql.ACCEPT, stand, event.job_id, event.at)
        self._ledger.accept(event)

    def _withdraw(self, event: Withdraw, stand: _Stand) -> None:
        """Close the attempt: it made no job. Closed as a doubt, it is proved to have made none."""
        self._move(sql.WITHDRAW, stand, int(event.spent), encoded_error(event.error))
        if stand.state is State.IN_DOUBT:
            self._ledger.disprove(event.n)
            self._note(event, "" if event.error is None else event.error.message)
            return

        self._ledger.close(
            event.n, event.at, event.move, event.error, is_advised=event.resubmission
        )

    def _finish(self, event: Finish, stand: _Stand, target: State) -> None:
        """Write an outcome."""
        error = encoded_error(event.error)
        if target is State.EXHAUSTED:
            self._move(sql.EXHAUST, stand, error, event.result)
        else:
            self._move(sql.FINISH, stand, target.value, error)

        if stand.state is State.INTENT:
            self._ledger.close(event.n, event.at, event.move, event.error)

        if event.move is Move.GIVE_UP:
            self._note(event, "" if event.error is None else event.error.message)

        self._settle(event, stand)

    def _settle(self, event: Rerun | Finish, stand: _Stand) -> None:
        """Note what the API says of the money, if there is a job that it can speak of."""
        if stand.job_id is not None:
            self._ledger.settle(event)

    def _decide(self, event: Decide, stand: _Stand) -> None:
        """Do what a person decided, and note that they did."""
        match event.move:
            case Move.RETRY | Move.RESUBMIT:
                self._free(stand, fresh=event.move is Move.RETRY, job_error=stand.error)
                if stand.state is State.INTENT:
                    error = RowError(ErrorKind.UNKNOWN_OUTCOME, event.note)
                    self._ledger.close(event.n, event.at, event.move, error)
            case Move.REPOLL if stand.job_id is not None:
                self._move(sql.REPOLL, stand, event.at)
            case Move.REFETCH if stand.job_id is not None and stand.has_result:
                self._move(sql.REFETCH, stand)
            case Move.ADOPT if event.job_id is not None:
                self._move(sql.ACCEPT, stand, event.job_id, event.at)
                self._ledger.adopt(event.n, event.job_id)
            case Move.GIVE_UP:
                self._move(sql.GIVE_UP, stand)
            case _:  # nothing there to be polled, fetched or adopted
                raise IllegalMove(f"{stand.state} (row {event.n}, no job or result)", event.move)

        self._note(event, event.note, event.job_id)

    def _note(
        self, event: Decide | Finish | Withdraw, note: str, job_id: str | None = None
    ) -> None:
        """Note what was decided of a row, and on what evidence."""
        self._writes.setdefault(sql.ADD_DECISION, []).append(
            (event.n, self._epoch, event.at, event.move.value, job_id, note)
        )

    def _free(
        self,
        stand: _Stand,
        *,
        fresh: bool = False,
        spends: bool = False,
        error: str | None = None,
        job_error: str | None = None,
    ) -> None:
        """Let the row be submitted again; a job that it had is given up, and `job_error` says why.

        `fresh`: with all its attempts; `spends`: with one less. Errors are JSON.
        """
        self._move(sql.FREE, stand, int(not fresh), int(spends), error)
        if stand.job_id is not None:
            self._ledger.give_up(stand.n, job_error)
