"""What a folder is good for: tried with files that are thrown away.

Rule: nothing of it stays, and no folder is made that was not there.
"""

from __future__ import annotations

import fcntl
import os
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

BYTES: Final = b"batcher\n" * 512  # a page
SYNCS: Final = 3  # of which the fastest counts: the first one may pay for others


@dataclass(frozen=True, slots=True)
class Fitness:
    """What came of it. `problem` None: files can be written, synced and locked."""

    problem: str | None = None
    sync_s: float = 0.0


def nearest(path: Path) -> Path:
    """Return *path* or the nearest folder above it that is there."""
    path = path.absolute()
    return next((one for one in (path, *path.parents) if one.is_dir()), Path("/"))


def fitness_of(
    folder: Path, clock: Callable[[], float], also: Callable[[Path], str | None]
) -> Fitness:
    """Write, sync and lock a file in a folder inside *folder*, and ask *also* of that folder."""
    try:
        with tempfile.TemporaryDirectory(prefix=".batcher-doctor-", dir=folder) as name:
            sync_s = _synced(Path(name, "probe"), clock)
            return Fitness(also(Path(name)), sync_s)
    except OSError as error:
        return Fitness(error.strerror or str(error))


def _synced(path: Path, clock: Callable[[], float]) -> float:
    took_s = []
    with path.open("wb") as file:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        for _ in range(SYNCS):
            began = clock()
            file.write(BYTES)
            file.flush()
            os.fsync(file.fileno())
            took_s.append(clock() - began)

    return min(took_s)
