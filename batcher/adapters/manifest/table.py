"""A table as a manifest: the header names the columns, every record behind it is a row.

Rule: strict. A lenient reader lets a stray quote swallow the rows behind it, and what it makes of
them would be paid for; so a record that is not quite right is a bad line, with all that its quotes
hold together. An empty cell is absent, and every other value is a text: which type it should have
is not known here.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator
from typing import BinaryIO

from batcher.adapters.manifest.lines import TOO_LONG, Line, Lines, Opened, bad_line, is_cut
from batcher.core.errors import UsageError
from batcher.core.settings import LINE_BYTES_MAX


def csv_lines(opened: Opened) -> Lines:
    """Read a table; `number` counts the records behind the header, and blank lines are none."""
    feed = _Feed(opened)
    records = _csv_records(feed, _delimiter(opened.first))
    header = next(records, None)
    if header is None:
        return

    names = _column_names(header, feed, opened.source)
    for number, cells in enumerate(records, 1):
        reason = _csv_fault(cells, len(names), feed)
        if reason is not None:
            yield bad_line(number, reason, b"".join(feed.parts), feed.rest())
        elif values := {name: cell for name, cell in zip(names, cells, strict=False) if cell}:
            yield Line(number, values, is_text=True)


class _Feed:
    """Gives `csv.reader` its lines, and keeps the bytes of the record that it is in."""

    def __init__(self, opened: Opened) -> None:
        self.parts: list[bytes] = []
        self.is_utf8 = True
        self._size = 0
        self._opened = opened
        self._raw = iter(opened)

    def __iter__(self) -> _Feed:
        return self

    def __next__(self) -> str:
        raw = next(self._raw)
        self.parts.append(raw)
        self._size += len(raw)
        if self._size > LINE_BYTES_MAX:
            raise csv.Error(TOO_LONG)

        try:
            return raw.decode()
        except UnicodeDecodeError:
            self.is_utf8 = False
            return raw.decode("utf-8", "replace")

    def begin(self) -> None:
        """Forget the record before."""
        self.parts.clear()
        self.is_utf8 = True
        self._size = 0

    def rest(self) -> BinaryIO | None:
        """Return the stream if the record's last line has not been read to its end."""
        return self._opened.stream if self.parts and is_cut(self.parts[-1]) else None


def _csv_records(feed: _Feed, delimiter: str) -> Iterator[list[str] | str]:
    """Yield the cells of each record that is not blank, or why it cannot be read."""
    reader = csv.reader(feed, delimiter=delimiter, strict=True)
    while True:
        feed.begin()
        cells = _next_record(reader)
        if cells is None:
            return

        if cells:
            yield cells


def _next_record(reader: Iterator[list[str]]) -> list[str] | str | None:
    # The limit belongs to the whole process, so it is ours only for the length of this call.
    before = csv.field_size_limit(LINE_BYTES_MAX)
    try:
        return next(reader, None)
    except csv.Error as error:
        return f"is not CSV: {error}"
    finally:
        csv.field_size_limit(before)


def _csv_fault(cells: list[str] | str, columns: int, feed: _Feed) -> str | None:
    if isinstance(cells, str):
        span = len(feed.parts)
        return cells if span == 1 else f"{cells} (it spans {span} lines; is a quote missing?)"

    if not feed.is_utf8:
        return "is not UTF-8: save the table as `CSV UTF-8`"

    if len(cells) > columns and any(cells[columns:]):
        return f"has {len(cells)} cells, but the header has {columns}"

    return None


def _delimiter(header: bytes) -> str:
    """Return the likeliest of comma, semicolon and tab: the one that the header has most of."""
    bare = re.sub(rb'"[^"]*"?', b"", header)
    return max(",;\t", key=lambda mark: bare.count(mark.encode()))


def _column_names(header: list[str] | str, feed: _Feed, source: str) -> list[str]:
    reason = _csv_fault(header, len(header), feed)
    if reason is not None or isinstance(header, str):
        raise UsageError(f"{source}: the header {reason}")

    names = [name.strip() or f"column_{n}" for n, name in enumerate(header, 1)]
    twice = next((name for n, name in enumerate(names) if name in names[:n]), None)
    if twice is not None:
        raise UsageError(f"{source}: two columns are named {twice!r}; rename one")

    if any(name.startswith(("http://", "https://")) for name in names):
        raise UsageError(f"{source}: the first line must name the columns, such as `id,file_url`")

    return names
