"""What every adapter of the port `Journal` must do with the lines of a manifest.

The same shape as `journal_conformance.py`: derive the class and give `open_journal`.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import count

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from batcher.core.events import Finish, Intend, Withdraw
from batcher.core.journal import Admission, Entry, Journal, Standing
from batcher.core.lifecycle import Move, State
from batcher.core.model import ErrorKind, RowError
from tests.adapters.journal_conformance import (
    ALL,
    ERROR,
    Opener,
    admitted,
    entry,
    found,
    row_in,
    take,
    way_to,
)

FRESH, REPEATED, ENDED = Standing.FRESH, Standing.REPEATED, Standing.ENDED
SERIAL = count()  # examples share a journal: each has ids of its own
PROBLEM = RowError(ErrorKind.INVALID_ROW, "no file")
EXAMPLES = settings(
    max_examples=60,
    deadline=None,  # the disk has its own pace
    suppress_health_check=[HealthCheck.function_scoped_fixture],  # runs are told apart by ids
)


def standings(admissions: Iterable[Admission]) -> list[Standing]:
    """Return how each entry stands."""
    return [admission.standing for admission in admissions]


def number(admission: Admission) -> int:
    """Return the number of the row behind an admission that has a ticket."""
    assert admission.ticket is not None
    return admission.ticket.row.n


def reject(journal: Journal, admissions: Iterable[Admission]) -> None:
    """Do what the feed does with lines that cannot be used."""
    for admission in admissions:
        take(journal, [Finish(number(admission), 1.0, Move.REJECT, b"{}", PROBLEM)])


def ids_of(admissions: Iterable[Admission]) -> list[str | None]:
    """Return the id that each ticket carries."""
    return [None if a.ticket is None else a.ticket.row.id for a in admissions]


class AdmissionConformance:
    """Identity of rows over passes, whatever the order."""

    @pytest.fixture
    def open_journal(self) -> Opener:
        """Give a function that opens the same journal again."""
        raise NotImplementedError

    @pytest.fixture
    def journal(self, open_journal: Opener) -> Journal:
        """Give a journal that this process owns."""
        journal = open_journal()
        journal.claim(0.0)
        return journal

    # --- Rows ----------------------------------------------------------------------------------

    def test_a_new_line_is_fresh(self, journal: Journal) -> None:
        """Its ticket carries the line as it was read, and numbers go by order of admission."""
        lines = [entry("b", 3, base="/data"), entry("a", 9), entry("c", 10, problem=PROBLEM)]
        admissions = journal.admit(lines)
        assert standings(admissions) == [FRESH] * 3
        assert [number(admission) for admission in admissions] == [1, 2, 3]
        row = admissions[0].ticket and admissions[0].ticket.row
        assert row
        assert (row.id, row.line, row.body, row.base) == ("b", 3, lines[0].body, "/data")
        counters = journal.counters()
        assert (counters["rows"], counters["pending"]) == (3, 3)

    @pytest.mark.parametrize("state", State)
    def test_a_known_line_stands_as_its_row_does(self, journal: Journal, state: State) -> None:
        """On a later pass only a pending row is fresh; nothing else may be submitted."""
        n = row_in(journal, state)
        journal.claim(9.0)
        (admission,) = journal.admit([entry("a", 44)])
        followed = (State.INTENT, State.ACCEPTED, State.READY)
        wanted = FRESH if state is State.PENDING else ENDED
        assert admission.standing is (Standing.FOLLOWED if state in followed else wanted)
        assert (admission.ticket is None) == (admission.standing is not FRESH)
        assert found(journal).ticket.row.n == n
        assert journal.counters()["rows"] == 1

    def test_a_row_keeps_its_first_line_and_its_history(self, journal: Journal) -> None:
        """Reordering changes nothing; a row that was withdrawn goes on where it was."""
        (n,) = admitted(journal, "a")
        take(journal, [Intend(n, 1.0, 1), Withdraw(n, 2.0, spent=True, error=ERROR)])
        journal.claim(3.0)
        (admission,) = journal.admit([entry("a", 12)])
        ticket = admission.ticket
        assert ticket is not None
        assert (ticket.row.line, ticket.generation, ticket.submits, ticket.spent) == (1, 1, 1, 1)
        assert (ticket.submitted_at, ticket.last_error) == (1.0, ERROR)

    def test_a_manifest_that_was_moved_takes_its_files_along(self, journal: Journal) -> None:
        """The folder of relative files is the one that the manifest has now."""
        journal.admit([entry("a", base="/old")])
        journal.claim(1.0)
        (admission,) = journal.admit([entry("a", base="/new")])
        assert admission.ticket is not None
        assert admission.ticket.row.base == found(journal).ticket.row.base == "/new"

    # --- Rows that changed ---------------------------------------------------------------------

    def test_a_row_that_changed_before_its_submit_is_told(self, journal: Journal) -> None:
        """Unless it is allowed it stays as it was; a change allowed replaces the content."""
        journal.admit([entry("a", 1, "old")])
        journal.claim(1.0)
        changed = entry("a", 5, "new")
        (admission,) = journal.admit([changed])
        assert (admission.standing, admission.ticket) == (Standing.CHANGED, None)
        assert found(journal).ticket.row.body == entry("a", 1, "old").body
        journal.claim(2.0)
        (admission,) = journal.admit([changed], allow_changed=True)
        assert admission.standing is FRESH
        assert admission.ticket is not None
        assert admission.ticket.row.body == found(journal).ticket.row.body == changed.body
        journal.claim(3.0)
        assert standings(journal.admit([changed])) == [FRESH]

    @pytest.mark.parametrize("state", [state for state in State if state is not State.PENDING])
    def test_a_row_that_changed_after_its_submit_stays(
        self, journal: Journal, state: State
    ) -> None:
        """What was sent cannot be unsent, whatever is allowed."""
        row_in(journal, state)
        journal.claim(9.0)
        (admission,) = journal.admit([entry("a", 1, "new")], allow_changed=True)
        assert (admission.standing, admission.ticket) == (Standing.CHANGED_LATE, None)
        assert found(journal).ticket.row.body == entry("a").body

    def test_a_change_does_not_hide_the_row_itself(self, journal: Journal) -> None:
        """A new line put before the row under its id does not make the row a repetition."""
        n = row_in(journal, State.SUCCEEDED)
        journal.claim(9.0)
        admissions = journal.admit([entry("a", 1, "new"), entry("a", 2)])
        assert standings(admissions) == [Standing.CHANGED_LATE, ENDED]
        assert found(journal).ticket.row.n == n

    # --- Repeated ids --------------------------------------------------------------------------

    @pytest.mark.parametrize("content", ["a", "other"])
    def test_a_repeated_id_is_rejected_once(self, journal: Journal, content: str) -> None:
        """Of two equal ids the first counts; the second has a row of its own, and one outcome."""
        lines = [entry("a", 1), entry("a", 2, content)]
        admissions = journal.admit(lines)
        assert standings(admissions) == [FRESH, REPEATED]
        assert ids_of(admissions) == ["a", "a"]
        assert number(admissions[0]) != number(admissions[1])
        reject(journal, admissions[1:])
        for order in (lines, lines[::-1]):
            journal.claim(2.0)
            assert set(standings(journal.admit(order))) == {FRESH, ENDED}

        assert found(journal).state is State.PENDING
        assert journal.counters()["rows"] == 2

    def test_a_repetition_that_was_not_rejected_is_repeated_again(self, journal: Journal) -> None:
        """A crash between admission and rejection loses no line."""
        lines = [entry("a", 1), entry("a", 2), entry("a", 3, "b")]
        before = journal.admit(lines)
        journal.claim(1.0)
        after = journal.admit(lines)
        assert standings(after) == [FRESH, REPEATED, REPEATED]
        assert [number(a) for a in after] == [number(a) for a in before]

    def test_a_repetition_is_never_handed_out_for_submission(self, journal: Journal) -> None:
        """Pending rows that a pass did not meet are rows that may be submitted, only those."""
        journal.admit([entry("a", 1), entry("a", 2), entry("b", 3, problem=PROBLEM), entry("c", 4)])
        journal.claim(1.0)
        assert [ticket.row.id for ticket in journal.unseen(0, ALL)] == ["a", "c"]
        assert [ticket.row.id for ticket in journal.unseen(1, 1)] == ["c"]
        unusable = journal.unusable(0, ALL)
        assert [(t.row.id, t.row.line, t.last_error) for t in unusable] == [
            ("a", 2, None),
            ("b", 3, PROBLEM),
        ]

    def test_rows_that_vanished_are_unseen(self, journal: Journal) -> None:
        """Pending rows that this pass did not meet are told, changed ones are not."""
        admitted(journal, "a", "b", "c", "d")
        row_in(journal, State.SUCCEEDED, "e")
        assert journal.unseen(0, ALL) == []
        journal.claim(1.0)
        assert len(journal.unseen(0, ALL)) == 4
        journal.admit([entry("a", 1), entry("c", 3, "new"), entry("new")])
        assert [ticket.row.id for ticket in journal.unseen(0, ALL)] == ["b", "d"]

    # --- Derived ids ---------------------------------------------------------------------------

    def test_identical_rows_without_an_id_are_rows(self, journal: Journal) -> None:
        """The k-th of them is named `id-k`, in this pass and in each later one."""
        lines = [entry("x", line, derived=True) for line in (1, 2, 3)]
        admissions = [*journal.admit(lines[:2]), *journal.admit(lines[2:])]
        assert standings(admissions) == [FRESH] * 3
        assert ids_of(admissions) == ["x", "x-2", "x-3"]
        take(journal, way_to(State.SUCCEEDED, number(admissions[1])))
        journal.claim(1.0)
        again = journal.admit([*reversed(lines), entry("x", 4, derived=True)])
        assert standings(again) == [FRESH, ENDED, FRESH, FRESH]
        assert ids_of(again) == ["x", None, "x-3", "x-4"]

    def test_a_derived_id_yields_to_one_that_is_given(self, journal: Journal) -> None:
        """Where a row is named like a second identical one, the second is a repetition."""
        lines = [entry("x-2", 1), entry("x", 2, derived=True), entry("x", 3, derived=True)]
        assert standings(journal.admit(lines)) == [FRESH, FRESH, REPEATED]

    # --- Properties ----------------------------------------------------------------------------

    LINES = st.lists(
        st.tuples(st.sampled_from("ab"), st.sampled_from("xyz"), st.booleans()), max_size=8
    )

    @EXAMPLES
    @given(lines=LINES, data=st.data())
    def test_no_order_of_lines_makes_a_row_twice(
        self, journal: Journal, lines: list[tuple[str, str, bool]], data: st.DataObject
    ) -> None:
        """Once all lines have their outcome, no order and no cut of them is fresh again."""
        entries = _entries(lines, next(SERIAL))
        for admission in journal.admit(entries):
            row = number(admission)
            if admission.standing is REPEATED:
                reject(journal, [admission])
            else:
                assert admission.standing is FRESH
                take(journal, [Intend(row, 1.0, 1), Finish(row, 2.0, Move.DOUBT, b"{}", ERROR)])

        rows = journal.counters()["rows"]
        for _ in range(2):
            journal.claim(1.0)
            order = data.draw(st.permutations(entries))
            cut = data.draw(st.integers(0, len(entries)))
            answers = [*journal.admit(order[:cut]), *journal.admit(order[cut:])]
            # Where the lines of one id differ, another may now come first; none is submitted.
            assert FRESH not in standings(answers)
            assert REPEATED not in standings(answers)
            assert journal.counters()["rows"] == rows

    @EXAMPLES
    @given(lines=LINES, again=LINES)
    def test_many_in_a_call_are_as_one_by_one(
        self,
        journal: Journal,
        lines: list[tuple[str, str, bool]],
        again: list[tuple[str, str, bool]],
    ) -> None:
        """How the lines are cut into calls does not matter, on the first pass or a later one."""
        for allow in (False, True):
            ids = (next(SERIAL), next(SERIAL))
            for manifest in (lines, again):
                whole, single = (_entries(manifest, serial) for serial in ids)
                at_once = journal.admit(whole, allow_changed=allow)
                one_by_one = [journal.admit([e], allow_changed=allow)[0] for e in single]
                assert standings(at_once) == standings(one_by_one)
                journal.claim(1.0)

    @EXAMPLES
    @given(text=st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20))
    def test_any_text_is_an_id(self, journal: Journal, text: str) -> None:
        """Quotes, blanks, NUL and all other characters are told apart and found again."""
        journal.claim(0.0)
        before = journal.find(text)
        if before is None:
            assert ids_of(journal.admit([entry(text), entry(f"{text}\0")]))[0] == text

        journal.claim(1.0)
        (admission, other) = journal.admit([entry(text, 2), entry(f"{text}\0", 3)])
        assert ids_of([admission, other]) == [text, f"{text}\0"]
        assert number(admission) == found(journal, text).ticket.row.n != number(other)


def _entries(lines: list[tuple[str, str, bool]], prefix: object) -> list[Entry]:
    """Make lines whose ids are of one example only; a derived id goes with its content."""
    return [
        entry(
            f"{prefix}-{content}-derived" if derived else f"{prefix}-{row_id}",
            line,
            content,
            derived=derived,
        )
        for line, (row_id, content, derived) in enumerate(lines, 1)
    ]
