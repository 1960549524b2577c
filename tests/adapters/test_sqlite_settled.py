"""A finished manifest that is read again: many lines at once are what they are one by one."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from itertools import count
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from batcher.adapters.sqlite import SqliteJournal
from batcher.adapters.sqlite.settled import LINES_MIN, Stretches
from batcher.core.events import Accept, Finish, Intend
from batcher.core.journal import Admission, Entry, Journal, Standing
from batcher.core.lifecycle import Move
from tests.adapters.journal_conformance import ALL, entry

FRESH, REPEATED, ENDED = Standing.FRESH, Standing.REPEATED, Standing.ENDED
SERIAL = count()  # examples share a journal: each has ids of its own
OVER = LINES_MIN + 30

Edit = tuple[str, int, int]


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    """Give a journal that this process owns, and that does not wait for the disk."""
    journal = SqliteJournal.open(tmp_path / "journal.db", durable=False)
    journal.claim(0.0)
    yield journal
    journal.close()


def test_a_finished_manifest_writes_nothing(journal: Journal, tmp_path: Path) -> None:
    """That its rows were met is nowhere in the file, for a million of them would fill it."""
    entries = _over(journal)
    journal.claim(1.0)
    assert _standings(journal, entries) == [ENDED] * OVER
    with closing(sqlite3.connect(tmp_path / "journal.db")) as db:
        assert db.execute("SELECT count(*) FROM met").fetchone() == (0,)


def test_a_manifest_in_two_copies_is_met_twice(journal: Journal) -> None:
    """Of rows that are over the first line counts too, however many are asked for at once."""
    entries = _over(journal)
    for _ in range(2):
        journal.claim(1.0)
        assert _standings(journal, entries) == [ENDED] * OVER
        assert _standings(journal, entries[:1]) == [REPEATED]
        assert _standings(journal, entries[1:]) == [REPEATED] * (OVER - 1)


def test_a_row_that_was_met_alone_is_repeated_among_many(journal: Journal) -> None:
    """So is one that came to its end in this very pass."""
    entries = _over(journal)
    assert _standings(journal, entries) == [REPEATED] * OVER
    others = _over(journal)
    journal.claim(1.0)
    assert _standings(journal, others[3:4]) == [ENDED]
    assert _standings(journal, others) == [ENDED] * 3 + [REPEATED] + [ENDED] * (OVER - 4)


def test_identical_rows_are_counted_over_batches(journal: Journal) -> None:
    """A row without an id that was met among many is the first of its kind for those behind it."""
    entries = _over(journal, derived=True)
    journal.claim(1.0)
    assert _standings(journal, entries) == [ENDED] * OVER
    (second,) = journal.admit(entries[7:8])
    assert second.standing is FRESH
    assert second.ticket is not None
    assert second.ticket.row.id == f"{entries[7].id}-2"


def test_a_pending_row_among_many_that_are_over_is_told(journal: Journal) -> None:
    """It is fresh in each pass, and unseen in one that does not have it."""
    entries = _over(journal)
    late = entry("late", OVER + 1)
    journal.admit([late])
    for pass_ in ([*entries, late], [late, *entries], entries):
        journal.claim(1.0)
        told = _standings(journal, pass_)
        assert told.count(FRESH) == pass_.count(late)
        assert told.count(ENDED) == OVER
        assert len(journal.unseen(0, ALL)) == 1 - pass_.count(late)


def test_an_id_with_a_line_break_is_no_two_ids(journal: Journal) -> None:
    """What joins the ids for the comparison does not make other ids equal."""
    same = [f"a{n}" for n in range(OVER - 2)]
    before, after = (
        [entry(name, line, digest=b"%016d" % line) for line, name in enumerate([*same, *last], 1)]
        for last in (("x\ny", "z"), ("x", "y\nz"))
    )
    _end(journal, before)
    journal.claim(1.0)
    assert _standings(journal, after) == [ENDED] * len(same) + [FRESH] * 2


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    edits=st.lists(
        st.tuples(
            st.sampled_from(["swap", "drop", "again", "change", "new"]),
            st.integers(0, OVER - 1),
            st.integers(0, OVER - 1),
        ),
        max_size=3,
    ),
    cut=st.integers(LINES_MIN, OVER),
)
def test_many_lines_are_as_one_by_one(journal: Journal, edits: list[Edit], cut: int) -> None:
    """However a finished manifest was edited, and in the pass behind that too."""
    told = []
    for size in (cut, 1):
        entries = _edited(_over(journal), edits)
        before, standings = journal.counters()["rows"], []
        for _ in range(2):
            journal.claim(1.0)
            for at in range(0, len(entries), size):
                standings += _standings(journal, entries[at : at + size])

        told.append((standings, journal.counters()["rows"] - before))

    assert told[0] == told[1]


@given(order=st.permutations(range(12)), lengths=st.lists(st.integers(1, 3), min_size=12))
def test_stretches_are_sets_of_numbers(order: list[int], lengths: list[int]) -> None:
    """In whatever order they come; those that touch are one, so that memory does not grow."""
    stretches, members = Stretches(), set[int]()
    for place in order:
        first, last = 3 * place, 3 * place + lengths[place] - 1
        assert not stretches.crosses(first, last)
        stretches.add(first, last)
        members.update(range(first, last + 1))
        assert [n for n in range(-1, 40) if n in stretches] == sorted(members)
        gaps = sum(n + 1 not in members for n in members)
        assert len(stretches) == gaps

    for first in range(-1, 38):
        for last in range(first, 38):
            met = any(n in members for n in range(first, last + 1))
            assert stretches.crosses(first, last) is met


def _standings(journal: Journal, entries: Sequence[Entry]) -> list[Standing]:
    return [admission.standing for admission in journal.admit(entries)]


def _over(journal: Journal, *, derived: bool = False) -> list[Entry]:
    """Admit rows one behind the other, and bring all of them to their end."""
    serial = next(SERIAL)
    entries = [entry(f"{serial}-{line}", line, derived=derived) for line in range(1, OVER + 1)]
    journal.claim(1.0)
    _end(journal, entries)
    return entries


def _end(journal: Journal, entries: Sequence[Entry]) -> None:
    ns = [_number(admission) for admission in journal.admit(entries)]
    assert all(journal.apply([Intend(n, 1.0, 1) for n in ns]))
    assert all(journal.apply([Accept(n, 1.0, f"job-{n}") for n in ns]))
    assert all(journal.apply([Finish(n, 2.0, Move.SUCCEED, b"{}") for n in ns]))


def _number(admission: Admission) -> int:
    assert admission.ticket is not None
    return admission.ticket.row.n


def _edited(entries: list[Entry], edits: Iterable[Edit]) -> list[Entry]:
    """Do to a manifest what people do to one."""
    for what, at, other in edits:
        at, other = at % len(entries), other % len(entries)
        match what:
            case "swap":
                entries[at], entries[other] = entries[other], entries[at]
            case "drop":
                del entries[at]
            case "again":
                entries.insert(other, entries[at])
            case "change":
                entries[at] = entry(entries[at].id, at + 1, "changed")
            case _:
                entries.insert(at, entry(f"new-{entries[at].id}-{other}", at + 1))

    return entries
