"""The journal on SQLite. `SqliteJournal` is the port's first adapter; the rest is its inside."""

from __future__ import annotations

from batcher.adapters.sqlite.failures import DiskFull, Locked
from batcher.adapters.sqlite.journal import SqliteJournal
from batcher.adapters.sqlite.reader import JournalReader

__all__ = ["DiskFull", "JournalReader", "Locked", "SqliteJournal"]
