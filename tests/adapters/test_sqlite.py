"""SQLite as a journal: the conformance suite (the file's own promises: `test_sqlite_file.py`)."""

from __future__ import annotations

import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import invariant

from batcher.adapters.sqlite import SqliteJournal, moves
from batcher.adapters.sqlite.ledger import COST_MAX
from batcher.core.errors import IllegalMove, StorageError
from batcher.core.events import Accept, Collect, Event, Finish, Intend, Withdraw
from batcher.core.journal import Journal
from batcher.core.lifecycle import Move
from tests.adapters.journal_admission import AdmissionConformance
from tests.adapters.journal_conformance import (
    ENCODED,
    ERROR,
    JournalConformance,
    Opener,
    admitted,
)
from tests.adapters.journal_machine import JournalMachine
from tests.adapters.journal_money import MoneyConformance
from tests.adapters.sqlite_sums import added_up


@pytest.fixture
def open_journal(tmp_path: Path) -> Iterator[Opener]:
    """Open one file again and again, without waiting for the disk."""
    opened: list[SqliteJournal] = []

    def again() -> Journal:
        opened.append(SqliteJournal.open(tmp_path / "journal.db", durable=False))
        return opened[-1]

    yield again
    for journal in opened:
        journal.close()


class TestMoves(JournalConformance):
    """Rows, moves, the ledger, ownership, sums."""

    @pytest.fixture
    def open_journal(self, open_journal: Opener) -> Opener:
        """Put SQLite under the suite."""
        return open_journal


class TestAdmission(AdmissionConformance):
    """Identity of rows over passes."""

    @pytest.fixture
    def open_journal(self, open_journal: Opener) -> Opener:
        """Put SQLite under the suite."""
        return open_journal


class TestMoney(MoneyConformance):
    """Costs, sums, charges."""

    @pytest.fixture
    def open_journal(self, open_journal: Opener) -> Opener:
        """Put SQLite under the suite."""
        return open_journal


def tables(path: Path) -> dict[str, list[object]]:
    """Return all that a journal holds."""
    with closing(sqlite3.connect(path)) as db:
        return {
            name: db.execute(f"SELECT * FROM {name} ORDER BY 1, 2").fetchall()
            for name in ("row", "attempt", "counter", "output", "decision")
        }


LIFE = st.tuples(
    st.sampled_from([None, 0, 20, COST_MAX, COST_MAX + 1, -1]),  # of the intent
    st.sampled_from(["accept", "accept", "withdraw", "doubt", "taken"]),
    st.booleans(),  # whether its files are fetched
    st.sampled_from([Move.SUCCEED, Move.SUCCEED, Move.FAIL, Move.EXHAUST]),
    st.sampled_from([None, None, 7]),  # what the API says that it cost
)


@settings(max_examples=25, deadline=None)
@given(st.lists(LIFE, min_size=1, max_size=6))
def test_the_short_way_leads_where_judging_leads(lives: list[Any]) -> None:
    """Events that are written unread change every table exactly as if each had been judged."""
    rows = [told(n, life) for n, life in enumerate(lives, 1)]
    stages = [[row[call] for row in rows if len(row) > call] for call in range(4)]
    with tempfile.TemporaryDirectory() as name:
        ways = {way: Path(name) / way for way in ("short", "judged")}
        answers: dict[str, list[list[bool]]] = {}
        for way, path in ways.items():
            journal = SqliteJournal.open(path, durable=False)
            journal.claim(0.0)
            admitted(journal, *"abcdef")
            with pytest.MonkeyPatch.context() as patch:
                if way == "judged":
                    patch.setattr(moves, "write", moves.judge)

                answers[way] = [journal.apply(stage) for stage in stages]

            journal.close()

        assert answers["short"] == answers["judged"]
        assert tables(ways["short"]) == tables(ways["judged"])


