"""How an API takes a row's local files: by which names, of which types, how large, how many.

Rule: a file is judged by its name, its size and what is known of its pixels; nothing opens it here.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import PurePath

from batcher.core.exchange import FilePart
from batcher.core.model import LocalFile
from batcher.providers.base import Files, Problem
from batcher.providers.reading import WORD_CHARS_MAX, clean

_FILENAME = re.compile(r"[^A-Za-z0-9._-]+")


@dataclass(frozen=True, slots=True)
class Upload:
    """How an API takes local files. None = it names no such limit."""

    field: str  # of a single file
    types: Mapping[str, str]  # extension in lower case with its dot -> MIME type
    field_of_several: str | None = None  # of each of several files; None: one is taken
    bytes_max: int | None = None  # of one file
    bytes_total_max: int | None = None  # of all of them together
    side_pixels: tuple[int, int] | None = None  # least and most, of width and height each

    def problems(self, files: Files) -> list[Problem]:
        """Return what is wrong with a row's files: their number, names, sizes and pixels."""
        if len(files) > 1 and self.field_of_several is None:
            return [
                Problem(
                    "file", f"names {len(files)} files; one is taken, so give each a row of its own"
                )
            ]

        texts = [text for file in files for text in self._faults(file)]
        total = sum(file.size_bytes for file in files)
        if len(files) > 1 and self.bytes_total_max is not None and total > self.bytes_total_max:
            texts.append(
                f"names {len(files)} files of {total:,} bytes together; "
                f"at most {self.bytes_total_max:,} are taken in one request"
            )

        return [Problem("file", text) for text in texts]

    def _faults(self, file: LocalFile) -> Iterator[str]:
        """Yield what is wrong with one file."""
        name = name_of(file)
        if _extension(file) not in self.types:
            yield f"{name} has no extension that is taken: {', '.join(self.types)}"

        if file.size_bytes == 0:
            yield f"{name} is empty"

        if self.bytes_max is not None and file.size_bytes > self.bytes_max:
            yield f"{name} has {file.size_bytes:,} bytes; at most {self.bytes_max:,} are taken"

        if self.side_pixels is not None and file.pixels is not None:
            least, most = self.side_pixels
            if not all(least <= side <= most for side in file.pixels):
                shown = "x".join(map(str, file.pixels))
                yield f"{name} is {shown} pixels; each side must be {least} to {most}"

    def parts(self, files: Files) -> tuple[FilePart, ...]:
        """Return the multipart parts of a row's files."""
        several = self.field_of_several if len(files) > 1 else None
        return tuple(self._part(several or self.field, file) for file in files)

    def _part(self, field: str, file: LocalFile) -> FilePart:
        """Return the multipart part of a file, under a name that every server can read."""
        extension = _extension(file)
        name = _FILENAME.sub("_", PurePath(file.path).stem)[:WORD_CHARS_MAX] or "image"
        content_type = self.types[extension]
        return FilePart(field, file.path, f"{name}{extension}", content_type, file.size_bytes)


def name_of(file: LocalFile) -> str:
    """Return a file's own name for a message."""
    return clean(PurePath(file.path).name, WORD_CHARS_MAX)


def _extension(file: LocalFile) -> str:
    return PurePath(file.path).suffix.lower()
