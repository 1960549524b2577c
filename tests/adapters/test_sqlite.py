"""SQLite as a journal: the conformance suite (the file's own promises: `test_sqlite_file.py`)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis.stateful import invariant

from batcher.adapters.sqlite import SqliteJournal
from batcher.core.journal import Journal
from tests.adapters.journal_admission import AdmissionConformance
from tests.adapters.journal_conformance import JournalConformance, Opener
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
