"""Rows that a program has: written down as the manifest of the run, before anything else.

Rule: what the run was told to do is on disk with it, so that it can go on after any crash, by the
same call or by `batcher resume`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import orjson

from batcher.adapters.atomic import replacing
from batcher.core.errors import StorageError, UsageError

NAME = "rows.jsonl"  # in the run directory


def write_rows(path: Path, rows: Iterable[Mapping[str, object]]) -> None:
    """Write *rows* as a manifest, one at a time. Relative files are those of the present folder.

    Raises `UsageError` for what is no row, `StorageError`, and whatever *rows* raises itself.
    """
    own: list[OSError] = []  # of the program, whose rows may come from a network or another disk
    try:
        with replacing(path) as file:
            for line in _lines(rows, own):
                file.write(line)
    except OSError as error:
        if error in own:
            raise

        raise StorageError(f"{path}: {error.strerror or error}") from error


def _lines(rows: Iterable[Mapping[str, object]], own: list[OSError]) -> Iterator[bytes]:
    folder = Path.cwd()
    try:
        for number, row in enumerate(rows, 1):
            yield _line(number, row, folder)
    except OSError as error:
        own.append(error)
        raise


def _line(number: int, row: Mapping[str, object], folder: Path) -> bytes:
    if not isinstance(row, Mapping):
        raise UsageError(f"row {number}: is a {type(row).__name__}; give mappings, such as dicts")

    named = {"file": _absolute(row["file"], folder)} if "file" in row else {}
    try:
        return orjson.dumps({**row, **named}, default=_plain) + b"\n"
    except TypeError as error:
        raise UsageError(f"row {number}: cannot be written as JSON: {error}") from error


def _absolute(value: object, folder: Path) -> object:
    """Return where a file is, whatever folder the run lies in."""
    if isinstance(value, list | tuple):
        return [_absolute(each, folder) for each in value]

    return str(folder / value) if isinstance(value, str | Path) and value else value


def _plain(value: object) -> object:
    if isinstance(value, Path):
        return str(value)

    raise TypeError(f"{type(value).__name__} is no type of JSON")
