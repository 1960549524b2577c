"""Replacing a file so that whoever reads it sees the old one or the new one, whole.

Rule: write beside it, sync, rename over it, sync the directory. A crash at any point leaves the old
file and perhaps a hidden `.NAME.tmp`, which the next attempt overwrites. One writer for each file.
Others of this layer import it, because it knows nothing but files.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

PRIVATE = 0o600  # records hold signed URLs, and rows hold what their owner put there


@contextmanager
def replacing(path: Path) -> Iterator[BinaryIO]:
    """Open a new, private file that takes the place of *path* when the block ends well.

    If the block or a write fails, *path* stays as it is. Raises `OSError`.
    """
    beside = path.with_name(f".{path.name}.tmp")
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW
    try:
        with open(os.open(beside, flags, PRIVATE), "wb") as file:  # noqa: PTH123 - takes our flags
            yield file
            file.flush()
            os.fsync(file.fileno())

        beside.replace(path)
    except BaseException:
        beside.unlink(missing_ok=True)
        raise

    sync_directory(path.parent)


def write_atomically(path: Path, data: bytes) -> None:
    """Make *data* the whole content of *path*, durably. Raises `OSError`."""
    with replacing(path) as file:
        file.write(data)


def sync_directory(path: Path) -> None:
    """Make new names in a directory durable: a synced file without its name is lost."""
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
