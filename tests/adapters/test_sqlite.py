"""SQLite as a journal: the conformance suite (the file's own promises: `test_sqlite_file.py`)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from batcher.adapters.sqlite import SqliteJournal
from batcher.core.journal import Journal
from tests.adapters.journal_admission import AdmissionConformance
from tests.adapters.journal_conformance import JournalConformance, Opener
from tests.adapters.journal_machine import JournalMachine


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


class Machine(JournalMachine):
    """Random runs, crashes and take-overs."""

    @staticmethod
    def open_at(folder: Path) -> Journal:
        """Open the journal in *folder*."""
        return SqliteJournal.open(folder / "journal.db", durable=False)


TestMachine = Machine.TestCase
TestMachine.settings = settings(max_examples=40, stateful_step_count=25, deadline=None)
