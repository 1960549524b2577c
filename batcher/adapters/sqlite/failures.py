"""What a failing disk means, in our words.

Rule: no `sqlite3` exception leaves this package, and a transaction that raised has left nothing.
Every message says what failed and what to do about it.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from batcher.adapters.sqlite import statements as sql
from batcher.adapters.sqlite.room import lacks_room
from batcher.core.errors import StorageError


class DiskFull(StorageError):
    """No space left: nothing of this call was written, and the journal can be used again."""

    disk_full = True


class Damaged(Exception):
    """A text in the journal is not as it was written, though the file as such is whole."""


class Locked(StorageError):
    """Another process writes to this journal; nothing of this call was written."""


@contextmanager
def transaction(db: sqlite3.Connection, begin: str, path: Path) -> Iterator[None]:
    """Run the block as one transaction: all of it or, on any exception, nothing."""
    with translating(path):
        try:
            db.execute(begin)
            yield
            db.execute(sql.COMMIT)
        except BaseException:
            if db.in_transaction:
                with suppress(sqlite3.Error):  # the first failure is the one to tell
                    db.execute(sql.ROLLBACK)

            raise


@contextmanager
def translating(path: Path) -> Iterator[None]:
    """Turn SQLite's failures into ours, with what to do about them."""
    try:
        yield
    except sqlite3.Error as failure:
        raise _storage_error(failure, path) from failure
    except (UnicodeDecodeError, Damaged) as failure:  # names and texts that damage has changed
        raise corrupt(path, "unreadable text") from failure


def _storage_error(failure: sqlite3.Error, path: Path) -> StorageError:
    """Say in one line what failed and how to mend it."""
    code = getattr(failure, "sqlite_errorcode", None)
    primary = None if code is None else code & 0xFF  # the rest is detail
    name = getattr(failure, "sqlite_errorname", type(failure).__name__)
    if primary == sqlite3.SQLITE_FULL or lacks_room(failure, path):
        return DiskFull(f"{path}: no room on the disk, or in the quota; free some, nothing is lost")

    if primary in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        return Locked(f"{path}: another process writes to this journal ({name})")

    if primary in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
        return corrupt(path, str(failure))

    return StorageError(f"{path}: the journal failed: {failure} ({name}); check disk and rights")


def corrupt(path: Path, reason: str) -> StorageError:
    """Build the error for a file whose content cannot be trusted."""
    return StorageError(
        f"{path}: the journal is corrupt ({reason}); keep the whole folder, then put the file back "
        f"from a backup or try `sqlite3 {path.name} .recover`; starting anew would pay twice"
    )
