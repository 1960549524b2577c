"""The money of a journal's ledger, added up by the question that `docs/journal.md` gives for it."""

from __future__ import annotations

import re
import sqlite3
from contextlib import closing
from pathlib import Path

PAGE = Path(__file__).resolve().parents[2] / "docs" / "journal.md"


def added_up(path: Path) -> dict[str, int]:
    """Add up what the counters must say, from beside the journal's owner."""
    page = PAGE.read_text(encoding="utf-8")
    (question,) = re.findall(r"SELECT count\(cost\) AS jobs_priced.*?;", page, flags=re.DOTALL)
    with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)) as db:
        cursor = db.execute(question)
        names = [name for name, *_ in cursor.description]
        return {name: n or 0 for name, n in zip(names, cursor.fetchone(), strict=True)}
