"""Which manifest lines the journal knows already.

Rule: an id is a row, the first line with it counts, and the answer is the same in whatever order
the lines come on a later pass. Nothing here moves a row: it only adds rows and notes that they
were met. What a pass has met is kept in the file (`met`), so that memory stays flat; but for whole
batches of rows that are over (`settled.py`), where two numbers are enough.

Theory of operation
-------------------
A manifest that is read again lies in the journal as it lies in the file. So the rows between the
first and the last line of a batch are read as they lie there, and only what is not among them is
looked up by its id.

Lines of equal id and equal content are told apart by counting. The first such line of a pass is
the row. If the id was derived from the content, the k-th is a row of its own, named `id-k`.
Otherwise it is a *copy*: a repetition that is to be rejected, with a row of its own so that it is
rejected once and not at every start. A line of known id with other content is either a copy that an
earlier pass has seen, or a new copy (the row was met in this pass), or the row was edited.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import Any, Final

import msgspec
import orjson

from batcher.adapters.sqlite import reading
from batcher.adapters.sqlite import statements as sql
from batcher.adapters.sqlite.settled import Stretches, settled
from batcher.adapters.sqlite.values import write_all
from batcher.core.journal import Admission, Entry, Standing
from batcher.core.model import Row, Ticket

STRETCH: Final = 2  # rows that may lie in the journal where a batch has one
STANDINGS: Final = {
    "pending": Standing.FRESH,
    "intent": Standing.FOLLOWED,
    "accepted": Standing.FOLLOWED,
    "ready": Standing.FOLLOWED,
    "succeeded": Standing.ENDED,
    "failed": Standing.ENDED,
    "exhausted": Standing.ENDED,
    "in_doubt": Standing.ENDED,
}


def admit(
    db: sqlite3.Connection,
    epoch: int,
    entries: Sequence[Entry],
    stretches: Stretches,
    *,
    allow_changed: bool,
) -> tuple[list[Admission], int]:
    """Say how each entry stands, and return that with the number of rows added."""
    stretch = settled(db, epoch, entries, stretches)
    if stretch is not None:
        stretches.add(*stretch)  # nothing is written, so nothing of it can be taken back
        return [Admission(entry, Standing.ENDED) for entry in entries], 0

    desk = _Desk(db, epoch, stretches, allow_changed=allow_changed)
    if entries:
        desk.look_up([entry.id for entry in entries])

    admissions = [desk.place(entry) for entry in entries]
    return admissions, desk.write()


class _Known(msgspec.Struct):
    """A row, as far as an entry is compared with it."""

    n: int
    digest: bytes
    state: str
    line: int
    generation: int
    base: str | None
    times: int  # lines with this id and content that this pass has met


class _Desk:
    """The rows that one call is about. Additions are gathered and written at its end."""

    def __init__(
        self,
        db: sqlite3.Connection,
        epoch: int,
        stretches: Stretches,
        *,
        allow_changed: bool,
    ) -> None:
        self._db = db
        self._epoch = epoch
        self._stretches = stretches
        self._allow_changed = allow_changed
        self._rows: dict[str, _Known] = {}
        self._copies: dict[tuple[str, bytes, int], _Known] = {}
        self._added: list[tuple[Any, ...]] = []
        self._met: dict[int, int] = {}
        (self._last,) = db.execute(sql.LAST_NUMBER).fetchone()

    def look_up(self, ids: list[str]) -> None:
        """Read all rows of these ids: one after the other as they lie, and the others by id."""
        first, last = self._find(ids[0]), self._find(ids[-1])
        if first and last and 0 < last.n - first.n < STRETCH * len(ids):
            self._keep(self._db.execute(sql.KNOWN_BETWEEN, (self._epoch, first.n, last.n)))

        others = [row_id for row_id in ids if row_id not in self._rows]
        if not others:
            return

        listed = orjson.dumps(others).decode()
        self._keep(self._db.execute(sql.KNOWN, (self._epoch, listed)))
        for row_id in others:
            if "\0" in row_id:  # SQLite's JSON ends a text there
                self._find(row_id)

    def _keep(self, found: sqlite3.Cursor) -> None:
        for row_id, *values in found:
            known = self._rows[row_id] = _Known(*values)
            if not known.times and known.n in self._stretches:
                known.times = 1

    def place(self, entry: Entry) -> Admission:
        """Say how *entry* stands."""
        known = self._rows.get(entry.id)
        if known is None:
            return self._add(entry, Standing.FRESH)

        if known.digest != entry.digest:
            return self._place_other_content(known, entry)

        times = self._meet(known)
        if times == 1:
            return self._stand(known, entry)

        if entry.derived:
            return self._place_twin(entry, times)

        return self._repeat(entry, times - 1)

    def write(self) -> int:
        """Write what was gathered, and return the number of new rows."""
        write_all(self._db, sql.ADD_ROW, self._added)
        write_all(self._db, sql.MEET, [*self._met.items()])
        return len(self._added)

    def _place_twin(self, entry: Entry, times: int) -> Admission:
        """Place the *times*-th line of one derived id under an id of its own."""
        twin = Entry(
            line=entry.line,
            id=f"{entry.id}-{times}",
            derived=False,
            body=entry.body,
            digest=entry.digest,
            base=entry.base,
            problem=entry.problem,
        )
        self._find(twin.id)
        placed = self.place(twin)
        return Admission(entry, placed.standing, placed.ticket)

    def _place_other_content(self, known: _Known, entry: Entry) -> Admission:
        """Place a line whose id is known with another content."""
        first_copy = self._find_copy(entry, 1)
        if first_copy is not None:
            return self._repeat(entry, self._meet(first_copy))

        if known.times:
            return self._repeat(entry, 1)

        self._met.setdefault(known.n, 0)  # it did not vanish from the manifest
        if known.state != "pending":
            return Admission(entry, Standing.CHANGED_LATE)

        if not self._allow_changed:
            return Admission(entry, Standing.CHANGED)

        known.digest, known.line = entry.digest, entry.line
        self._meet(known)
        self._replace(known, entry)
        return Admission(entry, Standing.FRESH, self._ticket(known, entry))

    def _stand(self, known: _Known, entry: Entry) -> Admission:
        """Answer for the line that is the row itself."""
        standing = STANDINGS[known.state]
        if standing is not Standing.FRESH:
            return Admission(entry, standing)

        if known.base != entry.base:  # the manifest was moved together with its files
            self._replace(known, entry)

        return Admission(entry, standing, self._ticket(known, entry))

    def _repeat(self, entry: Entry, copy: int) -> Admission:
        """Answer for the *copy*-th repetition of an id with this content."""
        known = self._find_copy(entry, copy)
        if known is None:
            return self._add(entry, Standing.REPEATED, copy)

        if known.state != "pending":
            return Admission(entry, STANDINGS[known.state])

        return Admission(entry, Standing.REPEATED, self._ticket(known, entry))

    def _add(self, entry: Entry, standing: Standing, copy: int = 0) -> Admission:
        """Add a row for *entry*."""
        self._last += 1
        n = self._last
        known = _Known(n, entry.digest, "pending", entry.line, 0, entry.base, 1)
        if copy:
            self._copies[entry.id, entry.digest, copy] = known
        else:
            self._rows[entry.id] = known

        self._added.append(
            (
                *(n, entry.id, copy, entry.line, entry.digest, self._epoch),
                *(reading.encoded_error(entry.problem), entry.base, entry.body),
            )
        )
        line = n if entry.line == n else entry.line  # one number instead of two equal ones
        row = Row(n, entry.id, line, entry.body, entry.base)
        return Admission(entry, standing, Ticket(row))

    def _ticket(self, known: _Known, entry: Entry) -> Ticket:
        """Make the ticket of a pending row, with its history if it was submitted before."""
        if known.generation:
            return reading.ticket(self._db, known.n)

        return Ticket(Row(known.n, entry.id, known.line, entry.body, entry.base))

    def _replace(self, known: _Known, entry: Entry) -> None:
        """Give a pending row the content and the folder that the manifest has now."""
        self._db.execute(
            sql.REPLACE_CONTENT, (known.n, known.line, known.digest, entry.base, entry.body)
        )

    def _meet(self, known: _Known) -> int:
        """Count one more line of this id and content, and return how many there were."""
        known.times += 1
        self._met[known.n] = known.times
        return known.times

    def _find(self, row_id: str) -> _Known | None:
        """Return the row with this id; it is read unless it is here."""
        if row_id not in self._rows:
            self._keep(self._db.execute(sql.KNOWN_ONE, (self._epoch, row_id)))

        return self._rows.get(row_id)

    def _find_copy(self, entry: Entry, copy: int) -> _Known | None:
        """Return a repetition of *entry*'s id and content, if it was met in any pass."""
        key = (entry.id, entry.digest, copy)
        if key not in self._copies:
            values = self._db.execute(sql.KNOWN_COPY, (self._epoch, *key)).fetchone()
            if values is None:
                return None

            self._copies[key] = _Known(*values[1:])

        return self._copies[key]
