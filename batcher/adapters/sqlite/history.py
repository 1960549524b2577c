"""What the ledger tells of a run's past, added up by SQLite: for a report.

Rule: what comes back is as long as the run took and not as many lines as it had rows, and it is
handed out piece by piece. Like every reader it writes nothing and takes no lock that the run would
wait for.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, NamedTuple

from batcher.adapters.sqlite import reading
from batcher.adapters.sqlite import statements as sql
from batcher.adapters.sqlite.connection import open_reader
from batcher.adapters.sqlite.failures import transaction, translating

TICKS_PER_S: Final = 4  # how finely the past is told
ANSWERS_MAX: Final = 40

_SUBMITS: Final = """
    SELECT CAST(intent_at * ?1 AS INTEGER), verdict, ifnull(http_status, 0) = 429, count(*)
      FROM attempt WHERE verdict IS NOT 'withdraw' OR kind IS NOT NULL GROUP BY 1, 2, 3"""
_ANSWERS: Final = """
    SELECT verdict, kind, http_status, count(*) FROM attempt
     WHERE verdict IS NOT 'withdraw' OR kind IS NOT NULL GROUP BY 1, 2, 3
     ORDER BY 4 DESC, 1, 2, 3 LIMIT ?1"""
_OPEN: Final = """
    SELECT CAST(a.intent_at * ?1 AS INTEGER), count(*)
      FROM row AS r CROSS JOIN attempt AS a ON a.n = r.n AND a.generation = r.generation
     WHERE r.state IN ('intent', 'accepted', 'ready') GROUP BY 1"""


class Submits(NamedTuple):
    """Submits of the same quarter of a second that met the same end."""

    at: float  # epoch seconds
    verdict: str | None  # the move that closed them; None = no answer is known
    is_throttled: bool  # the answer was a 429
    number: int


class Answers(NamedTuple):
    """How often submits met one kind of end."""

    verdict: str | None
    kind: str | None  # of the error, if there was one
    http_status: int | None  # of the error
    number: int


class History:
    """A look at a journal's past, from beside its owner. Each answer is of one instant."""

    def __init__(self, db: sqlite3.Connection, path: Path) -> None:
        self._db = db
        self._path = path

    @classmethod
    def read(cls, path: Path) -> History:
        """Open the journal at *path* for reading. Raises `StorageError`."""
        return cls(open_reader(path), path)

    def submits(self) -> Iterator[Submits]:
        """Yield how many submits left when; those that were taken back before are not among them.

        Reads the whole ledger, about a second for a million submits.
        """
        with self._reading():
            for tick, verdict, is_throttled, number in self._db.execute(_SUBMITS, (TICKS_PER_S,)):
                yield Submits(tick / TICKS_PER_S, verdict, bool(is_throttled), number)

    def answers(self) -> list[Answers]:
        """Return what became of the submits, the most frequent first, at most `ANSWERS_MAX`."""
        with self._reading():
            return [Answers(*values) for values in self._db.execute(_ANSWERS, (ANSWERS_MAX,))]

    def open_rows(self) -> Iterator[tuple[float, int]]:
        """Yield when the rows that are in flight were submitted, and how many."""
        with self._reading():
            for tick, number in self._db.execute(_OPEN, (TICKS_PER_S,)):
                yield tick / TICKS_PER_S, number

    def processes(self) -> int:
        """Return how many processes have worked on the run."""
        with self._reading():
            return reading.epoch(self._db)

    def close(self) -> None:
        """Release everything. Idempotent."""
        with translating(self._path):
            self._db.close()

    @contextmanager
    def _reading(self) -> Iterator[None]:
        with transaction(self._db, sql.BEGIN_READING, self._path):
            yield
