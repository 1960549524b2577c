"""Laying text out on a terminal, where a character takes one cell, or two, or none.

Rule: what comes out of here is never wider than it was asked to be, and ends in no blanks: a
terminal that is made narrower would fold them into empty lines.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich.cells import cell_len
from rich.text import Text

GAP = 2  # cells between two things on a line


def cut(text: Text, width: int) -> Text:
    """Return *text* in at most *width* cells, with a mark where something is missing."""
    short = text.copy()
    short.rstrip()
    short.truncate(max(1, width), overflow="ellipsis")
    return short


def padded(text: str, width: int) -> str:
    """Return *text* with blanks behind it up to *width* cells."""
    return text + " " * (width - cell_len(text))


def sides(left: Text, right: Text, width: int, left_min: int) -> Iterator[Text]:
    """Yield *left* and *right* at the two ends of a line, or on two if *left* has no room left.

    *left_min* is what of *left* must be seen beside *right* at least.
    """
    room = width - right.cell_len - GAP
    if room < min(left.cell_len, left_min):
        yield cut(left, width)
        yield cut(right, width)
        return

    first = cut(left, room)
    yield Text.assemble(first, " " * (width - first.cell_len - right.cell_len), right)


def flowed(parts: Sequence[Text], width: int) -> Iterator[Text]:
    """Yield *parts* one behind the other, on as few lines as they fit on."""
    line = Text()
    for part in parts:
        gap = GAP if line else 0
        if line and line.cell_len + gap + cell_len(part.plain.rstrip()) > width:
            yield cut(line, width)
            line, gap = Text(), 0

        line = Text.assemble(line, " " * gap, part)

    if line:
        yield cut(line, width)


def bar(share: float, width: int) -> Text:
    """Return a bar of *width* cells, of which *share* is done."""
    done = min(width, int(share * width))
    style = "green" if share >= 1 else "cyan"
    return Text.assemble(("━" * done, style), ("─" * (width - done), "dim"))
