"""The manifest: what a person wants done, read one line at a time as `Entry` values.

Rule: whatever stands in a line, it becomes an entry, and a bad one says why (`Entry.problem`); only
a file that cannot be read any further ends the run (`UsageError`). Memory does not grow with the
manifest. Which API the rows are for is known to the `RowCheck` alone.

    .jsonl .ndjson   one JSON object a line; an outcome record stands for the row in it
    .csv .tsv        a header, then one record a row; comma, semicolon or tab
    .txt             one URL or path a line
    a folder         its images, and those in the folders in it; the path is `file` and `id`
    - or any other   standard input or a file: JSON lines if it begins with `{`, a table if not

Each of them but the folder may be compressed with gzip. The id of a row is its own or derived from
its content, so that the order of rows means nothing; the id of a line that cannot be read is
derived from its bytes: once mended, it is a new row.
"""

from __future__ import annotations

import gzip
import io
import stat
import sys
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path, PurePath
from typing import IO, BinaryIO, cast

from batcher.adapters.manifest.formats import RUN_FILE, image_files, json_lines, text_lines
from batcher.adapters.manifest.lines import Lines, Opened
from batcher.adapters.manifest.rows import RowCheck, RowReader, judge
from batcher.adapters.manifest.table import csv_lines
from batcher.core.errors import UsageError
from batcher.core.journal import Entry
from batcher.core.names import kind_of

__all__ = ["Manifest", "RowCheck", "count_rows", "judge", "open_manifest"]

STDIN = "-"
READ_BYTES = 262_144
COUNT_BYTES_MAX = 67_108_864  # a file above 64 MiB is counted by its beginning
HEAD_BYTES = 512  # enough to tell what a file is
TEXT_KINDS = ("json", "xml", "svg")
GZIP_MAGIC = b"\x1f\x8b"
FORMATS: dict[str, Callable[[Opened], Lines]] = {
    ".jsonl": json_lines,
    ".ndjson": json_lines,
    ".csv": csv_lines,
    ".tsv": csv_lines,
    ".txt": text_lines,
}


@dataclass(slots=True)
class Manifest:
    """A manifest that is there; `entries` reads it."""

    source: str  # as the user wrote it
    base: str  # absolute folder that relative files are resolved against
    is_folder: bool
    skipped: frozenset[str] = frozenset()  # folders in it that are not read, as real paths
    stdin: BinaryIO | None = None
    is_table: bool = False  # its lines are counted as records; known once `entries` has begun

    def entries(
        self, check: RowCheck, *, limit: int | None = None, judged: bool = True
    ) -> Iterator[Entry]:
        """Read the first *limit* rows, lazily; bad rows count, blank lines do not.

        Not *judged*: an entry says what is wrong with its line or its id, and no more. Whoever is
        going to use the row asks `judge` for the rest, its local files among it.

        Can be called again, except for standard input. Raises `UsageError`, with the file and the
        line, if the file cannot be read any further.
        """
        rows = RowReader(self.base, check, judged=judged)
        number = 0
        try:
            with self._lines() as lines:
                for line in islice(lines, limit):
                    number = line.number
                    yield rows.entry(line)
        except (EOFError, OSError, zlib.error) as error:
            raise UsageError(
                f"{self.source}: cannot be read after line {number}: {_reason(error)}"
            ) from error

    @contextmanager
    def _lines(self) -> Iterator[Lines]:
        if self.is_folder:
            yield image_files(self.base, self.skipped)
        elif self.stdin is not None:
            yield self._read(self.stdin)
        else:
            with Path(self.source).open("rb", buffering=READ_BYTES) as file:
                yield self._read(file)

    def _read(self, file: BinaryIO) -> Lines:
        name = PurePath("" if self.stdin is not None else self.source.lower())
        packed = cast("io.BufferedReader", file).peek(2)[:2] == GZIP_MAGIC
        if name.suffix == ".gz":
            name, packed = name.with_suffix(""), True

        text = _unpacked(file) if packed else file
        _refuse_other_kinds(self.source, cast("io.BufferedReader", text).peek(HEAD_BYTES))
        opened = Opened.at(self.source, text)
        read = FORMATS.get(name.suffix, _likely_format(opened))
        self.is_table = read is csv_lines
        return read(opened)


