"""The directories that hold the rows of one run: its own, or one for each of its workers.

Rule: whoever reads a run reads all of its parts; where the parts lie is known here alone.
"""

from __future__ import annotations

import contextlib
from collections.abc import Sequence

from batcher.adapters.rundir import RunDirectory
from batcher.core.journal import Held
from batcher.report.merging import merged_counters

SHARDS = "shards"


def parts_of(directory: RunDirectory) -> list[RunDirectory]:
    """Return the parts of a run, in order; a run without workers is its only part."""
    folder = directory.path / SHARDS
    found = sorted(path for path in folder.iterdir() if path.is_dir()) if folder.is_dir() else []
    parts = [RunDirectory(path) for path in found]
    return [directory, *parts] if directory.journal.exists() or not parts else parts


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


def find_row(parts: Sequence[RunDirectory], row_id: str) -> tuple[RunDirectory, Held] | None:
    """Return the row with this id and the part that it is in, or None."""
    from batcher.adapters.sqlite import SqliteJournal

    for part in parts:
        if not part.journal.exists():
            continue

        with contextlib.closing(SqliteJournal.read(part.journal)) as journal:
            held = journal.find(row_id)
            if held is not None:
                return part, held

    return None


def _counters(part: RunDirectory) -> dict[str, int]:
    from batcher.adapters.sqlite import SqliteJournal

    with contextlib.closing(SqliteJournal.read(part.journal)) as journal:
        return journal.counters()
