"""A stretch of the manifest that lies in the journal as it lies in the file, and is over.

Rule: it is told from ids and contents alone, each in its place, and one comparison tells it for a
whole batch; whatever is not exactly so is looked at line by line (`admission.py`). Nothing leaves
`succeeded` or `failed`, so nothing has to be written: which stretches this pass has met is kept in
memory, two numbers for each that does not touch another, and a batch is never less than one.
"""

from __future__ import annotations

import sqlite3
from bisect import bisect_right
from collections.abc import Sequence
from typing import Final

from batcher.adapters.sqlite import statements as sql
from batcher.core.journal import Entry

LINES_MIN: Final = 100  # of a stretch: fewer are looked at one by one, and noted in the file
BETWEEN: Final = "\n"  # stands in no id that a manifest may have; if it does, nothing is compared


class Stretches:
    """The numbers of the rows that this pass has met in such stretches, once each."""

    def __init__(self) -> None:
        self._firsts: list[int] = []  # ascending, and no two stretches touch
        self._lasts: list[int] = []

    def __contains__(self, n: int) -> bool:
        place = bisect_right(self._firsts, n)
        return place > 0 and n <= self._lasts[place - 1]

    def __len__(self) -> int:
        return len(self._firsts)

    def crosses(self, first: int, last: int) -> bool:
        """Return whether any row from *first* to *last* was met."""
        place = bisect_right(self._firsts, last)
        return place > 0 and self._lasts[place - 1] >= first

    def add(self, first: int, last: int) -> None:
        """Note a stretch that crosses none of the others."""
        place = bisect_right(self._firsts, first)
        if place < len(self._firsts) and self._firsts[place] == last + 1:
            last = self._lasts[place]
            del self._firsts[place], self._lasts[place]

        if place and self._lasts[place - 1] == first - 1:
            self._lasts[place - 1] = last
        else:
            self._firsts.insert(place, first)
            self._lasts.insert(place, last)


def settled(
    db: sqlite3.Connection, epoch: int, entries: Sequence[Entry], met: Stretches
) -> tuple[int, int] | None:
    """Return the first and the last row of *entries* if all of them are over and not met yet."""
    if len(entries) < LINES_MIN:
        return None

    found = db.execute(sql.NUMBER_OF, (entries[0].id,)).fetchone()
    if found is None:
        return None

    first = int(found[0])
    last = first + len(entries) - 1
    if met.crosses(first, last):
        return None

    # One step in SQLite, in which the other threads go on.
    number, ids, digests = db.execute(sql.ENDED_BETWEEN, (epoch, first, last)).fetchone()
    wanted = BETWEEN.join([entry.id for entry in entries])
    if (
        number == len(entries)
        and ids == wanted.encode()
        and wanted.count(BETWEEN) == number - 1
        and digests == b"".join([entry.digest for entry in entries])
    ):
        return first, last

    return None
