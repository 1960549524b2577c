"""The journal of a run in one SQLite file: the adapter of the port `core.journal.Journal`.

Rule: one connection writes, one call at a time, each call one transaction that first makes sure
that this process still owns the run. When a call returns, what it was told is on the disk; when it
raises, nothing of it is. After a failure whose extent nobody knows, nothing more is written.
It does not touch the outcome files and has no clock.

Theory of operation
-------------------
Durability is SQLite's: a write-ahead log that is synced at every commit (`connection.py`). Speed
comes from the caller, who puts what many tasks want to say into one call. Ownership is a number in
the file: whoever claims the run raises it, and an owner that slept through that (a stopped process,
a machine that was suspended) finds another number in its next transaction and is `Fenced`.
"""

from __future__ import annotations

import sqlite3
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Self

from batcher.adapters.sqlite import admission, moves, reading
from batcher.adapters.sqlite import statements as sql
from batcher.adapters.sqlite.connection import open_reader, open_writer
from batcher.adapters.sqlite.failures import Locked, transaction, translating
from batcher.adapters.sqlite.reader import JournalReader
from batcher.adapters.sqlite.settled import Stretches
from batcher.adapters.sqlite.usual import Unusual
from batcher.adapters.sqlite.values import write_all
from batcher.core.errors import Fenced, StorageError
from batcher.core.events import Decide, Event, Withdraw
from batcher.core.journal import Admission, Entry
from batcher.core.lifecycle import State
from batcher.core.model import Ticket

Lengths = Mapping[str, int] | Mapping[str, int | None] | Callable[[], Mapping[str, int]]
Write = Callable[[sqlite3.Connection, int, Sequence[Event], Counter[str]], list[bool]]

OWN = frozenset(reading.OWN_COUNTERS)


