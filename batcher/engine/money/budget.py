"""Hard stops that count: jobs that may be made, money that may be spent, rows that may fail."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Self

from batcher.core.errors import UsageError
from batcher.core.lifecycle import State
from batcher.core.model import ErrorKind, Refund, RowError, Stop, StopReason
from batcher.core.money import amount_text, nanos
from batcher.core.settings import Settings

SHARE_NEEDS_ROWS = 20  # a percentage of fewer rows means nothing
GIVEN_BACK = frozenset({Refund.DONE, Refund.ALREADY_DONE})

# Counters of the journal that the engine keeps.
NO_JOB = "submits_without_job"  # submits of which it is proved that they made no job
COST_UNPROVEN = "cost_unproven"  # nanos, of submits that the API advised to repeat: no proof
REJECTED = "rejected"  # rows that could not be used: they failed, but say nothing of the API
DUPLICATES = "resubmitted_in_doubt"  # rows that the user's policy risked to pay twice


class JobBudget:
    """How many jobs a run may still make, and what they may cost. All costs are nanos.

    A submit reserves its job before it leaves. Used is every submit of which it is not proved that
    it made no job: accepted, open or in doubt; spent is what those cost, less refunds.
    """

    def __init__(
        self,
        limit: int | None,
        used: int,
        duplicates: int,
        *,
        cost_limit: int | None = None,
        spent: int = 0,
        currency: str = "",
        is_part: bool = False,
    ) -> None:
        """Begin with what is *used* already; *is_part*: of what several workers may do."""
        self.open = 0  # reservations of submits that are not answered yet
        # Called when one is answered after a job was refused: there may be room for it now.
        self.on_answer: Callable[[], None] = lambda: None
        self.spent = spent  # reservations are in it
        self._limit = limit
        self._used = used
        self._duplicates = duplicates
        self._was_short = False  # a job was refused since
        self._cost_limit = cost_limit
        self._currency = currency
        self._who, self._of = ("it", "its part of ") if is_part else ("the run", "")

    @classmethod
    def of(
        cls,
        settings: Settings,
        counters: Mapping[str, int],
        currency: str,
        *,
        is_part: bool = False,
    ) -> Self:
        """Go on from where the journal's *counters* stand."""
        return cls(
            settings.max_jobs,
            counters.get("submits", 0) - counters.get(NO_JOB, 0),
            counters.get(DUPLICATES, 0),
            cost_limit=None if settings.max_cost is None else nanos(settings.max_cost),
            spent=counters.get("cost", 0)
            - counters.get("cost_refunded", 0)
            + counters.get(COST_UNPROVEN, 0),
            currency=currency,
            is_part=is_part,
        )

    def is_priced(self, cost: int | None) -> bool:
        """Whether a job of this cost can be held against the budget at all."""
        return self._cost_limit is None or cost is not None

    def reserve(self, cost: int | None) -> bool:
        """Reserve one job, or say that it is more than is left (`shortage` tells of what)."""
        if self.shortage(cost):
            self._was_short = True
            return False

        self._used += 1
        self.spent += cost or 0
        self.open += 1
        return True

    def shortage(self, cost: int | None) -> str:
        """Say why one more job of this cost is too much; empty if it is not."""
        if self._limit is not None and self._used >= self._limit:
            return (
                f"{self._who} made all {self._limit:,} jobs of {self._of}--max-jobs; "
                "resume with a larger number"
            )

        limit = self._cost_limit
        if limit is None or (cost is not None and self.spent + cost <= limit):
            return ""

        price = "an unknown amount" if cost is None else self._text(cost)
        return (
            f"the next job costs {price}, and {amount_text(self.spent)} of {self._of}--max-cost "
            f"{amount_text(limit)} are spent; resume with a larger amount"
        )

    def _text(self, cost: int) -> str:
        return f"{amount_text(cost)} {self._currency}".rstrip()

    def keep(self) -> None:
        """Use a reservation up: there is a job, or there may be one."""
        self._answered()

    def give_back(self, cost: int | None) -> None:
        """Return a reservation: it is proved that the submit made no job."""
        self._used -= 1
        self.spent -= cost or 0
        self._answered()

    def _answered(self) -> None:
        self.open -= 1
        if self._was_short:
            self._was_short = False
            self.on_answer()

    def settle(self, quoted: int | None, charged: int | None, refund: Refund | None) -> None:
        """Take in what the API says of a job's money after its end."""
        cost = (quoted if charged is None else charged) or 0
        self.spent += cost - (quoted or 0)
        if refund in GIVEN_BACK:
            self.spent -= cost

    def risk_duplicate(self, limit: int) -> bool:
        """Take one of the *limit* rows that the user allows to be paid twice."""
        if self._duplicates >= limit:
            return False

        self._duplicates += 1
        return True


class FailureLimit:
    """`--max-failures N` or `P%`: failed and exhausted rows; rows that were never sent are free."""

    def __init__(
        self, text: str | None, ended: int, failed: int, halt: Callable[[Stop], None]
    ) -> None:
        self._count, self._share = parse_failure_limit(text)
        self._text = text
        self._ended = ended
        self._failed = failed
        self._halt = halt

    @classmethod
    def of(
        cls, settings: Settings, counters: Mapping[str, int], halt: Callable[[Stop], None]
    ) -> Self:
        """Go on from where the journal's *counters* stand."""
        return cls(settings.max_failures, *_ended_and_failed(counters), halt)

    def note(self, outcome: State, error: RowError | None) -> None:
        """Count an outcome; too many failures halt the run."""
        self._ended += 1
        if outcome not in (State.FAILED, State.EXHAUSTED):
            return

        if error is not None and error.kind is ErrorKind.INVALID_ROW:
            return

        self._failed += 1
        self._judge()

    def recount(self, counters: Mapping[str, int]) -> None:
        """Count anew from *counters*; too many failures halt the run, if one of them is new."""
        before = self._failed
        self._ended, self._failed = _ended_and_failed(counters)
        if self._failed > before:
            self._judge()

    def _judge(self) -> None:
        if self._is_over():
            message = f"{self._failed} of {self._ended} rows failed; --max-failures {self._text}"
            self._halt(Stop(StopReason.FAILURE_LIMIT, message))

    def _is_over(self) -> bool:
        if self._count is not None:
            return self._failed > self._count

        if self._share is not None and self._ended >= SHARE_NEEDS_ROWS:
            return self._failed > self._share * self._ended

        return False


def _ended_and_failed(counters: Mapping[str, int]) -> tuple[int, int]:
    """Return how many rows have their outcome, and how many of these failed once sent."""
    failed = counters.get("failed", 0) + counters.get("exhausted", 0)
    ended = failed + counters.get("succeeded", 0) + counters.get("in_doubt", 0)
    return ended, failed - counters.get(REJECTED, 0)


def parse_failure_limit(text: str | None) -> tuple[int | None, float | None]:
    """Read `100` as a count and `5%` as a share of the rows that have ended."""
    if text is None:
        return None, None

    number = text.removesuffix("%")
    if not number.replace(".", "", 1).isdecimal() or (number == text and "." in text):
        raise UsageError(f"--max-failures {text!r}: give a number of rows (100) or a share (5%)")

    if number != text and float(number) > 100:
        raise UsageError(f"--max-failures {text!r}: a share is at most 100%")

    return (None, float(number) / 100) if number != text else (int(text), None)
