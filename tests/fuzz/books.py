"""Harnesses for what the journal keeps as text: results, errors, facts.

Rule: the journal is ours alone, so a text in it that is not as it was written is damage: a
`StorageError` says so. It never reads as nothing, for that would be paid for again.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing, suppress
from functools import cache
from pathlib import Path

from batcher.adapters.sqlite import SqliteJournal
from batcher.core.errors import StorageError
from batcher.core.journal import Entry
from batcher.engine.lanes.caps import times_of
from batcher.engine.webhooks.attempts import Attempts
from batcher.engine.webhooks.opening import kept_claims
from tests.fuzz.scratch import scratch


def journal(data: bytes) -> None:
    """Read a row whose kept error and result are *data*."""
    path = _journal()
    with closing(sqlite3.connect(path)) as db, db:
        db.execute("PRAGMA synchronous = OFF")
        db.execute("UPDATE row SET error = CAST(? AS TEXT), result = ?", (data, data))

    with suppress(StorageError), closing(SqliteJournal.read(path)) as books:
        found = books.at(1)
        assert found is not None
        assert found.ticket.last_error is not None
        assert found.ticket.result is not None


def fact(data: bytes) -> None:
    """Read the facts that a run goes on from: reads of the last day, jobs that calls named."""
    text = data.decode("utf-8", "replace")
    with suppress(StorageError):
        assert all(isinstance(at, float) for at in times_of(text))

    with suppress(StorageError):
        for n, generation, job_id in Attempts(kept_claims(text)).leftovers():
            assert n > 0
            assert generation >= 0
            assert isinstance(job_id, str)


@cache
def _journal() -> Path:
    """Make a journal with one row."""
    path = scratch() / "journal.db"
    with closing(SqliteJournal.open(path)) as books:
        books.claim(0.0)
        books.admit([Entry(line=1, id="a", derived=False, body=b"{}", digest=bytes(16))])

    return path
