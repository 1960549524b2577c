"""Looking at a journal without owning it.

Rule: it writes nothing and moves nothing, whatever its owner does meanwhile.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from batcher.adapters.sqlite import reading
from batcher.adapters.sqlite import statements as sql
from batcher.adapters.sqlite.failures import transaction, translating
from batcher.core.journal import Charge, Held
from batcher.core.lifecycle import State


class JournalReader:
    """A look at a journal from beside its owner, who may be at work, dead or gone.

    Each answer is of one instant; two answers may be of two. Nothing is ever written.
    """

    def __init__(self, db: sqlite3.Connection, path: Path) -> None:
        self._db = db
        self._path = path

    def counters(self) -> dict[str, int]:
        """Return every counter."""
        with self._reading():
            return reading.counters(self._db)

    def held(self, state: State, after: int, limit: int) -> list[Held]:
        """Return rows in EXHAUSTED or IN_DOUBT with their evidence, by number."""
        with self._reading():
            return reading.held(self._db, state, after, limit)

    def find(self, row_id: str) -> Held | None:
        """Return the row with this id, in whatever state, or None."""
        with self._reading():
            return reading.find(self._db, row_id)

    def at(self, n: int) -> Held | None:
        """Return the row with this number, in whatever state, or None."""
        with self._reading():
            return reading.at(self._db, n)

    def owner(self, job_id: str) -> int | None:
        """Return the number of the row that has, or gave up, a job, or None."""
        with self._reading():
            return reading.owner(self._db, job_id)

    def charges(self, after: int, limit: int) -> list[Charge]:
        """Return attempts without a result to show for their money, by row, from *after* on."""
        with self._reading():
            return reading.charges(self._db, after, limit)

    def charges_of(self, n: int) -> list[Charge]:
        """Return those of one row, the oldest first."""
        with self._reading():
            return reading.charges_of(self._db, n)

    def fact(self, key: str) -> str | None:
        """Return a fact about the run, or None."""
        with self._reading():
            return reading.fact(self._db, key)

    def outputs(self) -> dict[str, int | None]:
        """Return each outcome file's committed length; None = it must be rebuilt."""
        with self._reading():
            return reading.outputs(self._db)

    def close(self) -> None:
        """Release everything. Idempotent."""
        with translating(self._path):
            self._db.close()

    @contextmanager
    def _reading(self) -> Iterator[int]:
        """Run the block on one state of the journal; yield the epoch of its owner."""
        with transaction(self._db, sql.BEGIN_READING, self._path):
            yield reading.epoch(self._db)
