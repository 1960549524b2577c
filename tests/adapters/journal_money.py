"""What every adapter of the port `Journal` must do with money: costs, sums, charges.

The sums after any sequence of moves are `journal_machine.py`'s; here stands what they mean.
"""

from __future__ import annotations

import pytest

from batcher.core.events import Accept, Collect, Decide, Event, Finish, Intend, Rerun, Withdraw
from batcher.core.journal import Journal
from batcher.core.lifecycle import Move, State
from batcher.core.model import ErrorKind, Refund, RowError
from tests.adapters.journal_conformance import (
    ALL,
    ENCODED,
    ERROR,
    Opener,
    Said,
    admitted,
    entry,
    event,
    found,
    take,
    way_to,
)

LOST = RowError(ErrorKind.UNKNOWN_OUTCOME, "no answer came", request_id="req-3")
REJECTED = RowError(ErrorKind.REJECTED, "the worker gave up", code="WORKER_TIMEOUT")
PRICE = 1_360_000  # 0.00136


def submitted(n: int, generation: int = 1, cost: int | None = PRICE) -> list[Event]:
    """Submit a row."""
    return [Intend(n, float(generation), generation, cost)]


def made(n: int, generation: int = 1, cost: int | None = PRICE) -> list[Event]:
    """Submit a row; the API makes a job."""
    job = f"job-{n}-{generation}"
    return [*submitted(n, generation, cost), Accept(n, generation + 0.5, job, "req-1")]


def money(journal: Journal) -> dict[str, int]:
    """Return the sums of money that are not 0."""
    found = journal.counters().items()
    return {name: n for name, n in found if n and name.startswith(("cost", "jobs_priced"))}


