"""What every adapter of the port `Journal` must do: moves, ledger, ownership, questions.

An adapter's test file derives `JournalConformance` (and `AdmissionConformance` of
`journal_admission.py`, `MoneyConformance` of `journal_money.py`) and gives the fixture
`open_journal`: a function that opens the same journal again, as the next process would. Nothing
here knows how a journal keeps what it is told.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import orjson
import pytest
from msgspec import structs

from batcher.core.errors import BatcherError, Fenced, IllegalMove
from batcher.core.events import Accept, Collect, Decide, Event, Finish, Intend, Rerun, Withdraw
from batcher.core.journal import Attempt, Entry, Held, Journal
from batcher.core.lifecycle import OUTCOMES, TABLE, Move, State
from batcher.core.model import ErrorKind, Refund, Result, RowError

Opener = Callable[[], Journal]

ALL = 1_000
ERROR = RowError(
    ErrorKind.UNAVAILABLE, "try later", 503, "busy", {"file": ["too large"]}, True, "req-7"
)
RESULT = Result(urls={"final": "https://cdn.example/x?sig=1"}, warnings={"w": ["odd"]})
ENCODED = orjson.dumps(RESULT.as_json())


def entry(row_id: str, line: int = 1, content: str = "a", **fields: Any) -> Entry:
    """Make a manifest line."""
    body = orjson.dumps({"id": row_id, "content": content})
    digest = hashlib.blake2b(body, digest_size=16).digest()
    return structs.replace(Entry(line, row_id, False, body, digest), **fields)


def admitted(journal: Journal, *ids: str) -> list[int]:
    """Admit rows with these ids and return their numbers."""
    lines = journal.admit([entry(row_id, line) for line, row_id in enumerate(ids, 1)])
    return [line.ticket.row.n for line in lines if line.ticket is not None]


@dataclass(frozen=True)
class Said:
    """What is said of an attempt's money."""

    cost: int | None = None
    refund: Refund | None = None
    raw: str | None = None


NOTHING = Said()


def event(
    move: Move,
    n: int,
    at: float = 5.0,
    generation: int = 2,
    job: str = "job-2",
    said: Said = NOTHING,
) -> Event:
    """Make an event of one kind."""
    match move:
        case Move.INTEND:
            return Intend(n, at, generation, said.cost)
        case Move.ACCEPT:
            return Accept(n, at, job, "req-1")
        case Move.WITHDRAW:
            return Withdraw(n, at, spent=True, error=ERROR)
        case Move.COLLECT:
            return Collect(n, at, ENCODED)
        case Move.RERUN:
            return Rerun(n, at, ERROR, said.refund, said.raw, said.cost)
        case Move.RETRY | Move.REPOLL | Move.REFETCH | Move.RESUBMIT | Move.GIVE_UP:
            return Decide(n, at, move, note="ann")
        case Move.ADOPT:
            return Decide(n, at, move, job, "ann: seen in the dashboard")
        case _:
            error = None if move is Move.SUCCEED else ERROR
            money = {"refund": said.refund, "refund_raw": said.raw, "cost": said.cost}
            return Finish(n, at, move, b"{}", error, **money)  # type: ignore[arg-type]  # by name


def way_to(state: State, n: int) -> list[Event]:
    """Return the events that take a fresh row to *state*, through one submit."""
    submit: list[Event] = [Intend(n, 1.0, 1)]
    accepted: list[Event] = [*submit, Accept(n, 2.0, f"job-of-{n}", "req-1")]
    ready: list[Event] = [*accepted, Collect(n, 3.0, ENCODED)]
    ways: dict[State, list[Event]] = {
        State.PENDING: [*submit, Withdraw(n, 2.0, spent=False)],
        State.INTENT: [*submit],
        State.ACCEPTED: [*accepted],
        State.READY: [*ready],
        State.SUCCEEDED: [*ready, Finish(n, 4.0, Move.SUCCEED, b"{}")],
        State.FAILED: [*submit, Finish(n, 2.0, Move.REFUSE, b"{}", ERROR)],
        State.EXHAUSTED: [*ready, Finish(n, 4.0, Move.EXHAUST, b"{}", ERROR)],
        State.IN_DOUBT: [*submit, Finish(n, 2.0, Move.DOUBT, b"{}", ERROR)],
    }
    return ways[state]


