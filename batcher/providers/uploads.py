"""How an API takes one local file: by which name, of which types, how large.

Rule: a file is judged by its name and size only; nothing here opens it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import PurePath

from batcher.core.exchange import FilePart
from batcher.core.model import LocalFile
from batcher.providers.base import Files, Problem
from batcher.providers.reading import WORD_CHARS_MAX, clean

_FILENAME = re.compile(r"[^A-Za-z0-9._-]+")


@dataclass(frozen=True, slots=True)
class Upload:
    """How an API takes a local file: the field's name, the types by extension, the size."""

    field: str
    types: Mapping[str, str]  # extension in lower case with its dot -> MIME type
    bytes_max: int | None = None

    def problems(self, files: Files) -> list[Problem]:
        """Return what is wrong with a row's files, judged by their number, names and sizes."""
        if len(files) > 1:
            return [Problem("file", f"names {len(files)} files; one is taken")]

        return [problem for file in files for problem in self._file_problems(file)]

    def _file_problems(self, file: LocalFile) -> list[Problem]:
        extension = PurePath(file.path).suffix.lower()
        found = []
        if extension not in self.types:
            allowed = ", ".join(self.types)
            name = clean(PurePath(file.path).name)
            found.append(Problem("file", f"{name} has no extension that is taken: {allowed}"))

        if file.size_bytes == 0:
            found.append(Problem("file", "is empty"))

        if self.bytes_max is not None and file.size_bytes > self.bytes_max:
            size = f"has {file.size_bytes:,} bytes; at most {self.bytes_max:,} are taken"
            found.append(Problem("file", size))

        return found

    def parts(self, files: Files) -> tuple[FilePart, ...]:
        """Return the multipart parts of a row's files."""
        return tuple(map(self.part, files))

    def part(self, file: LocalFile) -> FilePart:
        """Return the multipart part of a file, under a name that every server can read."""
        path = PurePath(file.path)
        extension = path.suffix.lower()
        name = _FILENAME.sub("_", path.stem)[:WORD_CHARS_MAX] or "image"
        return FilePart(self.field, file.path, f"{name}{extension}", self.types[extension])
