"""How much room is left on the disks that a run writes to.

Rule: only what the system says for certain counts. A folder that cannot be asked, and a file system
that does not count its blocks (some of FUSE), say nothing. A quota of the user is not seen here:
whoever writes meets it.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path


class LocalDisks:
    """The disks of some folders."""

    def __init__(self, folders: Iterable[Path]) -> None:
        self._folders = tuple(folders)

    def tightest(self) -> tuple[str, int] | None:
        """Return the folder with the fewest free bytes and their number; None = nobody can tell.

        What is kept for the superuser does not count as free. Blocks.
        """
        return min(self._measured(), key=lambda found: found[1], default=None)

    def _measured(self) -> Iterator[tuple[str, int]]:
        for folder in self._folders:
            try:
                found = os.statvfs(folder)
            except OSError:
                continue

            if found.f_blocks:
                yield str(folder), found.f_bavail * found.f_frsize