class MoneyConformance:
    """Costs, sums, charges."""

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

    # --- Sums --------------------------------------------------------------------------------

    @pytest.mark.parametrize(
        ("move", "sums"),
        [
            (None, {"cost"}),  # sent; the process may die now
            (Move.ACCEPT, {"cost"}),
            (Move.DOUBT, {"cost", "cost_in_doubt"}),
            (Move.RESUBMIT, {"cost", "cost_in_doubt"}),
            (Move.WITHDRAW, set()),
            (Move.REFUSE, set()),
            (Move.EXHAUST, set()),
        ],
    )
    def test_what_may_have_been_charged_is_counted(
        self, open_journal: Opener, move: Move | None, sums: set[str]
    ) -> None:
        """From the intent on, until it is proved that the submit made no job."""
        journal = open_journal()
        journal.claim(0.0)
        (n,) = admitted(journal, "a")
        take(journal, submitted(n))
        if move is not None:
            take(journal, [event(move, n)])

        counted = {**dict.fromkeys(sums, PRICE), "jobs_priced": 1} if sums else {}
        assert money(journal) == counted
        assert money(open_journal()) == counted

    def test_what_the_api_charged_replaces_what_it_quoted(self, journal: Journal) -> None:
        """Whenever it is said: of a job that is done, that failed, or that is submitted again."""
        done, failed, again, kept = admitted(journal, *"abcd")
        for n in (done, failed, again, kept):
            take(journal, made(n, cost=100))

        take(journal, [Collect(done, 3.0, ENCODED)])
        take(journal, [event(Move.SUCCEED, done, said=Said(7))])
        take(journal, [event(Move.FAIL, failed, said=Said(cost=0))])
        take(journal, [event(Move.RERUN, again, said=Said(cost=20, refund=Refund.DONE))])
        take(journal, [event(Move.SUCCEED, kept)])
        assert money(journal) == {"cost": 127, "cost_refunded": 20, "jobs_priced": 4}
        assert [found(journal, row_id).ticket.cost for row_id in "abcd"] == [7, 0, 20, 100]

    def test_a_price_that_is_only_known_afterwards_is_counted(self, journal: Journal) -> None:
        """A job without a quote is no job for nothing: it is not among the priced ones until."""
        first, second = admitted(journal, *"ab")
        take(journal, [*made(first, cost=None), *made(second, cost=None)])
        assert money(journal) == {}
        assert found(journal).ticket.cost is None
        take(journal, [event(Move.SUCCEED, first, said=Said(cost=5)), event(Move.FAIL, second)])
        assert money(journal) == {"cost": 5, "jobs_priced": 1}

    @pytest.mark.parametrize(
        ("refund", "name"),
        [
            (Refund.DONE, "cost_refunded"),
            (Refund.ALREADY_DONE, "cost_refunded"),
            (Refund.UNCONFIRMED, "cost_unconfirmed"),
        ],
    )
    def test_each_word_about_a_refund_has_its_sum(
        self, journal: Journal, refund: Refund, name: str
    ) -> None:
        """Confirmed or not; the last word about a job counts, and its amount."""
        (n,) = admitted(journal, "a")
        said = Said(refund=Refund.UNCONFIRMED, raw="pending")
        take(journal, [*made(n), event(Move.EXHAUST, n, said=said), event(Move.REPOLL, n)])
        take(journal, [event(Move.FAIL, n, said=Said(3, refund, "word"))])
        assert money(journal) == {"cost": 3, name: 3, "jobs_priced": 1}
        (charge,) = journal.charges(0, ALL)
        assert (charge.refund, charge.refund_raw) == (refund, "word")

    def test_a_decision_changes_no_money_that_nobody_knows(self, journal: Journal) -> None:
        """Only a job that was found ends the doubt about what was charged.

        A row may be submitted again because there is no job, or because somebody accepts to pay
        twice; it may be closed without knowing more. None of these tells what the API charged.
        """
        adopted, again, closed, decided = admitted(journal, *"abcd")
        for n in (adopted, again, closed, decided):
            take(journal, [*submitted(n, cost=10), event(Move.DOUBT, n)])

        take(journal, [Decide(adopted, 5.0, Move.ADOPT, "found")])
        take(journal, [event(Move.RESUBMIT, again), *made(again, 2, cost=1)])
        take(journal, [Finish(closed, 5.0, Move.GIVE_UP, b"{}", ERROR)])
        take(journal, [event(Move.GIVE_UP, decided)])
        assert money(journal) == {"cost": 41, "cost_in_doubt": 30, "jobs_priced": 5}

    def test_every_submit_of_a_row_is_counted(self, journal: Journal) -> None:
        """What was paid for a job that the row gave up stays paid."""
        (n,) = admitted(journal, "a")
        take(journal, [*made(n, cost=1), Rerun(n, 3.0, REJECTED, Refund.DONE, "done")])
        take(journal, [*submitted(n, 2, cost=10), Withdraw(n, 3.0, spent=True)])
        take(journal, [*made(n, 3, cost=100), Finish(n, 5.0, Move.EXHAUST, b"{}", REJECTED)])
        take(journal, [Decide(n, 6.0, Move.RETRY), *made(n, 4, cost=1_000)])
        assert money(journal) == {"cost": 1_101, "cost_refunded": 1, "jobs_priced": 3}

    @pytest.mark.parametrize("cost", [-1, 2**63, 10**30, 1_000_000_000_001])
    def test_an_amount_that_cannot_be_is_no_amount(self, journal: Journal, cost: int) -> None:
        """Nonsense from an API neither ends a run nor spoils its sums; the quote stays."""
        (n,) = admitted(journal, "a")
        take(journal, made(n, cost=cost))
        assert money(journal) == {}
        take(journal, [event(Move.RERUN, n), *made(n, 2), event(Move.FAIL, n, said=Said(cost))])
        assert money(journal) == {"cost": PRICE, "jobs_priced": 1}

    @pytest.mark.parametrize("state", [State.PENDING, State.INTENT, State.IN_DOUBT])
    def test_without_a_job_nothing_can_be_said_of_its_money(
        self, journal: Journal, state: State
    ) -> None:
        """A row that ends without a job keeps what the ledger says of its submits."""
        (n,) = admitted(journal, "a")
        take(journal, way_to(state, n))
        ends = {State.PENDING: Move.REJECT, State.INTENT: Move.REFUSE, State.IN_DOUBT: Move.GIVE_UP}
        end = Finish(n, 9.0, ends[state], b"{}", ERROR, Refund.DONE, cost=5)
        take(journal, [end])
        assert money(journal) == {}
        assert journal.counters()["refund_done"] == 0

    # --- Tickets -----------------------------------------------------------------------------

    def test_every_ticket_knows_what_its_last_submit_costs(self, open_journal: Opener) -> None:
        """Wherever a later process takes a row up, it knows what is at stake."""
        first = open_journal()
        first.claim(0.0)
        numbers = dict(zip("ifpd", admitted(first, *"ifpd"), strict=True))
        for cost, n in enumerate(numbers.values(), 1):
            take(first, submitted(n, cost=cost))

        take(first, [Accept(numbers["f"], 2.0, "j"), event(Move.DOUBT, numbers["d"])])
        take(first, [Withdraw(numbers["p"], 2.0, spent=True)])
        journal = open_journal()
        journal.claim(3.0)
        tickets = [
            *journal.unanswered(0, ALL),
            *journal.followed(0, ALL),
            *journal.unseen(0, ALL),
            *(held.ticket for held in journal.held(State.IN_DOUBT, 0, ALL)),
        ]
        assert [(ticket.row.id, ticket.cost) for ticket in tickets] == [
            *(("i", 1), ("f", 2), ("p", 3), ("d", 4))
        ]
        (line,) = journal.admit([entry("p", 3)])
        assert line.ticket is not None
        assert line.ticket.cost == 3

    # --- Charges -----------------------------------------------------------------------------

    @pytest.mark.parametrize("state", State)
    def test_what_has_a_result_or_may_have_one_is_no_charge(
        self, journal: Journal, state: State
    ) -> None:
        """A job without a result is one, and a submit in doubt; nothing still on its way is."""
        (n,) = admitted(journal, "a")
        take(journal, way_to(state, n))
        jobs = {State.EXHAUSTED: f"job-of-{n}", State.IN_DOUBT: None}
        assert [charge.job_id for charge in journal.charges(0, ALL)] == (
            [jobs[state]] if state in jobs else []
        )

    def test_a_charge_tells_all_that_its_support_needs(self, journal: Journal) -> None:
        """The row, the job, the call, the money and the reason."""
        (n,) = admitted(journal, "a")
        said = Said(5, Refund.UNCONFIRMED, "manual review")
        take(journal, [*made(n), event(Move.FAIL, n, said=said)])
        (charge,) = journal.charges(0, ALL)
        assert (charge.n, charge.row_id, charge.line, charge.generation) == (n, "a", 1, 1)
        assert (charge.state, charge.job_id, charge.request_id) == (
            *(State.FAILED, f"job-{n}-1", "req-1"),
        )
        assert (charge.submitted_at, charge.cost, charge.is_given_up) == (1.0, 5, False)
        assert (charge.refund, charge.refund_raw) == (Refund.UNCONFIRMED, "manual review")
        assert charge.error == ERROR

    def test_each_charge_has_its_own_reason(self, journal: Journal) -> None:
        """What became of one job is not told of another one of the same row."""
        (n,) = admitted(journal, "a")
        take(journal, [*made(n), Rerun(n, 3.0, REJECTED, Refund.DONE)])
        take(journal, [*submitted(n, 2), Finish(n, 4.0, Move.DOUBT, b"{}", LOST)])
        take(journal, [Decide(n, 5.0, Move.RESUBMIT, note="ann")])
        take(journal, [*made(n, 3), Finish(n, 6.0, Move.EXHAUST, b"{}", ERROR)])
        take(journal, [Decide(n, 7.0, Move.RETRY), *submitted(n, 4)])
        take(journal, [Finish(n, 8.0, Move.DOUBT, b"{}", LOST)])
        charges = journal.charges(0, ALL)
        assert [(c.generation, c.job_id, c.is_given_up, c.error) for c in charges] == [
            (1, f"job-{n}-1", True, REJECTED),
            (2, None, True, LOST),
            (3, f"job-{n}-3", True, ERROR),
            (4, None, False, LOST),
        ]
        take(journal, [Decide(n, 9.0, Move.RESUBMIT), *made(n, 5), event(Move.SUCCEED, n)])
        assert [(c.generation, c.error) for c in journal.charges(0, ALL)] == [
            *((1, REJECTED), (2, LOST), (3, ERROR), (4, LOST))
        ]

    @pytest.mark.parametrize("move", [Move.DOUBT, Move.RESUBMIT])
    def test_a_row_that_went_on_keeps_its_doubt(self, journal: Journal, move: Move) -> None:
        """A first submit whose answer was lost may have been paid for, though a second succeeded.

        Whether a person let the row be submitted again, or the policy that they chose.
        """
        (n,) = admitted(journal, "a")
        take(journal, [*submitted(n), event(move, n)])
        if move is Move.DOUBT:
            take(journal, [event(Move.RESUBMIT, n)])

        take(journal, [*made(n, 2), event(Move.SUCCEED, n)])
        charges = [(c.generation, c.job_id, c.cost) for c in journal.charges(0, ALL)]
        assert charges == [(1, None, PRICE)]

    def test_a_row_that_was_closed_keeps_the_reason_of_its_doubt(self, journal: Journal) -> None:
        """The vendor's support is told what happened to the call, not what a person decided."""
        (n,) = admitted(journal, "a")
        take(journal, [*submitted(n), Finish(n, 2.0, Move.DOUBT, b"{}", LOST)])
        take(journal, [Finish(n, 3.0, Move.GIVE_UP, b"{}", ERROR)])
        (charge,) = journal.charges(0, ALL)
        assert (charge.state, charge.error, charge.request_id) == (State.FAILED, LOST, "req-3")

    def test_charges_come_in_pages_of_rows(self, journal: Journal) -> None:
        """Each page has at most so many rows, and of each row all of its charges."""
        numbers = admitted(journal, *"abcdef")
        for n in numbers:
            take(journal, [*made(n), event(Move.RERUN, n), *made(n, 2)])
            take(journal, [event(Move.SUCCEED if n == numbers[3] else Move.FAIL, n)])

        pages, after = [], 0
        while page := journal.charges(after, 2):
            after = page[-1].n
            pages.append([(charge.row_id, charge.generation) for charge in page])

        assert pages == [
            [("a", 1), ("a", 2), ("b", 1), ("b", 2)],
            [("c", 1), ("c", 2), ("d", 1)],
            [("e", 1), ("e", 2), ("f", 1), ("f", 2)],
        ]

    def test_charges_of_one_row_are_its_own(self, journal: Journal) -> None:
        """They are those of its page; a row that paid for nothing in vain has none."""
        paid, other, ended, fresh = admitted(journal, *"abcd")
        for n in (paid, other, ended):
            take(journal, [*made(n), event(Move.SUCCEED if n == ended else Move.RERUN, n)])

        for n in (paid, other):
            take(journal, [*made(n, 2), event(Move.FAIL, n)])

        ids = [(c.n, c.job_id) for c in journal.charges_of(paid)]
        assert ids == [(paid, f"job-{paid}-1"), (paid, f"job-{paid}-2")]
        assert journal.charges_of(ended) == journal.charges_of(fresh) == []
        assert journal.charges_of(fresh + 1) == []
