"""Where downloaded files go: a folder, and in it subfolders for the rows of a large run.

Rule: a folder is durable before a file in it is: the directory that names it is synced once in
every process, whoever made it. A subfolder is opened without following a link, so nothing that
stands in the folder can lead out of it.
"""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass
from pathlib import Path

from batcher.adapters.atomic import sync_directory

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
_PRIVATE = 0o700


@dataclass(frozen=True, slots=True)
class Place:
    """Where one file goes: `stem`.ENDING in `subfolder` ("" = none) of `folder`."""

    folder: Path
    stem: str
    subfolder: str = ""

    @property
    def path(self) -> Path:
        """The folder that the file is in."""
        return self.folder / self.subfolder if self.subfolder else self.folder

    @property
    def is_safe(self) -> bool:
        """Whether both names are single components, as `core.names` makes them."""
        return not any(
            "/" in name or "\0" in name or name.startswith(".")
            for name in (self.stem, self.subfolder)
        )


class Folders:
    """Opens folders, and makes those that are not there. Blocks: for worker threads."""

    def __init__(self) -> None:
        self._durable: set[Path] = set()

    def opened(self, place: Place) -> int:
        """Return a descriptor of the folder that a file goes to. Raises `OSError`."""
        folder = self._opened_folder(place.folder)
        if not place.subfolder:
            return folder

        try:
            return self._opened_below(folder, place)
        finally:
            os.close(folder)

    def _opened_folder(self, folder: Path) -> int:
        folder.mkdir(mode=_PRIVATE, parents=True, exist_ok=True)
        if folder not in self._durable:
            with contextlib.suppress(PermissionError):  # somebody else's: it was there before
                sync_directory(folder.parent)

            self._durable.add(folder)

        return os.open(folder, _FOLDER)

    def _opened_below(self, folder: int, place: Place) -> int:
        made = True
        try:
            os.mkdir(place.subfolder, _PRIVATE, dir_fd=folder)
        except FileExistsError:
            made = False

        if made or place.path not in self._durable:
            os.fsync(folder)
            self._durable.add(place.path)

        return os.open(place.subfolder, _FOLDER | os.O_NOFOLLOW, dir_fd=folder)
