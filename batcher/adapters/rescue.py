"""`rescue.jsonl`: job ids that the journal could not take, beside it.

Rule: a line is added by one write and synced before anybody counts on it. Nobody holds the file
open: it is for the moment in which everything else fails. Whoever has taken every line over removes
it.
"""

from __future__ import annotations

import os
from pathlib import Path

from batcher.adapters.atomic import PRIVATE, sync_directory

BYTES_MAX = 16 * 1024**2  # a hundred thousand lines: there are never more submits open

_FLAGS = os.O_CLOEXEC | os.O_NOFOLLOW


class RescueFile:
    """The file; it is made by the first line. Every method blocks and raises `OSError`."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def append(self, lines: bytes) -> None:
        """Add whole lines durably."""
        fd = os.open(self.path, os.O_RDWR | os.O_APPEND | os.O_CREAT | _FLAGS, PRIVATE)
        try:
            size = os.fstat(fd).st_size
            torn = bool(size) and os.pread(fd, 1, size - 1) != b"\n"
            rest = memoryview(b"\n" + lines if torn else lines)
            while rest:
                rest = rest[os.write(fd, rest) :]

            os.fsync(fd)
        finally:
            os.close(fd)

        sync_directory(self.path.parent)

    def lines(self) -> list[bytes]:
        """Return the lines, whole or torn; none if there is no file."""
        try:
            fd = os.open(self.path, os.O_RDONLY | _FLAGS)
        except FileNotFoundError:
            return []

        with open(fd, "rb") as file:  # noqa: PTH123 - it is open already
            return file.read(BYTES_MAX).splitlines()

    def remove(self) -> None:
        """Remove the file durably."""
        self.path.unlink(missing_ok=True)
        sync_directory(self.path.parent)
