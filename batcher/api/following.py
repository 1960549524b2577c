"""Reading the outcome files of a run while it goes on.

Rule: a line counts when the journal has committed it; what stands behind that may be taken back.
The reader asks when it likes and keeps a place in each file, so nothing waits for it and nothing
piles up in memory.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from batcher.adapters.rundir import RunDirectory
from batcher.cli.parts import lengths_of, parts_of


class Following:
    """The places up to which the outcome files of one run were read."""

    def __init__(self, directory: RunDirectory) -> None:
        self._directory = directory
        self._read: dict[Path, int] = {}  # bytes of each file

    def lines(self, names: Sequence[str]) -> Iterator[bytes]:
        """Yield the lines of these files that were committed and not read yet."""
        if not self._directory.is_run:  # it was refused before it had a row, and taken away
            return

        for part in parts_of(self._directory):
            lengths = lengths_of(part)
            for name in names:
                yield from self._lines(part.path / name, lengths.get(name, 0))

    def _lines(self, path: Path, committed: int | None) -> Iterator[bytes]:
        """Yield what one file has beyond the last time; None = all of it is committed."""
        at = self._read.get(path, 0)
        if not path.exists():
            return

        with path.open("rb") as file:
            end = file.seek(0, 2) if committed is None else committed
            file.seek(at)
            while at < end and (line := file.readline()).endswith(b"\n"):
                at += len(line)
                self._read[path] = at
                yield line
