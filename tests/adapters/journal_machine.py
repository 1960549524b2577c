"""A journal against a model in memory, through crashes and take-overs.

The model knows the lifecycle table and nothing of how a journal works. A crash is an image of the
files at that instant, opened by a new owner: what was acknowledged must be in it, and no more.
"""

from __future__ import annotations

import shutil
import tempfile
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from batcher.core.errors import Fenced, IllegalMove
from batcher.core.events import Event, Intend
from batcher.core.journal import Charge, Journal
from batcher.core.lifecycle import OUTCOMES, TABLE, Move, State
from batcher.core.model import Refund, Ticket
from tests.adapters.journal_conformance import ALL, NOTHING, Said, entry, event

JOBS = ("j1", "j2", "j3", "j4")  # few, so that rows get in each other's way
SAYINGS = st.builds(
    Said,
    cost=st.sampled_from([None, None, 0, 1, 20, 300]),
    refund=st.sampled_from([None, *Refund]),
    raw=st.sampled_from([None, "word"]),
)
NO_RESULT = (State.FAILED, State.EXHAUSTED)

Drawn = tuple[int, Move, str, Said]  # row, move, job id, what is said of the money


@dataclass
class ModelAttempt:
    """What the model knows of one submit."""

    closed_by: Move | None = None
    job: str | None = None
    is_given_up: bool = False
    said: Said = NOTHING

    @property
    def may_cost(self) -> bool:
        """Whether it made a job, or may have."""
        return self.closed_by not in (Move.WITHDRAW, Move.REFUSE, Move.EXHAUST)

    @property
    def is_in_doubt(self) -> bool:
        """Whether nobody knows what became of it."""
        return self.may_cost and self.closed_by is not None and self.job is None

    def settle(self, said: Said) -> None:
        """Take in what the API says of the money of its job."""
        self.said = Said(
            self.said.cost if said.cost is None else said.cost,
            *(
                (self.said.refund, self.said.raw)
                if said.refund is None
                else (said.refund, said.raw)
            ),
        )


@dataclass
class ModelRow:
    """What the model knows of a row."""

    state: State = State.PENDING
    generation: int = 0
    spent: int = 0
    job: str | None = None
    has_result: bool = False
    epoch: int = 0  # of its last intent
    attempts: list[ModelAttempt] = field(default_factory=list)

    def may(self, move: Move) -> bool:
        """Return whether the move is legal."""
        lacks = (move is Move.REPOLL and self.job is None) or (
            move is Move.REFETCH and (self.job is None or not self.has_result)
        )
        return move in TABLE[self.state] and not lacks

    def do(self, move: Move, job: str, said: Said, epoch: int) -> None:
        """Make a legal move."""
        self._book(move, job, said)
        self.state = TABLE[self.state][move]
        match move:
            case Move.INTEND:
                self.generation, self.epoch = self.generation + 1, epoch
            case Move.WITHDRAW | Move.RERUN:
                self.spent += 1
            case Move.ACCEPT | Move.ADOPT:
                self.job = job
            case Move.RETRY:
                self.spent = 0
            case Move.COLLECT:
                self.has_result = True
            case _:
                pass

        if self.state is State.PENDING:
            self.job = None

        if self.state not in (State.READY, State.EXHAUSTED):
            self.has_result = False

    def _book(self, move: Move, job: str, said: Said) -> None:
        """Write a move into the ledger."""
        if move is Move.INTEND:
            self.attempts.append(ModelAttempt(said=Said(said.cost)))
            return

        if not self.attempts:
            return

        last = self.attempts[-1]
        if self.state is State.INTENT or move is Move.WITHDRAW:  # of a doubt: proved later
            last.closed_by = move

        if move in (Move.ACCEPT, Move.ADOPT):
            last.job = job

        if self.job is not None and move in (Move.RERUN, Move.SUCCEED, Move.FAIL, Move.EXHAUST):
            last.settle(said)

        last.is_given_up |= self.job is not None and move in (Move.RERUN, Move.RETRY)

    def charges(self) -> list[tuple[int, str | None, Said]]:
        """Return what it was charged for, or may have been, without a result."""
        return [
            (generation, attempt.job, attempt.said)
            for generation, attempt in enumerate(self.attempts, 1)
            if attempt.is_in_doubt
            or attempt.is_given_up
            or (attempt.job and generation == self.generation and self.state in NO_RESULT)
        ]


