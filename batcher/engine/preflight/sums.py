"""Quotes: what the answers to questions for prices come to.

Rule: money is counted in nanos. Rows whose price is not known are taken at the mean of those whose
price is, and then the sum is called an estimate.
"""

from __future__ import annotations

from dataclasses import dataclass

from batcher.core.model import ErrorKind, RowError
from batcher.core.money import job_cost
from batcher.core.verdict import Later, Price, PriceVerdict, Refused
from batcher.engine.preflight.kinds import Kind, Kinds

FAILURES_MAX = 3  # questions in a row that were not answered


@dataclass(frozen=True, slots=True)
class RefusedKind:
    """Rows that the API will not take, by its answer to the question for their price."""

    line: int  # of the first of them
    rows: int
    error: RowError


@dataclass(frozen=True, slots=True)
class Priced:
    """What rows cost, as far as known."""

    rows: int  # all but the refused ones
    rows_priced: int  # of them, those whose price is known
    kinds: int  # that were told apart among these rows
    kinds_priced: int
    total: int | None  # nanos; None = no price is known
    is_exact: bool
    refused: tuple[RefusedKind, ...] = ()
    problem: RowError | None = None  # why no more was asked, or the last question not answered
    asks_to_wait_s: float | None = None  # the API's own word, if it wants no more questions


class Quotes:
    """Gathers answers."""

    def __init__(self, kinds: Kinds) -> None:
        self.is_over = False  # no more questions are to be put
        self._kinds = kinds
        self._known = 0  # nanos, of all rows whose price is known
        self._priced: list[tuple[Kind, Price]] = []
        self._refused: list[RefusedKind] = []
        self._problem: RowError | None = None
        self._wait_s: float | None = None
        self._failures = 0

    def note(self, kind: Kind, verdict: PriceVerdict) -> None:
        """Take the answer to the question for the price of a kind."""
        match verdict:
            case Price() if (cost := job_cost(verdict.amount)) is not None:
                self._known += kind.rows * cost
                self._priced.append((kind, verdict))
                self._failures = 0
            case Price():
                self._fail(RowError(ErrorKind.PROTOCOL, f"a price of {verdict.amount:g} a job"))
            case Refused() if verdict.error.kind is not ErrorKind.OUT_OF_CREDITS:
                self._refused.append(RefusedKind(kind.line, kind.rows, verdict.error))
                self._failures = 0
            case Later() if verdict.throttled:
                self._fail(verdict.error)
                self._wait_s = verdict.retry_after_s
                self.is_over = True
            case _:
                self._fail(verdict.error)

    def sum(self) -> Priced:
        """Return what all rows come to."""
        rows = self._kinds.rows - sum(refused.rows for refused in self._refused)
        rows_priced = sum(kind.rows for kind, _ in self._priced)
        estimated = any(price.is_estimate for _, price in self._priced)
        is_known = rows_priced > 0 or rows == 0
        return Priced(
            rows=rows,
            rows_priced=rows_priced,
            kinds=len(self._kinds) - len(self._refused),
            kinds_priced=len(self._priced),
            total=self._known * rows // max(1, rows_priced) if is_known else None,
            is_exact=is_known and rows == rows_priced and not estimated,
            refused=tuple(self._refused),
            problem=self._problem,
            asks_to_wait_s=self._wait_s,
        )

    def _fail(self, error: RowError) -> None:
        self._problem = error
        self._failures += 1
        self.is_over = self._failures >= FAILURES_MAX