def take(journal: Journal, events: Sequence[Event]) -> None:
    """Apply events one after another."""
    for one in events:
        assert journal.apply([one]) == [True]


def row_in(journal: Journal, state: State, row_id: str = "a") -> int:
    """Bring a new row into *state* and return its number."""
    (n,) = admitted(journal, row_id)
    take(journal, way_to(state, n))
    return n


def found(journal: Journal, row_id: str = "a") -> Held:
    """Return a row that must be there."""
    row = journal.find(row_id)
    assert row is not None
    return row


def everything(journal: Journal, *ids: str) -> str:
    """Return all that the port can tell, so that it can be compared: a ticket equals no other."""
    told: list[object] = [
        journal.counters(),
        journal.outputs(),
        [journal.find(row_id) for row_id in ids],
        journal.followed(0, ALL),
        journal.unanswered(0, ALL),
        journal.unseen(0, ALL),
        [journal.held(state, 0, ALL) for state in OUTCOMES],
        journal.submits_since(0.0),
        journal.fact("account"),
        journal.charges(0, ALL),
    ]
    return repr(told)


class JournalConformance:
    """Rows, moves, the ledger, ownership, sums."""

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

    # --- Moves -------------------------------------------------------------------------------

    @pytest.mark.parametrize("state", State)
    def test_a_legal_move_leads_where_the_lifecycle_says(
        self, open_journal: Opener, state: State
    ) -> None:
        """Every arrow of the table is taken, counted, and there after reopening."""
        journal = open_journal()
        journal.claim(0.0)
        for move, target in TABLE[state].items():
            n = row_in(journal, state, f"{state}-{move}")
            assert journal.apply([event(move, n, job=f"{state}-{move}")]) == [True]
            assert found(journal, f"{state}-{move}").state is target

        reopened = open_journal()
        states = [found(reopened, f"{state}-{move}").state for move in TABLE[state]]
        assert states == list(TABLE[state].values())
        assert {str(s): states.count(s) for s in State} == {
            name: count for name, count in reopened.counters().items() if name in list(State)
        }

    @pytest.mark.parametrize("state", State)
    def test_an_illegal_move_changes_nothing(self, journal: Journal, state: State) -> None:
        """One event that may not be undoes its whole call: other events, lengths, counters."""
        n = row_in(journal, state)
        (other,) = admitted(journal, "other")
        before = everything(journal, "a", "other")
        for move in set(Move) - set(TABLE[state]):
            with pytest.raises(IllegalMove, match=state):
                journal.apply(
                    [Intend(other, 9.0, 1), event(move, n)], {"failed": 7}, {"status_reads": 1}
                )

            assert everything(journal, "a", "other") == before

        assert journal.apply([Intend(other, 9.0, 1)]) == [True]

    def test_an_unknown_row_cannot_move(self, journal: Journal) -> None:
        """An event for a row that was never admitted is a bug, not a new row."""
        with pytest.raises(IllegalMove, match="unknown"):
            journal.apply([Intend(7, 1.0, 1)])

        assert journal.counters()["rows"] == 0

    @pytest.mark.parametrize("generation", [0, 1, 3])
    def test_a_submit_follows_the_one_before_it(self, journal: Journal, generation: int) -> None:
        """An intent whose generation is not the next one comes from a wrong idea of the row."""
        n = row_in(journal, State.PENDING)
        with pytest.raises(IllegalMove, match="generation"):
            journal.apply([Intend(n, 3.0, generation)])

        assert found(journal).state is State.PENDING
        assert journal.apply([Intend(n, 3.0, 2)]) == [True]

    def test_one_event_for_each_row(self, journal: Journal) -> None:
        """Two events for one row in one call are refused, since their order would be a guess."""
        (n,) = admitted(journal, "a")
        with pytest.raises(ValueError, match="two events"):
            journal.apply([Intend(n, 1.0, 1), Accept(n, 2.0, "j")])

        assert found(journal).state is State.PENDING

    # --- Jobs --------------------------------------------------------------------------------

    def test_a_job_belongs_to_one_row(self, journal: Journal) -> None:
        """A second row that is told the same job id is left out, and the rest is written."""
        first, second, third = admitted(journal, "a", "b", "c")
        journal.apply([Intend(n, 1.0, 1) for n in (first, second, third)])
        answers = journal.apply([Accept(n, 2.0, "j") for n in (second, first)])
        assert answers == [True, False]
        assert journal.apply([Accept(third, 2.0, "j")]) == [False]
        states = [found(journal, row_id).state for row_id in "abc"]
        assert states == [State.INTENT, State.ACCEPTED, State.INTENT]
        assert found(journal, "a").attempts[0].verdict is None
        assert journal.counters()["jobs_accepted"] == 1

    @pytest.mark.parametrize("move", [Move.ACCEPT, Move.ADOPT])
    def test_a_job_that_was_given_up_stays_its_rows(self, journal: Journal, move: Move) -> None:
        """A row may get its old job again, another row may not."""
        n = row_in(journal, State.ACCEPTED)
        take(journal, [Rerun(n, 3.0, ERROR), Intend(n, 4.0, 2)])
        state = State.INTENT if move is Move.ACCEPT else State.IN_DOUBT
        other = row_in(journal, state, "b")
        assert journal.apply([event(move, other, job=f"job-of-{n}")]) == [False]
        assert found(journal, "b").state is state
        assert journal.apply([Accept(n, 5.0, f"job-of-{n}")]) == [True]

    @pytest.mark.parametrize("state", [State.SUCCEEDED, State.EXHAUSTED])
    def test_an_ended_row_keeps_its_job(self, journal: Journal, state: State) -> None:
        """Nobody can adopt the job of a row that has its outcome."""
        n = row_in(journal, state)
        other = row_in(journal, State.IN_DOUBT, "b")
        assert journal.apply([event(Move.ADOPT, other, job=f"job-of-{n}")]) == [False]

    # --- The ledger --------------------------------------------------------------------------

    def test_every_submit_is_in_the_ledger(self, journal: Journal) -> None:
        """Each attempt tells when it was meant, when and how it was answered, and why."""
        (n,) = admitted(journal, "a")
        take(journal, [Intend(n, 1.0, 1), Withdraw(n, 2.0, spent=True, error=ERROR)])
        take(journal, [Intend(n, 3.0, 2), Withdraw(n, 4.0, spent=False)])
        take(journal, [Intend(n, 5.0, 3), Accept(n, 6.0, "j", "req-9"), Rerun(n, 7.0, ERROR)])
        take(journal, [Intend(n, 8.0, 4), Finish(n, 9.0, Move.DOUBT, b"{}", ERROR)])
        assert found(journal).attempts == (
            Attempt(1, 1.0, 2.0, "withdraw", 503, "req-7", "try later"),
            Attempt(2, 3.0, 4.0, "withdraw", None, None, None),
            Attempt(3, 5.0, 6.0, "accept", None, "req-9", None),
            Attempt(4, 8.0, 9.0, "doubt", 503, "req-7", "try later"),
        )
        assert journal.counters()["submits"] == 4
        assert journal.submits_since(5.0) == [5.0, 8.0]

    @pytest.mark.parametrize("state", [State.ACCEPTED, State.READY])
    def test_the_end_of_a_job_does_not_touch_its_attempt(
        self, journal: Journal, state: State
    ) -> None:
        """The submit was answered long before; its entry stays as it was closed."""
        n = row_in(journal, state)
        before = found(journal).attempts
        take(journal, [Finish(n, 9.0, Move.EXHAUST, b"{}", ERROR)])
        assert found(journal).attempts == before

    def test_a_policy_closes_what_it_resubmits(self, journal: Journal) -> None:
        """A submit without an answer that is made again at one's own risk says so."""
        n = row_in(journal, State.INTENT)
        take(journal, [Decide(n, 2.0, Move.RESUBMIT, note="cut off")])
        assert found(journal).attempts == (Attempt(1, 1.0, 2.0, "resubmit", None, None, "cut off"),)
        take(journal, [Intend(n, 3.0, 2), Accept(n, 4.0, "j")])

    def test_attempts_that_count_are_counted(self, journal: Journal) -> None:
        """Only withdrawals that say so are spent; a person's retry begins anew."""
        (n,) = admitted(journal, "a")
        take(journal, [Intend(n, 1.0, 1), Withdraw(n, 2.0, spent=True)])
        take(journal, [Intend(n, 3.0, 2), Withdraw(n, 4.0, spent=False)])
        take(journal, [Intend(n, 5.0, 3)])
        assert (found(journal).ticket.spent, found(journal).ticket.submits) == (1, 3)
        take(journal, [Finish(n, 6.0, Move.EXHAUST, b"{}"), Decide(n, 7.0, Move.RETRY)])
        assert (found(journal).ticket.spent, found(journal).ticket.submits) == (0, 3)

    def test_the_last_word_about_a_refund_counts(self, journal: Journal) -> None:
        """Each job has one refund: a job that is looked at again replaces what was said."""
        n = row_in(journal, State.ACCEPTED)
        take(journal, [Rerun(n, 3.0, ERROR, Refund.DONE), Intend(n, 4.0, 2), Accept(n, 5.0, "k")])
        take(journal, [Finish(n, 6.0, Move.EXHAUST, b"{}", ERROR, Refund.UNCONFIRMED)])
        take(journal, [Decide(n, 7.0, Move.REPOLL)])
        take(journal, [Finish(n, 8.0, Move.FAIL, b"{}", ERROR, Refund.ALREADY_DONE)])
        counters = journal.counters()
        assert [counters[f"refund_{refund}"] for refund in Refund] == [1, 1, 0]

    # --- What a ticket knows -----------------------------------------------------------------

    def test_a_followed_row_has_what_its_job_needs(self, open_journal: Opener) -> None:
        """A later process polls and fetches with what the first one knew."""
        first = open_journal()
        first.claim(0.0)
        line = entry("a", 7, base="/data")
        (line_7,) = first.admit([line])
        assert line_7.ticket is not None
        take(first, way_to(State.READY, line_7.ticket.row.n))
        journal = open_journal()
        journal.claim(9.0)
        (ticket,) = journal.followed(0, ALL)
        row = ticket.row
        assert (row.id, row.line, row.body, row.base) == ("a", 7, line.body, "/data")
        assert (ticket.generation, ticket.submits, ticket.job_id) == (1, 1, f"job-of-{row.n}")
        assert (ticket.submitted_at, ticket.accepted_at, ticket.done_seen_at) == (1.0, 2.0, 3.0)
        assert ticket.result == RESULT

    def test_the_last_error_is_known(self, journal: Journal) -> None:
        """A row that waits for its next submit knows why, whole; an accepted one starts clean."""
        n = row_in(journal, State.INTENT)
        take(journal, [Withdraw(n, 2.0, spent=True, error=ERROR)])
        assert found(journal).error == ERROR
        take(journal, [Intend(n, 3.0, 2), Accept(n, 4.0, "j")])
        assert found(journal).error is None

    def test_a_result_waits_for_its_files(self, journal: Journal) -> None:
        """Where only the download failed, the result is kept, however the row came there."""
        ready = row_in(journal, State.READY, "a")
        accepted = row_in(journal, State.ACCEPTED, "b")
        take(journal, [Finish(ready, 4.0, Move.EXHAUST, b"{}", ERROR)])
        take(journal, [Finish(accepted, 4.0, Move.EXHAUST, b"{}", ERROR, result=ENCODED)])
        for row in journal.held(State.EXHAUSTED, 0, ALL):
            assert (row.has_result, row.ticket.result) == (True, RESULT)
            take(journal, [Decide(row.ticket.row.n, 5.0, Move.REFETCH)])

        assert [ticket.result for ticket in journal.followed(0, ALL)] == [RESULT, RESULT]

    # --- Decisions ---------------------------------------------------------------------------

    def test_a_job_looked_at_again_has_all_its_time(self, journal: Journal) -> None:
        """Polling again starts the job's time anew and drops what was known of its end."""
        n = row_in(journal, State.EXHAUSTED)
        take(journal, [Decide(n, 50.0, Move.REPOLL)])
        (ticket,) = journal.followed(0, ALL)
        assert (ticket.job_id, ticket.accepted_at, ticket.result) == (f"job-of-{n}", 50.0, None)

    def test_an_adopted_job_is_followed(self, journal: Journal) -> None:
        """The job that a person found is polled like any other, and counts as accepted."""
        n = row_in(journal, State.IN_DOUBT)
        take(journal, [Decide(n, 50.0, Move.ADOPT, "found", "dashboard")])
        (ticket,) = journal.followed(0, ALL)
        assert (ticket.job_id, ticket.accepted_at) == ("found", 50.0)
        assert journal.counters()["jobs_accepted"] == 1

    @pytest.mark.parametrize("move", [Move.REPOLL, Move.REFETCH])
    def test_what_is_not_there_cannot_be_taken_up(self, journal: Journal, move: Move) -> None:
        """Without a job nothing is polled, without a result nothing is fetched."""
        n = row_in(journal, State.INTENT)
        take(journal, [Finish(n, 2.0, Move.EXHAUST, b"{}", ERROR)])
        with pytest.raises(IllegalMove):
            journal.apply([Decide(n, 3.0, move)])

        assert found(journal).state is State.EXHAUSTED

    def test_an_adoption_names_its_job(self, journal: Journal) -> None:
        """A row cannot be followed without a job id."""
        n = row_in(journal, State.IN_DOUBT)
        with pytest.raises(IllegalMove):
            journal.apply([Decide(n, 3.0, Move.ADOPT)])

    def test_decisions_and_rebuilding_go_together(self, open_journal: Opener) -> None:
        """A file is marked in the transaction of the decisions that change it, or not at all."""
        journal = open_journal()
        journal.claim(0.0)
        n = row_in(journal, State.EXHAUSTED)
        journal.apply([], {"exhausted": 120, "failed": 0})
        with pytest.raises(IllegalMove):
            journal.mark_rebuild([Decide(n, 5.0, Move.ADOPT, "j")], ["exhausted"])

        assert journal.outputs() == {"exhausted": 120, "failed": 0}
        assert journal.mark_rebuild([Decide(n, 5.0, Move.RETRY)], ["exhausted"]) == [True]
        reopened = open_journal()
        assert reopened.outputs() == {"exhausted": None, "failed": 0}
        assert found(reopened).state is State.PENDING
        journal.apply([], {"exhausted": 60})
        assert journal.outputs()["exhausted"] == 60

    # --- Questions ---------------------------------------------------------------------------

    def test_followed_rows_come_in_pages(self, journal: Journal) -> None:
        """Accepted and ready rows are merged by number, each once, none left out."""
        ns = admitted(journal, *"abcdefg")
        states = [State.READY, State.ACCEPTED, State.PENDING, State.ACCEPTED, State.SUCCEEDED]
        states += [State.READY, State.ACCEPTED]
        for n, state in zip(ns, states, strict=True):
            take(journal, way_to(state, n))

        got: list[int] = []
        while page := journal.followed(got[-1] if got else 0, 2):
            assert len(page) <= 2
            got += [ticket.row.n for ticket in page]

        assert got == [
            n for n, state in zip(ns, states, strict=True) if state in ("accepted", "ready")
        ]

    def test_intents_without_an_answer_are_found_later(self, open_journal: Opener) -> None:
        """What an earlier process left unanswered is told; this one's own submits are not."""
        first = open_journal()
        first.claim(0.0)
        n, own, _ = admitted(first, "a", "b", "c")
        take(first, [Intend(n, 1.0, 1)])
        assert first.unanswered(0, ALL) == []
        second = open_journal()
        second.claim(2.0)
        take(second, [Intend(own, 3.0, 1)])
        (ticket,) = second.unanswered(0, ALL)
        assert (ticket.row.n, ticket.generation, ticket.submitted_at) == (n, 1, 1.0)
        assert second.unanswered(n, ALL) == []

    def test_held_rows_come_in_pages_with_their_evidence(self, journal: Journal) -> None:
        """Each state by itself, by number, with the ledger of each row."""
        for row_id, state in zip(
            "abcd", [State.IN_DOUBT, State.EXHAUSTED, State.IN_DOUBT, State.ACCEPTED], strict=True
        ):
            row_in(journal, state, row_id)

        (first,) = journal.held(State.IN_DOUBT, 0, 1)
        (second,) = journal.held(State.IN_DOUBT, first.ticket.row.n, ALL)
        assert (first.ticket.row.id, second.ticket.row.id) == ("a", "c")
        assert (first.state, first.error) == (State.IN_DOUBT, ERROR)
        assert [attempt.verdict for attempt in first.attempts] == ["doubt"]
        assert [row.ticket.row.id for row in journal.held(State.EXHAUSTED, 0, ALL)] == ["b"]

    def test_an_unknown_row_is_not_found(self, journal: Journal) -> None:
        """Asking for a row that is not there is no error."""
        assert (journal.find("nobody"), journal.at(1)) == (None, None)

    @pytest.mark.parametrize("state", State)
    def test_a_row_is_found_by_its_number(self, journal: Journal, state: State) -> None:
        """In whatever state it is, and with the same evidence as by its id."""
        numbers = [row_in(journal, state, row_id) for row_id in "ab"]
        by_id = [found(journal, "a"), found(journal, "b")]
        assert repr([journal.at(n) for n in numbers]) == repr(by_id)

    def test_counters_begin_at_nothing_and_add_up(self, journal: Journal) -> None:
        """The journal's own sums are always there, the engine's once it counted something."""
        own = {*State, "rows", "jobs_accepted", "submits", *(f"refund_{r}" for r in Refund)}
        own |= {"cost", "cost_refunded", "cost_unconfirmed", "cost_in_doubt", "jobs_priced"}
        assert journal.counters() == dict.fromkeys(own, 0)
        journal.apply([], counters={"status_reads": 2})
        journal.apply([], counters={"status_reads": 3, "throttled": 0})
        assert journal.counters()["status_reads"] == 5

    def test_nobody_else_counts_what_the_journal_counts(self, journal: Journal) -> None:
        """A sum that two sides kept would be nobody's."""
        for name in ("submits", "cost", "jobs_priced"):
            with pytest.raises(ValueError, match=name):
                journal.apply([], counters={name: 1})

    def test_facts_are_kept(self, open_journal: Opener) -> None:
        """The last word about a fact is there for the next process."""
        journal = open_journal()
        journal.claim(0.0)
        journal.note({"account": "x", "manifest_rows": "3"})
        journal.note({"account": "é\n"})
        reopened = open_journal()
        facts = [reopened.fact(key) for key in ("account", "manifest_rows", "nothing")]
        assert facts == ["é\n", "3", None]

    # --- Ownership ---------------------------------------------------------------------------

    def test_each_claim_is_a_new_epoch(self, open_journal: Opener) -> None:
        """Epochs grow by one, over processes and within one."""
        first, second = open_journal(), open_journal()
        assert [first.claim(0.0), second.claim(0.0), second.claim(0.0)] == [1, 2, 3]

    def test_an_owner_that_was_replaced_is_fenced(self, open_journal: Opener) -> None:
        """It can neither write nor read from the moment of the take-over, and changes nothing."""
        old, new = open_journal(), open_journal()
        old.claim(0.0)
        n = row_in(old, State.PENDING)
        new.claim(1.0)
        before = everything(new, "a")
        calls: list[Callable[[], object]] = [
            lambda: old.apply([Intend(n, 2.0, 2)]),
            lambda: old.apply([], {"failed": 1}),
            lambda: old.admit([entry("b")]),
            lambda: old.mark_rebuild([], ["failed"]),
            lambda: old.note({"account": "y"}),
            lambda: old.followed(0, 1),
            lambda: old.counters(),
        ]
        for call in calls:
            with pytest.raises(Fenced):
                call()

        assert everything(new, "a") == before
        assert new.apply([Intend(n, 2.0, 2)]) == [True]

    def test_nothing_is_written_before_a_claim(self, open_journal: Opener) -> None:
        """A process that did not claim the run does not own it."""
        journal = open_journal()
        with pytest.raises(Fenced):
            journal.note({"account": "x"})

        assert journal.fact("account") is None

    def test_closing_twice_is_closing(self, journal: Journal) -> None:
        """Whoever cleans up need not know whether somebody did."""
        journal.close()
        journal.close()
        with pytest.raises(BatcherError):
            journal.counters()
