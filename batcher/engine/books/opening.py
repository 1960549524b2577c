"""The books of a run that this process owns: opened, checked against each other, and mended.

Rule: what a crash leaves is mended; what no crash leaves is refused, for going on would pay again.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from batcher.adapters.outcomes import OutcomeFiles
from batcher.adapters.rundir import RunDirectory
from batcher.adapters.sqlite import SqliteJournal
from batcher.core.errors import StorageError
from batcher.core.journal import Journal
from batcher.engine.books.decide import finish_rewrites


@contextmanager
def open_books(directory: RunDirectory, provider: str) -> Iterator[tuple[Journal, OutcomeFiles]]:
    """Open the journal and the outcome files of a run that this process owns, and mend them.

    Raises `StorageError` if either is damaged in a way that no crash explains.
    """
    refuse_lost_log(directory)
    journal = SqliteJournal.open(directory.journal, must_exist=directory.was_begun)
    try:
        journal.claim(time.time())
        directory.mark_open()
        outcomes = OutcomeFiles(directory.path)
        try:
            refuse_older_journal(journal, outcomes)
            outcomes.recover(journal.outputs())
            finish_rewrites(journal, outcomes, provider, time.time())
            yield journal, outcomes
        finally:
            outcomes.close()
    finally:
        directory.mark_closed()  # before the journal is closed: that folds its log in
        journal.close()


def refuse_lost_log(directory: RunDirectory) -> None:
    """Refuse a journal whose write-ahead log was deleted after a crash: it held paid job ids.

    A process that dies leaves its mark and, beside the journal, the log that SQLite will replay. A
    process that ends removes the mark first, and then SQLite folds the log in.
    """
    log = directory.journal.with_name(directory.journal.name + "-wal")
    if directory.is_marked_open and not log.exists():
        raise StorageError(
            f"{log} is gone, and the last process did not end by itself: the journal may lack rows "
            f"that were paid for. Put the file back. If you opened the journal with sqlite3 "
            f"meanwhile, that folded the file in and all is well: then delete {directory.open_mark}"
        )


def refuse_older_journal(journal: Journal, outcomes: OutcomeFiles) -> None:
    """Refuse a journal that knows less than its outcome files: rows would be paid for again.

    A crash leaves lines that the journal has not committed, but a job id in them was committed
    before its job was even looked at. So a job id that the journal does not know is none that a
    crash left: `journal.db-wal` was deleted, or an older copy was put back. Nor does a crash leave
    a line of a row whose outcome was committed: then a line was put in before it.
    """
    for record in outcomes.beyond(journal.outputs()):
        job_id = record.get("job_id")
        held = journal.find(str(record.get("id")))
        if job_id and (held is None or held.ticket.job_id != job_id):
            raise StorageError(
                f"the journal is older than its outcome files: it does not know job {job_id} of "
                f"row {record.get('id')!r}. journal.db-wal was deleted, or an older copy was put "
                "back; going on would pay again. Put back the journal.db and journal.db-wal that "
                "belong to these files"
            )

        there = None if held is None else (held.state, held.ticket.row.line)
        if there == (record.get("outcome"), record.get("line")):
            raise StorageError(
                f"{there[0]}.jsonl was edited: the record of row {record.get('id')!r} is not where "
                "the journal has it. Put the original back"
            )
