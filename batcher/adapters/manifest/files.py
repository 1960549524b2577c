"""The local files that a row names: found, measured, or what is wrong with them.

Rule: looked up when the manifest is read, and in the same way once more right before a row is sent,
for hours may lie between. Nothing is opened but a regular file, and of that only the header of a
picture is read: whose pixels cannot be told, for whatever reason, is a file all the same.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path

import orjson

from batcher.core.model import LocalFile
from batcher.core.pictures import Pixels, pixels_of

FILES_MAX = 100  # of one row: an API takes a handful


def file_names(said: object) -> list[object]:
    """Return what a row's `file` names: one path or a list of them; nothing if it is null."""
    if said is None:
        return []

    return said if isinstance(said, list) else [said]


def as_list(cell: object) -> object:
    """Return the list of paths that a table's cell spells out as JSON, or the cell as it is."""
    if not isinstance(cell, str) or not cell.lstrip().startswith("["):
        return cell

    try:
        names = orjson.loads(cell)
    except orjson.JSONDecodeError:
        return cell  # a path may begin with a bracket

    return names if names and all(isinstance(name, str) for name in names) else cell


def found_files(said: object, base: str) -> tuple[LocalFile, ...] | str:
    """Return the files that a row's `file` names, in its order, or what is wrong with them.

    Relative paths are below *base*. The text goes on from the word `file`.
    """
    if said is None:
        return ()

    names = file_names(said)
    if said == [] or len(names) > FILES_MAX:
        return f"names {len(names)} files; write one path, or a list of up to {FILES_MAX}"

    files = []
    for name in names:
        file = _found(name, base)
        if isinstance(file, str):
            return file

        files.append(file)

    return tuple(files)


def base_of(said: object, base: str) -> str | None:
    """Return *base* if any path of a row's `file` is relative to it, else None."""
    names = [name for name in file_names(said) if isinstance(name, str)]
    return base if any(not name.startswith("/") for name in names) else None


def _found(name: object, base: str) -> LocalFile | str:
    """Find and measure one file, or say why it cannot be uploaded."""
    if not isinstance(name, str) or not name or "\0" in name:
        return "must be a path"

    path = Path(base, name)
    try:
        status = path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return f"{name!r} does not exist (looked for {path})"
    except OSError as error:
        return f"{name!r} cannot be read: {error.strerror}"

    if not stat.S_ISREG(status.st_mode):
        return f"{name!r} is not a regular file"

    if not os.access(path, os.R_OK):
        return f"{name!r} cannot be read: permission denied"

    return LocalFile(str(path), status.st_size, _pixels(path))


def _pixels(path: Path) -> Pixels | None:
    """Return how large a picture is, where its header can be read and says so."""
    try:
        # Not blocking: it may have become a pipe meanwhile.
        number = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return None

    try:
        return pixels_of(lambda offset, size: os.pread(number, size, offset))
    except OSError:
        return None
    finally:
        os.close(number)
