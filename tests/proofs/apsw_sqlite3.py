"""apsw in the clothes of the standard library's `sqlite3`, as far as the journal uses it.

Some settings are changed on the way, and the journal believes that it has what it asked for.
`locking_mode` becomes exclusive, because a file system made in Python has no shared memory; nothing
else depends on it, for a journal has one connection that writes. A test may change others: a
weaker `synchronous` is the control, an early checkpoint saves writing megabytes.
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import apsw

_PRAGMA = re.compile(r"PRAGMA (\w+)(?: = (\w+))?")


class Connection:
    """A connection of `sqlite3`, over apsw."""

    def __init__(self, address: str, vfs: str, changed: Mapping[str, object]) -> None:
        flags = apsw.SQLITE_OPEN_URI | apsw.SQLITE_OPEN_READWRITE
        with _translating():
            self._db = apsw.Connection(address, flags=flags, vfs=vfs)

        self._changed = {"locking_mode": "exclusive", **changed}
        self._asked: dict[str, str] = {}

    @property
    def in_transaction(self) -> bool:
        """Whether a transaction is open."""
        return self._db.in_transaction

    def execute(self, statement: str, parameters: Sequence[Any] = ()) -> Cursor:
        """Run one statement."""
        with _translating():
            pragma = _PRAGMA.fullmatch(statement)
            if pragma is not None and pragma[2] is None and pragma[1] in self._asked:
                asked = self._asked[pragma[1]]
                value = int(asked) if asked.isdigit() else asked
                return Cursor(iter([(value,)]))

            if pragma is not None and pragma[1] in self._changed:
                self._asked[pragma[1]] = pragma[2]
                statement = f"PRAGMA {pragma[1]} = {self._changed[pragma[1]]}"

            before = self._db.total_changes()
            rows = self._db.execute(statement, tuple(parameters)).fetchall()
            return Cursor(iter(rows), self._db.total_changes() - before)

    def executemany(self, statement: str, rows: Iterable[Sequence[Any]]) -> Cursor:
        """Run one statement for each of *rows*."""
        before = self._db.total_changes()
        with _translating():
            self._db.executemany(statement, [tuple(row) for row in rows])

        return Cursor(iter(()), self._db.total_changes() - before)

    def executescript(self, script: str) -> None:
        """Run several statements."""
        with _translating():
            self._db.execute(script)

    def close(self) -> None:
        """Close."""
        with _translating():
            self._db.close()


class Cursor:
    """What a statement gave."""

    def __init__(self, rows: Iterator[tuple[Any, ...]], rowcount: int = -1) -> None:
        self._rows = rows
        self.rowcount = rowcount

    def __iter__(self) -> Iterator[tuple[Any, ...]]:
        return self._rows

    def fetchone(self) -> tuple[Any, ...] | None:
        """Return the next row."""
        return next(self._rows, None)

    def fetchall(self) -> list[tuple[Any, ...]]:
        """Return all rows."""
        return list(self._rows)

    def close(self) -> None:
        """Nothing is left to be closed."""


@contextmanager
def _translating() -> Iterator[None]:
    try:
        yield
    except apsw.Error as failure:
        error = sqlite3.OperationalError(str(failure))
        error.sqlite_errorcode = getattr(failure, "extendedresult", 1)
        error.sqlite_errorname = type(failure).__name__
        raise error from failure


def connecting(vfs: str, changed: Mapping[str, object] = {}) -> Callable[..., Connection]:
    """Return what may stand in the place of `sqlite3.connect`; *changed* are other settings."""

    def connect(address: str, **_options: object) -> Connection:
        return Connection(address, vfs, changed)

    return connect
