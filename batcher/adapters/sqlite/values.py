"""Many rows of values in one statement.

Rule: what `executemany` does row by row is done by a handful of statements, whatever the rows hold:
they are bound and not spelled, so every number and text arrives as it is. Each run of a statement
lets go of Python's lock and has to get it back, and that costs more than the row itself.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from itertools import chain
from typing import Any, Final

from batcher.adapters.sqlite import statements as sql

MANY: Final = 64  # rows in one statement; what is left over goes in by
FEW: Final = 16  # and less. So a statement is compiled in 17 sizes at most, and each is kept


def write_all(db: sqlite3.Connection, statement: str, rows: Sequence[tuple[Any, ...]]) -> int:
    """Run *statement*, which has VALUES of one row, for all *rows*; return how many it changed."""
    changed = start = 0
    while (left := len(rows) - start) > 0:
        size = MANY if left >= MANY else min(left, FEW)
        values = [*chain.from_iterable(rows[start : start + size])]
        changed += db.execute(sql.for_rows(statement, size), values).rowcount
        start += size

    return changed