class SqliteJournal(JournalReader):
    """The durable truth about one run; see the port for what each method promises."""

    def __init__(self, db: sqlite3.Connection, path: Path) -> None:
        super().__init__(db, path)
        self._epoch: int | None = None
        self._stretches = Stretches()
        self._poison: StorageError | None = None
        self._turn = threading.Lock()

    @classmethod
    def open(
        cls,
        path: Path,
        *,
        durable: bool = True,
        must_exist: bool = False,
        allow_network_fs: bool = False,
    ) -> Self:
        """Open the journal at *path*, or create it (mode 0600, in a folder that exists).

        `must_exist`: the run is known to have a journal, so a missing or empty file is an error
        and never a new start. `durable=False` does not sync: for tests. `allow_network_fs`: on a
        network file system lock the file for this process alone, which shuts readers out.
        Raises `StorageError` if the file is missing, corrupt, foreign or of another version.
        """
        return cls(
            open_writer(
                path, durable=durable, must_exist=must_exist, allow_network_fs=allow_network_fs
            ),
            path,
        )

    @staticmethod
    def read(path: Path) -> JournalReader:
        """Open the journal at *path* for reading only, also while its run goes on."""
        return JournalReader(open_reader(path), path)

    def claim(self, at: float) -> int:
        """Take the run over: start a new epoch and return it. Every older owner is fenced."""
        with self._writing(owned=False):
            (epoch,) = self._db.execute(sql.CLAIM, (at,)).fetchone()
            self._db.execute(sql.FORGET_MET)

        self._epoch, self._stretches = int(epoch), Stretches()
        return self._epoch

    def admit(self, entries: Sequence[Entry], *, allow_changed: bool = False) -> list[Admission]:
        """Note that *entries* are in the manifest of this epoch, and say how each stands."""
        with self._writing() as epoch:
            admissions, added = admission.admit(
                self._db, epoch, entries, self._stretches, allow_changed=allow_changed
            )
            self._count({State.PENDING: added, "rows": added})

        return admissions

    def apply(
        self,
        events: Sequence[Event],
        outputs: Mapping[str, int] | Callable[[], Mapping[str, int]] | None = None,
        counters: Mapping[str, int] | None = None,
    ) -> list[bool]:
        """Make *events* durable, all or none, and return one answer for each."""
        taken = OWN.intersection(counters or ())
        if taken:
            raise ValueError(f"the journal counts these itself: {', '.join(sorted(taken))}")

        return self._apply(events, outputs or {}, counters or {})

    def mark_rebuild(
        self,
        events: Sequence[Decide | Withdraw],
        files: Sequence[str],
        counters: Mapping[str, int] | None = None,
    ) -> list[bool]:
        """Apply what takes rows out of *files*, and mark these for rebuilding, at once."""
        return self._apply(events, dict.fromkeys(files), counters or {})

    def note(self, facts: Mapping[str, str]) -> None:
        """Keep facts about the run."""
        with self._writing():
            self._db.executemany(sql.NOTE, facts.items())

    def followed(self, after: int, limit: int) -> list[Ticket]:
        """Return rows that are accepted or ready, by number, from *after* on."""
        with self._reading():
            return reading.tickets(self._db, sql.FOLLOWED, after, limit)

    def unanswered(self, after: int, limit: int) -> list[Ticket]:
        """Return rows in intent that an earlier epoch left without an answer, by number."""
        with self._reading() as epoch:
            return reading.tickets(self._db, sql.UNANSWERED, after, limit, epoch)

    def unseen(self, after: int, limit: int) -> list[Ticket]:
        """Return pending rows that `admit` has not met in this epoch and that may be submitted."""
        with self._reading() as epoch:
            return reading.tickets(self._db, sql.UNSEEN, after, limit, epoch)

    def unusable(self, after: int, limit: int) -> list[Ticket]:
        """Return pending rows that `admit` has not met in this epoch and that must be rejected."""
        with self._reading() as epoch:
            return reading.tickets(self._db, sql.UNUSABLE, after, limit, epoch)

    def submits_since(self, at: float) -> list[float]:
        """Return the intent times from *at* on, ascending."""
        with self._reading():
            return reading.submits_since(self._db, at)

    def close(self) -> None:
        """Release everything. Idempotent."""
        with self._alone(), translating(self._path):
            self._db.close()

    def _apply(
        self,
        events: Sequence[Event],
        outputs: Lengths,
        counters: Mapping[str, int],
    ) -> list[bool]:
        """Write events, lengths and counters together."""
        if len({event.n for event in events}) != len(events):
            raise ValueError("two events for one row in one call")

        try:
            return self._transact(moves.write, events, outputs, counters)
        except Unusual:  # nothing was written, and no line added
            return self._transact(moves.judge, events, outputs, counters)

    def _transact(
        self, write: Write, events: Sequence[Event], outputs: Lengths, counters: Mapping[str, int]
    ) -> list[bool]:
        """Write in one transaction; the lines come last, when everything else is known to hold."""
        counts: Counter[str] = Counter()
        with self._writing() as epoch:
            answers = write(self._db, epoch, events, counts)
            lengths = outputs() if callable(outputs) else outputs
            write_all(self._db, sql.SET_OUTPUT, [*lengths.items()])
            self._count({**counts, **counters})

        return answers

    def _count(self, amounts: Mapping[str, int]) -> None:
        """Add *amounts* to the counters."""
        write_all(self._db, sql.COUNT, [(str(k), v) for k, v in amounts.items() if v])

    @contextmanager
    def _writing(self, *, owned: bool = True) -> Iterator[int]:
        """Run the block as a durable transaction of the run's owner."""
        with self._alone():
            if self._poison is not None:
                raise StorageError(f"{self._poison} (nothing was written since)")

            try:
                with transaction(self._db, sql.BEGIN_WRITING, self._path):
                    yield self._own() if owned else 0
            except (Locked, Fenced):
                raise  # nothing was written, and SQLite knows it
            except StorageError as failure:
                if not failure.disk_full:  # of the journal, or of the lines that go with it
                    self._poison = failure

                raise

    @contextmanager
    def _reading(self) -> Iterator[int]:
        """Run the block on one state of the journal; before a claim, as its next owner would."""
        with self._alone(), super()._reading() as present:
            yield present + 1 if self._epoch is None else self._own()

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Make sure that there is one caller at a time; a second one is a bug."""
        if not self._turn.acquire(blocking=False):
            raise RuntimeError("two calls to the journal at once: it has one caller, the recorder")

        try:
            yield
        finally:
            self._turn.release()

    def _own(self) -> int:
        """Return our epoch, or raise if it is not the journal's."""
        if self._epoch is None:
            raise Fenced(f"{self._path}: nothing may be written before the run is claimed")

        present = reading.epoch(self._db)
        if present != self._epoch:
            raise Fenced(
                f"{self._path}: another process took this run over (epoch {present}, ours was "
                f"{self._epoch}); this one stops"
            )

        return present
