"""A folder of this process for readers that take a path; it goes with the process."""

from __future__ import annotations

import atexit
import shutil
import tempfile
from functools import cache
from pathlib import Path

from tests.support.pictures import png


@cache
def scratch() -> Path:
    """Return the folder; it has one picture in it, `a.png`."""
    folder = Path(tempfile.mkdtemp(prefix="batcher-fuzz-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    (folder / "a.png").write_bytes(png(64, 64))
    return folder


def written(name: str, data: bytes) -> Path:
    """Write a file into the folder and return its path."""
    path = scratch() / name
    path.write_bytes(data)
    return path
