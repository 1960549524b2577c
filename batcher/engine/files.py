"""The local files of a row, looked up once more right before it is sent."""

from __future__ import annotations

import stat
from collections.abc import Mapping
from pathlib import Path

from batcher.core.model import ErrorKind, LocalFile, RowError


class RowUnusable(Exception):
    """A row cannot be sent any more: nothing was."""

    def __init__(self, error: RowError) -> None:
        super().__init__(error.message)
        self.error = error


def local_files(values: Mapping[str, object], base: str | None) -> tuple[LocalFile, ...]:
    """Return the files that a row names, in its order: one name or a list of them."""
    said = values.get("file")
    names = said if isinstance(said, list) else [said]
    return tuple(_measured(name, base) for name in names if isinstance(name, str) and name)


def _measured(name: str, base: str | None) -> LocalFile:
    path = Path(base or "", name)
    try:
        status = path.stat()
    except (OSError, ValueError) as failure:
        reason = getattr(failure, "strerror", None) or str(failure)
        raise RowUnusable(_gone(path, reason)) from failure

    if not stat.S_ISREG(status.st_mode):
        raise RowUnusable(_gone(path, "not a regular file"))

    return LocalFile(str(path), status.st_size)


def _gone(path: Path, reason: str) -> RowError:
    return RowError(ErrorKind.INVALID_ROW, f"file {path}: {reason}")