TEXTS = st.sampled_from(["j", "J", "", "\0", "a\0b", "a\0c", "'\"\\u0000", "\ud800", "é" * 9_999])
SAID = st.tuples(
    st.integers(0, 140),  # of which row
    TEXTS | st.text(max_size=9),  # its job
    st.floats(),  # the times
    st.none() | TEXTS,  # the request
    st.none() | st.integers(-1, COST_MAX + 1),
)


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 140), st.lists(SAID, max_size=4))
def test_whatever_is_said_is_kept_as_said(count: int, odd: list[Any]) -> None:
    """Groups of any size, texts, times and amounts of any kind: as if judged one by one."""
    said = {n: (f"j{n}", 1.7e9 + n / 7, f"r{n}", n) for n in range(1, count + 1)}
    said.update({n: tuple(values) for n, *values in odd if n in said})
    stages: list[list[Event]] = [
        [Intend(n, at, 1, cost) for n, (_, at, _, cost) in said.items()],
        [Accept(n, at, job, request) for n, (job, at, request, _) in said.items()],
    ]
    with tempfile.TemporaryDirectory() as name:
        kept: dict[str, object] = {}
        for way in ("short", "judged"):
            journal = SqliteJournal.open(Path(name) / way, durable=False)
            journal.claim(0.0)
            admitted(journal, *map(str, said))
            with pytest.MonkeyPatch.context() as patch:
                if way == "judged":
                    patch.setattr(moves, "write", moves.judge)

                answers = [answered(journal, stage) for stage in stages]

            journal.close()
            kept[way] = answers, tables(Path(name) / way)

        assert kept["short"] == kept["judged"]


def answered(journal: Journal, events: list[Event]) -> list[bool] | None:
    """Return the answers, or None if the journal cannot keep this."""
    try:
        return journal.apply(events)
    except (StorageError, ValueError, TypeError):
        return None


def told(n: int, life: tuple[Any, ...]) -> list[Event]:
    """Return what one row says in each of up to four calls."""
    quoted, answer, fetched, end, cost = life
    first: list[Event] = [Intend(n, 1.0, 1, quoted)]
    if answer == "withdraw":
        return [*first, Withdraw(n, 2.0, spent=True), Intend(n, 3.0, 2, quoted)]

    if answer == "doubt":
        return [*first, Finish(n, 2.0, Move.DOUBT, b"{}", ERROR)]

    job, is_last = ("j", answer == "taken") if answer == "taken" else (f"j{n}", False)
    accepted = [*first, Accept(n, 2.0, job, "req")]
    if is_last:  # whose it is depends on the order
        return accepted

    error = None if end is Move.SUCCEED else ERROR
    if fetched and end is not Move.FAIL:
        accepted.append(Collect(n, 3.0, ENCODED))

    return [*accepted, Finish(n, 4.0, end, b"{}", error, cost=cost)]


def test_a_call_that_is_not_what_it_seems_adds_its_lines_once(tmp_path: Path) -> None:
    """Begun anew for one odd row, it has touched the outcome files only when all was known."""
    journal = SqliteJournal.open(tmp_path / "journal.db", durable=False)
    journal.claim(0.0)
    first, second = admitted(journal, "a", "b")
    journal.apply([Intend(first, 1.0, 1), Intend(second, 1.0, 1)])
    journal.apply([Accept(first, 2.0, "j")])
    added: list[int] = []

    def append() -> dict[str, int]:
        added.append(1)
        return {"succeeded.jsonl": 3}

    events: list[Event] = [Finish(first, 3.0, Move.SUCCEED, b"{}"), Accept(second, 3.0, "j")]
    assert journal.apply(events, append) == [True, False]
    assert added == [1]
    with pytest.raises(IllegalMove):
        journal.apply([Finish(first, 4.0, Move.SUCCEED, b"{}")], append)

    assert added == [1]
    journal.close()


class Machine(JournalMachine):
    """Random runs, crashes and take-overs."""

    @invariant()
    def the_sums_are_those_of_the_ledger(self) -> None:
        """Every sum of money is what adding up the attempts gives, by other means."""
        if self.epoch:
            counters = self.journal.counters()
            sums = added_up(self.folder / "journal.db")
            assert {name: counters[name] for name in sums} == sums
            assert len(sums) == 5

    @staticmethod
    def open_at(folder: Path) -> Journal:
        """Open the journal in *folder*."""
        return SqliteJournal.open(folder / "journal.db", durable=False)


TestMachine = Machine.TestCase
TestMachine.settings = settings(max_examples=40, stateful_step_count=25, deadline=None)
