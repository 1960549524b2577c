"""Whether SQLite can keep a journal in a folder: tried with a file that is thrown away.

Rule: what `connection` would refuse is found out here before there is a run. It knows no journal.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Final

from batcher.adapters.sqlite.connection import SQLITE_MIN

# The WAL-reset bug: two connections that write at the same moment can damage a database
# (sqlite.org/wal.html, "The WAL-Reset Bug"): fixed in 3.51.3, and in these branches before it.
WAL_RESET_FIXED: Final = (3, 51, 3)
WAL_RESET_BACKPORTS: Final = ((3, 44, 6), (3, 50, 7))

VERSION: Final = sqlite3.sqlite_version
IS_NEW_ENOUGH: Final = sqlite3.sqlite_version_info >= SQLITE_MIN


def has_wal_reset_bug(version: tuple[int, int, int]) -> bool:
    """Return whether a version of SQLite can damage a database in WAL mode with two writers."""
    if version >= WAL_RESET_FIXED:
        return False

    return not any(version[:2] == fixed[:2] and version >= fixed for fixed in WAL_RESET_BACKPORTS)


def ours_has_wal_reset_bug() -> bool:
    """Return that of the library of this Python."""
    major, minor, patch = sqlite3.sqlite_version_info
    return has_wal_reset_bug((major, minor, patch))


def wal_problem(folder: Path) -> str | None:
    """Write to a database in WAL mode in *folder*, which is thrown away; return what went wrong."""
    path = folder / "probe.db"
    try:
        with closing(sqlite3.connect(path, isolation_level=None)) as db:
            (mode,) = db.execute("PRAGMA journal_mode=wal").fetchone()
            if mode != "wal":
                return f"no write-ahead log here, SQLite fell back to {mode!r}"

            db.execute("PRAGMA synchronous=full")
            db.execute("CREATE TABLE probe (n INTEGER)")
            db.execute("INSERT INTO probe VALUES (1)")
    except sqlite3.Error as failure:
        return str(failure)

    return None
