"""Many rows of values in one statement.

Rule: what `executemany` does row by row is done by a few statements, whatever the rows hold:
they are bound and not spelled, so every number and text arrives as it is. Each run of a statement
lets go of Python's lock and has to get it back, and that costs more than the row itself.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from itertools import chain
from typing import Any, Final

from batcher.adapters.sqlite import statements as sql

MANY: Final = 128  # rows in one statement at most; else a multiple of
STEP: Final = 16  # and then what is left. So it is compiled in 23 sizes, and each is kept


def write_all(db: sqlite3.Connection, statement: str, rows: Sequence[tuple[Any, ...]]) -> int:
    """Run *statement*, which has VALUES of one row, for all *rows*; return how many it changed."""
    changed = start = 0
    while (left := len(rows) - start) > 0:
        size = min(left - left % STEP, MANY) or left
        values = [*chain.from_iterable(rows[start : start + size])]
        changed += db.execute(sql.for_rows(statement, size), values).rowcount
        start += size

    return changed
