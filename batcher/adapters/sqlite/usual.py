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
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from itertools import chain
from typing import Any, TypeVar

import orjson

from batcher.adapters.sqlite import statements as sql
from batcher.adapters.sqlite.ledger import COST_MAX
from batcher.adapters.sqlite.values import write_all
from batcher.core.events import Accept, Decide, Event, Finish, Intend
from batcher.core.lifecycle import Move, State

E = TypeVar("E", Intend, Finish)


class Unusual(Exception):
    """Some row is not where the short way has it; the transaction must be given up."""


class Usual:
    """The usual ones of a call's events, gathered and then written."""

    def __init__(self, epoch: int, events: Sequence[Event]) -> None:
        """Sort *events*; what is not usual stays in `rest`. Raises `Unusual` before any write."""
        told: dict[type[Event], list[Any]] = defaultdict(list)
        for event in events:
            told[type(event)].append(event)

        self.rest: list[Event] = []
        self._epoch = epoch
        self._intended: list[Intend] = self._take(told, Intend, _is_credible)
        self._accepted: list[Accept] = told.pop(Accept, [])
        self._succeeded: list[Finish] = self._take(told, Finish, _says_nothing)
        if any(event.job_id is not None for event in told.get(Decide, ())):
            raise Unusual  # who of two gets a job depends on the order of the events

        self.rest += chain.from_iterable(told.values())

    def write(self, db: sqlite3.Connection, counts: Counter[str]) -> None:
        """Write them, and add what they change to the counts of rows and to the sums."""
        if self._intended:
            self._intend(db, counts)

        if self._accepted:
            self._accept(db, counts)

        if self._succeeded:
            self._succeed(db, counts)

    def _take(
        self, told: dict[type[Event], list[Any]], kind: type[E], is_usual: Callable[[E], bool]
    ) -> list[E]:
        """Take the events of a kind; those that are not usual are among the rest."""
        events: list[E] = told.pop(kind, [])
        usual = [event for event in events if is_usual(event)]
        if len(usual) < len(events):
            self.rest += [event for event in events if not is_usual(event)]

        return usual

    def _intend(self, db: sqlite3.Connection, counts: Counter[str]) -> None:
        """Open attempts."""
        generations: dict[int, list[int]] = defaultdict(list)
        for event in self._intended:
            generations[event.generation].append(event.n)

        for generation, numbers in generations.items():
            found = db.execute(sql.INTEND_ALL, (generation, _listed(numbers))).rowcount
            _expect(found, len(numbers))

        number = len(self._intended)
        attempts = [(e.n, e.generation, self._epoch, e.at, e.cost) for e in self._intended]
        _expect(write_all(db, sql.OPEN_ATTEMPT, attempts), number)
        costs = [event.cost for event in self._intended if event.cost is not None]
        counts["submits"] += number
        counts["jobs_priced"] += len(costs)
        counts["cost"] += sum(costs)
        _moved(counts, State.PENDING, State.INTENT, number)

    def _accept(self, db: sqlite3.Connection, counts: Counter[str]) -> None:
        """Close attempts with their jobs."""
        number = len(self._accepted)
        answers = [(e.job_id, e.at, e.n, e.request_id) for e in self._accepted]
        _expect(write_all(db, sql.ACCEPT_ALL, answers), number)
        _expect(write_all(db, sql.CLOSE_ACCEPTED, answers), number)
        counts["jobs_accepted"] += number
        _moved(counts, State.INTENT, State.ACCEPTED, number)

    def _succeed(self, db: sqlite3.Connection, counts: Counter[str]) -> None:
        """Write outcomes: of rows that were followed, and of those whose files were fetched."""
        listed, left = _listed([event.n for event in self._succeeded]), len(self._succeeded)
        for state in (State.ACCEPTED, State.READY):
            if left:
                found = db.execute(sql.SUCCEED_ALL, (state.value, listed)).rowcount
                _moved(counts, state, State.SUCCEEDED, found)
                left -= found

        _expect(left, 0)


def _is_credible(event: Intend) -> bool:
    """Whether the ledger keeps the cost as it is."""
    return event.cost is None or 0 <= event.cost <= COST_MAX


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
