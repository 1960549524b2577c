"""The directories that hold the rows of one run: its own, or one for each of its workers.

Rule: whoever reads a run reads all of its parts; where the parts lie is known here alone.
"""

from __future__ import annotations

import contextlib
from collections.abc import Sequence

from batcher.adapters.rundir import RunDirectory
from batcher.adapters.runfile import read_run_file
from batcher.core.errors import StorageError
from batcher.report.merging import merged_counters


def parts_of(directory: RunDirectory) -> list[RunDirectory]:
    """Return the parts of a run, in order; a run without workers is its only part.

    Raises `UsageError` and `StorageError`, if a part is gone: without it every number is wrong.
    """
    if directory.journal.exists():  # of a run of several workers it is never here
        return [directory]

    frozen, _ = read_run_file(directory.run_file)
    if frozen.shards is None or frozen.shard is not None:
        return [directory]

    return shards_of(directory, frozen.shards) or [directory]


def shards_of(directory: RunDirectory, shards: int) -> list[RunDirectory]:
    """Return the parts of a run of several workers; none before it has begun.

    Raises `StorageError` if the run has begun and one of them is gone.
    """
    parts = directory.parts(shards)
    if directory.was_begun:
        refuse_lost(parts)

    return [part for part in parts if part.path.is_dir()]


def refuse_lost(parts: Sequence[RunDirectory]) -> None:
    """Raise `StorageError` if a part is gone or empty; each had its run file before any row."""
    lost = next((part for part in parts if not part.is_run), None)
    if lost is not None:
        raise StorageError(
            f"{lost.path} is gone, and with it the rows that were paid for; put it back"
        )


def is_owned(directory: RunDirectory, parts: Sequence[RunDirectory]) -> bool:
    """Whether a living process works on a run or on a part of it."""
    return any(
        each.is_owned() for each in {part.path: part for part in (directory, *parts)}.values()
    )


def counters_of(parts: Sequence[RunDirectory]) -> dict[str, int]:
    """Return what the journals of all parts count, together."""
    return merged_counters(_counters(part) for part in parts if part.journal.exists())


def lengths_of(part: RunDirectory) -> dict[str, int | None]:
    """Return how much of each outcome file the journal committed; None = all that is there."""
    from batcher.adapters.sqlite import SqliteJournal

    if not part.journal.exists():
        return {}

    with contextlib.closing(SqliteJournal.read(part.journal)) as journal:
        return journal.outputs()


def _counters(part: RunDirectory) -> dict[str, int]:
    from batcher.adapters.sqlite import SqliteJournal

    with contextlib.closing(SqliteJournal.read(part.journal)) as journal:
        return journal.counters()
