"""The lines of a manifest, whatever its format: readable or not, numbered, bounded.

Rule: never more in memory than one line, and never a line above `LINE_BYTES_MAX`; what is longer is
read to its end, dropped, and known by its beginning and its digest.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from itertools import chain
from typing import Any, BinaryIO

import msgspec

from batcher.core.errors import UsageError
from batcher.core.settings import LINE_BYTES_MAX, RAW_CHARS_MAX

BOM = b"\xef\xbb\xbf"
BLANK = b" \t\r\n"
DRAIN_BYTES = 65_536
NOT_UTF8 = "is not UTF-8; save the file as UTF-8"
TOO_LONG = f"is longer than {LINE_BYTES_MAX:,} bytes"


class Line(msgspec.Struct, frozen=True):
    """One line that could be read."""

    number: int
    values: dict[str, Any]
    body: bytes | None = None  # the line itself, where it is JSON
    is_text: bool = False  # every value is a text, because the format knows nothing else
    id: str | None = None  # given by the format, not by a value


class BadLine(msgspec.Struct, frozen=True):
    """One line that could not be read."""

    number: int
    reason: str
    text: str  # its beginning
    digest: bytes  # sha256 of all of it


Lines = Iterator[Line | BadLine]


@dataclass(frozen=True, slots=True)
class Opened:
    """A manifest's bytes, with its first line in hand."""

    source: str
    stream: BinaryIO
    first: bytes  # the first line that is not blank, without a byte order mark; b"" = there is none
    number: int  # of that line, from 1

    @classmethod
    def at(cls, source: str, stream: BinaryIO) -> Opened:
        """Read up to the first line that is not blank."""
        first, number = stream.readline(LINE_BYTES_MAX + 1), 1
        if first.startswith((b"\xff\xfe", b"\xfe\xff")):
            raise UsageError(f"{source}: is UTF-16; save it as UTF-8")

        first = first.removeprefix(BOM)
        while first and not first.strip(BLANK):
            first = stream.readline(LINE_BYTES_MAX + 1)
            number += 1

        return cls(source, stream, first, number)

    def __iter__(self) -> Iterator[bytes]:
        """Return every line; one without a newline that is longer than the limit is cut there."""
        others = iter(partial(self.stream.readline, LINE_BYTES_MAX + 1), b"")
        return chain((self.first,), others) if self.first else others


def is_cut(raw: bytes) -> bool:
    """Whether this is only the beginning of a line, because it is too long."""
    return len(raw) > LINE_BYTES_MAX and not raw.endswith(b"\n")


def bad_line(number: int, reason: str, raw: bytes, rest: BinaryIO | None = None) -> BadLine:
    """Describe a line by its beginning and its digest; what is left of it is read and dropped."""
    text = raw[: 4 * RAW_CHARS_MAX].strip(BLANK).decode("utf-8", "replace")[:RAW_CHARS_MAX]
    digest = hashlib.sha256(raw.strip(BLANK))
    while rest is not None and (part := rest.readline(DRAIN_BYTES)):
        digest.update(part)
        if part.endswith(b"\n"):
            break

    return BadLine(number, reason, text, digest.digest())
