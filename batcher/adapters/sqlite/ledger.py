"""How events change the money ledger, and the sums that are kept of it.

Rule: one function says what one attempt adds to the sums (`Bill.adds`). Whatever changes an attempt
takes away what it added before and adds what it adds now, in the same transaction; so the sums are
those of the ledger after any sequence of moves. Whether a row may move is judged elsewhere.

An attempt counts from its intent until it is proved that it made no job: what may have been charged
is never left out. Of what counts, the API gave some back (`cost_refunded`), said something that a
person must look at (`cost_unconfirmed`), or nobody knows the job (`cost_in_doubt`); no attempt is
in two of these. A row that is submitted again in spite of a doubt leaves its first attempt in
doubt: the word that allowed it accepts the risk, and does not tell what the API charged.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, Final

from batcher.adapters.sqlite import statements as sql
from batcher.core.events import Accept, Finish, Intend, Rerun
from batcher.core.lifecycle import Move
from batcher.core.model import Refund, RowError
from batcher.core.money import JOB_COST_MAX, nanos

COST_MAX: Final = nanos(JOB_COST_MAX)  # the sum of nine million such jobs fits into 64 bits

COUNTERS: Final = (
    *(f"refund_{refund}" for refund in Refund),
    *("cost", "cost_refunded", "cost_unconfirmed", "cost_in_doubt", "jobs_priced"),
)
_NO_JOB: Final = frozenset({Move.WITHDRAW, Move.REFUSE, Move.EXHAUST})  # as an attempt's verdict
_GIVEN_BACK: Final = frozenset({Refund.DONE, Refund.ALREADY_DONE})

Writes = dict[str, list[tuple[Any, ...]]]  # statement -> the parameters of each time it is run


@dataclass(frozen=True, slots=True)
class Bill:
    """What the ledger knows of the money of a row's last attempt."""

    generation: int  # 0 = the row was never submitted
    verdict: str | None = None  # the move that closed it; None = no answer yet
    has_job: bool = False
    cost: int | None = None  # nanos; None = not known
    refund: str | None = None  # of the job, if it has one

    def adds(self) -> Iterator[tuple[str, int]]:
        """Yield what this attempt adds to each counter."""
        if self.refund is not None:
            yield f"refund_{self.refund}", 1

        if self.cost is None or self.verdict in _NO_JOB:
            return

        yield "jobs_priced", 1
        yield "cost", self.cost
        if self.refund is not None:
            name = "cost_refunded" if self.refund in _GIVEN_BACK else "cost_unconfirmed"
            yield name, self.cost
        elif self.verdict is not None and not self.has_job:
            yield "cost_in_doubt", self.cost


class Ledger:
    """The last attempts of a batch's rows, by row number: what changes, and what the sums gain."""

    def __init__(self, epoch: int, writes: Writes, counts: Counter[str]) -> None:
        self._epoch = epoch
        self._writes = writes
        self._counts = counts
        self._bills: dict[int, Bill] = {}

    def know(self, n: int, bill: Bill) -> None:
        """Take in what was read of a row's last attempt."""
        self._bills[n] = bill

    def open(self, event: Intend) -> None:
        """Open an attempt: from now on it is the row's last."""
        cost = _credible(event.cost)
        self._writes.setdefault(sql.OPEN_ATTEMPT, []).append(
            (event.n, event.generation, self._epoch, event.at, cost)
        )
        self._bills[event.n] = Bill(event.generation)
        self._rebill(event.n, cost=cost)
        self._counts["submits"] += 1

    def accept(self, event: Accept) -> None:
        """Close the attempt with its job."""
        told = (None, event.request_id, None, None, None)
        self._note(sql.CLOSE_ATTEMPT, event.n, event.at, event.move.value, event.job_id, *told)
        self._rebill(event.n, verdict=event.move, has_job=True)
        self._counts["jobs_accepted"] += 1

    def close(
        self, n: int, at: float, verdict: Move, error: RowError | None, *, is_advised: bool = False
    ) -> None:
        """Close the open attempt without a job.

        `is_advised`: a refusal only by the API's own advice to submit again.
        """
        told: tuple[object, ...] = (None, None, None, None)
        if error is not None:
            told = (error.http_status, error.request_id, error.kind.value, error.message)

        marked = 1 if is_advised else None
        self._note(sql.CLOSE_ATTEMPT, n, at, verdict.value, None, *told, marked)
        self._rebill(n, verdict=verdict)

    def adopt(self, n: int, job_id: str) -> None:
        """Give an attempt in doubt the job that a person found for it, or that a call named."""
        self._note(sql.ADOPT_JOB, n, job_id)
        self._rebill(n, has_job=True)
        self._counts["jobs_accepted"] += 1

    def disprove(self, n: int) -> None:
        """Note that an attempt in doubt made no job: from now on it never counted."""
        self._note(sql.DISPROVE, n)
        self._rebill(n, verdict=Move.WITHDRAW)

    def give_up(self, n: int, error: str | None) -> None:
        """Mark a job that the row gives up, with what became of it (JSON)."""
        self._note(sql.GIVE_UP_JOB, n, error)

    def settle(self, event: Rerun | Finish) -> None:
        """Note what the API says of a job's money; the last word about it counts."""
        if event.refund is not None:
            self._note(sql.SET_REFUND, event.n, event.refund.value, event.refund_raw)
            self._rebill(event.n, refund=event.refund)

        cost = _credible(event.cost)
        if cost is not None:
            self._note(sql.SET_COST, event.n, cost)
            self._rebill(event.n, cost=cost)

    def _note(self, statement: str, n: int, *values: object) -> None:
        """Note an update of the row's last attempt."""
        key = (n, self._bills[n].generation)
        self._writes.setdefault(statement, []).append((*values, *key))

    def _rebill(self, n: int, **changes: Any) -> None:
        """Change the row's last attempt in the sums."""
        for name, amount in self._bills[n].adds():
            self._counts[name] -= amount

        self._bills[n] = replace(self._bills[n], **changes)
        for name, amount in self._bills[n].adds():
            self._counts[name] += amount


def _credible(cost: int | None) -> int | None:
    """Return what a job costs as the ledger keeps it: an amount that cannot be is not known."""
    return cost if cost is not None and 0 <= cost <= COST_MAX else None
