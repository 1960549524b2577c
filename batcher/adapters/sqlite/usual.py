"""The usual life of a row, written without reading it first: intended, accepted, succeeded.

Rule: a statement names all that it takes for granted: the state that a row leaves, the generation,
that nobody has the job. If it finds fewer rows than it was given, the events are not what they
seem: `Unusual` is raised, the transaction must be given up, and `moves.py` judges every event, as
it judges whatever is not in here. So this module decides nothing; it is the short way for a
million rows of which nothing need be known.

The sums of money stay those of the ledger (`ledger.py`): an attempt counts from its intent, and
neither its acceptance nor a success of which the API says no price changes what it adds.
"""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Sequence

import orjson

from batcher.adapters.sqlite import statements as sql
from batcher.adapters.sqlite.ledger import COST_MAX
from batcher.core.events import Accept, Decide, Event, Finish, Intend
from batcher.core.lifecycle import Move, State


class Unusual(Exception):
    """Some row is not where the short way has it; the transaction must be given up."""


class Usual:
    """The usual ones of a call's events, gathered and then written."""

    def __init__(self, epoch: int, events: Sequence[Event]) -> None:
        """Sort *events*; what is not usual stays in `rest`. Raises `Unusual` before any write."""
        self.rest: list[Event] = []
        self._epoch = epoch
        self._attempts: list[tuple[int, int, int, float, int | None]] = []
        self._generations: dict[int, list[int]] = {}
        self._accepted: list[tuple[str, float, int]] = []
        self._answered: list[tuple[str, float, int, str | None]] = []
        self._succeeded: list[int] = []
        for event in events:
            self._sort(event)

    def write(self, db: sqlite3.Connection, counts: Counter[str]) -> None:
        """Write them, and add what they change to the counts of rows and to the sums."""
        if self._attempts:
            self._intend(db, counts)

        if self._accepted:
            self._accept(db, counts)

        if self._succeeded:
            self._succeed(db, counts)

    def _sort(self, event: Event) -> None:
        if isinstance(event, Intend) and _is_credible(event.cost):
            self._generations.setdefault(event.generation, []).append(event.n)
            self._attempts.append((event.n, event.generation, self._epoch, event.at, event.cost))
        elif isinstance(event, Accept):
            self._accepted.append((event.job_id, event.at, event.n))
            self._answered.append((event.job_id, event.at, event.n, event.request_id))
        elif isinstance(event, Finish) and _says_nothing(event):
            self._succeeded.append(event.n)
        elif isinstance(event, Decide) and event.job_id is not None:
            raise Unusual  # who of two gets a job depends on the order of the events
        else:
            self.rest.append(event)

    def _intend(self, db: sqlite3.Connection, counts: Counter[str]) -> None:
        """Open attempts."""
        number = len(self._attempts)
        for generation, numbers in self._generations.items():
            found = db.execute(sql.INTEND_ALL, (generation, _listed(numbers))).rowcount
            _expect(found, len(numbers))

        _expect(db.executemany(sql.OPEN_ATTEMPT, self._attempts).rowcount, number)
        costs = [cost for *_, cost in self._attempts if cost is not None]
        counts["submits"] += number
        counts["jobs_priced"] += len(costs)
        counts["cost"] += sum(costs)
        _moved(counts, State.PENDING, State.INTENT, number)

    def _accept(self, db: sqlite3.Connection, counts: Counter[str]) -> None:
        """Close attempts with their jobs."""
        number = len(self._accepted)
        _expect(db.executemany(sql.ACCEPT_FREE, self._accepted).rowcount, number)
        _expect(db.executemany(sql.CLOSE_ACCEPTED, self._answered).rowcount, number)
        counts["jobs_accepted"] += number
        _moved(counts, State.INTENT, State.ACCEPTED, number)

    def _succeed(self, db: sqlite3.Connection, counts: Counter[str]) -> None:
        """Write outcomes: of rows that were followed, and of those whose files were fetched."""
        listed, left = _listed(self._succeeded), len(self._succeeded)
        for state in (State.ACCEPTED, State.READY):
            if left:
                found = db.execute(sql.SUCCEED_ALL, (state.value, listed)).rowcount
                _moved(counts, state, State.SUCCEEDED, found)
                left -= found

        _expect(left, 0)


def _is_credible(cost: int | None) -> bool:
    """Whether the ledger keeps a cost as it is."""
    return cost is None or 0 <= cost <= COST_MAX


def _says_nothing(event: Finish) -> bool:
    """Whether an outcome is a success and nothing more, not a word about money."""
    return (
        event.move is Move.SUCCEED
        and event.cost is None
        and event.refund is None
        and event.error is None
    )


def _listed(numbers: list[int]) -> str:
    return orjson.dumps(numbers).decode()


def _expect(found: int, number: int) -> None:
    if found != number:
        raise Unusual


def _moved(counts: Counter[str], source: State, target: State, number: int) -> None:
    counts[source] -= number
    counts[target] += number