def open_manifest(
    source: str, *, skip: Iterable[Path] = (), stdin: BinaryIO | None = None
) -> Manifest:
    """Find a manifest: a file, a folder of images, or `-` for standard input.

    *skip* are folders that must not be read even if they are in it, such as the one that results
    are fetched into. Raises `UsageError` if there is no such manifest.
    """
    if source == STDIN:
        return Manifest(source, str(Path.cwd()), is_folder=False, stdin=stdin or sys.stdin.buffer)

    path = Path(source).absolute()
    try:
        str(path).encode()
    except UnicodeEncodeError:
        raise UsageError(
            f"manifest {source!r}: its path is not UTF-8, and records could not name it; move it"
        ) from None

    try:
        is_folder = stat.S_ISDIR(path.stat().st_mode)
    except (OSError, ValueError) as error:
        raise UsageError(f"manifest {source!r} cannot be read: {_reason(error)}") from error

    if not is_folder:
        return Manifest(source, str(path.parent), is_folder=False)

    if path.suffix.lower() in (*FORMATS, ".gz"):
        raise UsageError(f"{source}: is a folder, but has the name of a file of rows; rename it")

    if (path / RUN_FILE).exists():
        raise UsageError(f"{source}: is a run directory, not a manifest; try `batcher resume`")

    skipped = frozenset(str(folder.resolve()) for folder in skip)
    return Manifest(source, str(path), is_folder=True, skipped=skipped)


def count_rows(source: str) -> int | None:
    """Count the rows of a plain file roughly, by its newlines; None where that takes reading it.

    Good enough for a progress bar and for nothing else. Raises `UsageError` if it is not there.
    """
    path = Path(source)
    try:
        if source == STDIN or not path.is_file():
            return None

        with path.open("rb") as file:
            return _count(file, path)
    except OSError as error:
        raise UsageError(f"manifest {source!r} cannot be read: {_reason(error)}") from error


def _count(file: IO[bytes], path: Path) -> int | None:
    newlines = seen = 0
    last = b""
    while seen < COUNT_BYTES_MAX and (part := file.read(READ_BYTES)):
        if not seen and part.startswith(GZIP_MAGIC):
            return None

        newlines += part.count(b"\n")
        seen += len(part)
        last = part

    rows = newlines + (not last.endswith(b"\n") and seen > 0)
    if seen >= COUNT_BYTES_MAX:
        rows = rows * path.stat().st_size // seen

    return max(0, rows - (FORMATS.get(path.suffix.lower()) is csv_lines))


def _unpacked(file: BinaryIO) -> BinaryIO:
    return io.BufferedReader(gzip.GzipFile(fileobj=file), READ_BYTES)


def _refuse_other_kinds(source: str, head: bytes) -> None:
    """Raise `UsageError` for what no manifest begins like: an image, a spreadsheet, a PDF."""
    kind = kind_of(head[:HEAD_BYTES])
    if kind is None or kind[1].startswith("text/") or kind[0] in TEXT_KINDS:
        return

    if kind[1].startswith("image/"):
        raise UsageError(
            f"{source}: is an image ({kind[0]}), not a manifest; name its folder, or a list of rows"
        )

    save = "; save a spreadsheet as CSV UTF-8" if kind[0] == "zip" else ""
    raise UsageError(f"{source}: is a {kind[0]} file, not a manifest{save}")


def _likely_format(opened: Opened) -> Callable[[Opened], Lines]:
    return json_lines if opened.first.lstrip().startswith((b"{", b"[")) else csv_lines


def _reason(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error)
