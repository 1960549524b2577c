"""The local files of a row, looked up once more right before it is sent."""

from __future__ import annotations

from collections.abc import Mapping

from batcher.adapters.manifest.files import found_files
from batcher.core.model import ErrorKind, LocalFile, RowError


class RowUnusable(Exception):
    """A row cannot be sent any more: nothing was."""

    def __init__(self, error: RowError) -> None:
        super().__init__(error.message)
        self.error = error


def local_files(values: Mapping[str, object], base: str | None) -> tuple[LocalFile, ...]:
    """Return the files that a row names, in its order, as the manifest's check found them."""
    found = found_files(values.get("file"), base or "")
    if isinstance(found, str):
        raise RowUnusable(RowError(ErrorKind.INVALID_ROW, f"file {found}"))

    return found
