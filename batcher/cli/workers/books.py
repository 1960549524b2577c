"""The books of a run of several workers: read beside the workers, whose journals they are.

Rule: nothing here writes to a journal. Each look opens a journal and closes it again, so that a
worker that ends is the last to have it open and can fold its log in.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path

from batcher.adapters.merged import MergedFiles, Source
from batcher.adapters.rundir import RunDirectory
from batcher.cli.parts import counters_of, lengths_of, refuse_lost
from batcher.cli.workers.events import Events


class ShardBooks:
    """What the shards' journals and outcome files say together. Blocks: for a worker thread."""

    def __init__(
        self, folder: Path, shards: Sequence[RunDirectory], events: Events | None = None
    ) -> None:
        self._shards = shards
        self._events = events or Events((), lambda _lines: None)
        self._files = MergedFiles(
            folder, [Source(shard.path, partial(lengths_of, shard)) for shard in shards]
        )

    def begin(self, *, was_begun: bool) -> None:
        """Take the files over. Raises `StorageError` if a shard is gone that had been begun."""
        if was_begun:
            refuse_lost(self._shards)

        self._files.begin()

    def counters(self) -> dict[str, int]:
        """Return the sums of all journals."""
        return counters_of(self._shards)

    def follow(self) -> None:
        """Bring the merged outcome files up to date. Raises `OSError` and `StorageError`."""
        self._events.follow()
        self._files.follow()

    def end(self) -> None:
        """Make the merged files whole and durable: no worker is alive."""
        self._events.follow()
        self._files.end()


def merge(directory: RunDirectory, shards: int) -> None:
    """Bring the merged files of a run up to date, whose directory and shards this process owns."""
    if not directory.was_begun:
        return

    books = ShardBooks(directory.path, [directory.shard(number) for number in range(shards)])
    books.begin(was_begun=True)
    books.end()