class JournalMachine(RuleBasedStateMachine):
    """Random runs. A subclass gives `open_at`."""

    open_at: Callable[[Path], Journal]

    def __init__(self) -> None:
        super().__init__()
        self.root = Path(tempfile.mkdtemp(prefix="journal-machine-"))
        self.images = 0
        self.journals: list[Journal] = []
        self.rows: dict[int, ModelRow] = {}
        self.owners: dict[str, int] = {}
        self.seen: set[int] = set()
        self.sums: Counter[str] = Counter()
        self.length = 0
        self.epoch = 0

    @initialize()
    def begin(self) -> None:
        """Start a run."""
        (self.root / "0").mkdir()
        self._own(self.root / "0")
        self.admit(2)

    def _own(self, folder: Path) -> None:
        self.folder = folder
        self.journal = type(self).open_at(folder)
        self.journals.append(self.journal)
        self.epoch += 1
        self.seen = set()
        assert self.journal.claim(0.0) == self.epoch

    @rule(count=st.integers(1, 3))
    def admit(self, count: int) -> None:
        """Read new lines."""
        first = len(self.rows) + 1
        numbers = range(first, first + count)
        lines = self.journal.admit([entry(f"row-{n}", n) for n in numbers])
        assert [line.ticket and line.ticket.row.n for line in lines] == list(numbers)
        self.rows |= {n: ModelRow() for n in numbers}
        self.seen |= set(numbers)

    @rule(data=st.data())
    def admit_again(self, data: st.DataObject) -> None:
        """Meet rows of an earlier epoch again."""
        unmet = sorted(set(self.rows) - self.seen)
        for n in data.draw(st.lists(st.sampled_from(unmet), unique=True)) if unmet else []:
            (line,) = self.journal.admit([entry(f"row-{n}", 99)])
            assert (line.ticket is not None) == (self.rows[n].state is State.PENDING)
            self.seen.add(n)

    @rule(data=st.data())
    def move_rows(self, data: st.DataObject) -> None:
        """Apply a group of events."""
        self._move(self._draw(data, careless=False))

    @rule(data=st.data())
    def move_rows_on(self, data: st.DataObject) -> None:
        """Apply a group of events: a row goes through many, while a run starts a few times."""
        self._move(self._draw(data, careless=False))

    @rule(data=st.data())
    def move_rows_carelessly(self, data: st.DataObject) -> None:
        """Apply a group of events with some that may not be."""
        self._move(self._draw(data, careless=True))

    def _move(self, drawn: list[Drawn]) -> None:
        events: list[Event] = [
            event(move, n, generation=self.rows[n].generation + 1, job=job, said=said)
            for n, move, job, said in drawn
        ]
        self.length += 1
        if not all(self.rows[n].may(move) for n, move, *_ in drawn):
            with pytest.raises(IllegalMove):
                self.journal.apply(events, {"failed": self.length}, {"reads": 1})

            self.length -= 1
            return

        answers = self.journal.apply(events, {"failed": self.length}, {"reads": 1})
        self.sums["reads"] += 1
        assert answers == [self._follow(*one) for one in drawn]

    def _draw(self, data: st.DataObject, *, careless: bool) -> list[Drawn]:
        """Draw some rows, with a move, a job id and a word about money for each."""
        numbers = st.lists(st.sampled_from(sorted(self.rows)), unique=True, max_size=4)
        drawn = []
        for n in data.draw(numbers):
            moves = [move for move in Move if careless or self.rows[n].may(move)]
            if moves:
                move, job = data.draw(st.sampled_from(moves)), data.draw(st.sampled_from(JOBS))
                drawn.append((n, move, job, data.draw(SAYINGS)))

        return drawn

    def _follow(self, n: int, move: Move, job: str, said: Said) -> bool:
        """Let the model make a move."""
        if move in (Move.ACCEPT, Move.ADOPT):
            if self.owners.setdefault(job, n) != n:
                return False

            self.sums["jobs_accepted"] += 1

        self.rows[n].do(move, job, said, self.epoch)
        return True

    @rule()
    def crash(self) -> None:
        """Die; the next owner finds the files as they were."""
        self.images += 1
        image = self.root / f"{self.images}"
        shutil.copytree(self.folder, image)
        self._own(image)

    @rule()
    def take_over(self) -> None:
        """Let a second owner come while the first one sleeps; then wake the first."""
        sleeper = self.journal
        self._own(self.folder)
        with pytest.raises(Fenced):
            sleeper.apply([Intend(1, 1.0, 1)])

    @invariant()
    def tells_what_the_model_knows(self) -> None:
        """Compare every answer with the model."""
        if not self.epoch:
            return

        states = Counter(str(row.state) for row in self.rows.values())
        assert self.journal.counters() == {
            **{str(state): states[state] for state in State},
            **self._money(),
            "rows": len(self.rows),
            "submits": sum(row.generation for row in self.rows.values()),
            "jobs_accepted": self.sums["jobs_accepted"],
            **({"reads": self.sums["reads"]} if self.sums["reads"] else {}),
        }
        assert self.journal.outputs() == ({"failed": self.length} if self.length else {})
        assert self._numbers(self.journal.followed(0, ALL)) == self._in("accepted", "ready")
        left = [n for n in self._in("intent") if self.rows[n].epoch < self.epoch]
        assert self._numbers(self.journal.unanswered(0, ALL)) == left
        unmet = [n for n in self._in("pending") if n not in self.seen]
        assert self._numbers(self.journal.unseen(0, ALL)) == unmet

    def _money(self) -> dict[str, int]:
        """Add up the model's ledger."""
        every = [attempt for row in self.rows.values() for attempt in row.attempts]
        jobs = [attempt for attempt in every if attempt.may_cost]
        back, unconfirmed = (Refund.DONE, Refund.ALREADY_DONE), (Refund.UNCONFIRMED,)
        return {
            **{f"refund_{kind}": sum(a.said.refund is kind for a in every) for kind in Refund},
            "jobs_priced": sum(a.said.cost is not None for a in jobs),
            "cost": sum(a.said.cost or 0 for a in jobs),
            "cost_refunded": sum(a.said.cost or 0 for a in jobs if a.said.refund in back),
            "cost_unconfirmed": sum(a.said.cost or 0 for a in jobs if a.said.refund in unconfirmed),
            "cost_in_doubt": sum(a.said.cost or 0 for a in jobs if a.is_in_doubt),
        }

    @invariant()
    def tells_what_was_paid_for_nothing(self) -> None:
        """Compare every charge with the model, page by page."""
        told: list[Charge] = []
        while page := self.journal.charges(told[-1].n if told else 0, 2) if self.epoch else []:
            assert len({charge.n for charge in page}) <= 2
            told += page

        for n in self.rows if self.epoch else ():
            assert self.journal.charges_of(n) == [charge for charge in told if charge.n == n]

        assert [
            (c.n, c.generation, c.job_id, Said(c.cost, c.refund, c.refund_raw)) for c in told
        ] == [(n, *charge) for n, row in sorted(self.rows.items()) for charge in row.charges()]
        for charge in told:
            row = self.rows[charge.n]
            is_last = charge.generation == row.generation and row.state is not State.PENDING
            assert (charge.row_id, charge.state) == (f"row-{charge.n}", row.state)
            assert charge.error is not None
            assert charge.is_given_up == (
                row.attempts[charge.generation - 1].is_given_up or not is_last
            )

    @invariant()
    def knows_every_row(self) -> None:
        """Compare each row with the model, and each held one with its evidence."""
        for n, row in self.rows.items():
            held = self.journal.find(f"row-{n}")
            assert held is not None
            assert repr(self.journal.at(n)) == repr(held)
            ticket = held.ticket
            assert ticket.cost == (row.attempts[-1].said.cost if row.attempts else None)
            assert (held.state, ticket.generation, ticket.spent) == (
                *(row.state, row.generation, row.spent),
            )
            assert (ticket.job_id, held.has_result) == (row.job, row.has_result)
            assert [attempt.generation for attempt in held.attempts] == list(
                range(1, row.generation + 1)
            )
            open_attempts = [a.generation for a in held.attempts if a.verdict is None]
            assert open_attempts == ([row.generation] if row.state is State.INTENT else [])

        for state in OUTCOMES[2:] if self.epoch else ():
            held_rows = self.journal.held(state, 0, ALL)
            assert [held.ticket.row.n for held in held_rows] == self._in(state)

    def _in(self, *states: str) -> list[int]:
        return [n for n, row in sorted(self.rows.items()) if row.state in states]

    @staticmethod
    def _numbers(tickets: list[Ticket]) -> list[int]:
        return [ticket.row.n for ticket in tickets]

    def teardown(self) -> None:
        """Leave nothing behind."""
        for journal in self.journals:
            journal.close()

        shutil.rmtree(self.root)
