"""Hard stops that count: jobs that may be paid for, and rows that may fail."""

from __future__ import annotations

from collections.abc import Callable

from batcher.core.errors import UsageError
from batcher.core.lifecycle import State
from batcher.core.model import ErrorKind, RowError, Stop, StopReason

SHARE_NEEDS_ROWS = 20  # a percentage of fewer rows means nothing


class JobBudget:
    """How many jobs a run may still make. A submit reserves one before it leaves.

    Used is every submit of which it is not proved that it made no job: accepted, open or in doubt.
    """

    def __init__(self, limit: int | None, used: int, duplicates: int) -> None:
        self.open = 0  # reservations of submits that are not answered yet
        self._limit = limit
        self._used = used
        self._duplicates = duplicates

    def reserve(self) -> bool:
        """Reserve one job, or say that none is left."""
        if self._limit is not None and self._used >= self._limit:
            return False

        self._used += 1
        self.open += 1
        return True

    def keep(self) -> None:
        """Use a reservation up: there is a job, or there may be one."""
        self.open -= 1

    def give_back(self) -> None:
        """Return a reservation: it is proved that the submit made no job."""
        self._used -= 1
        self.open -= 1

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

    def note(self, outcome: State, error: RowError | None) -> None:
        """Count an outcome; too many failures halt the run."""
        self._ended += 1
        if outcome not in (State.FAILED, State.EXHAUSTED):
            return

        if error is not None and error.kind is ErrorKind.INVALID_ROW:
            return

        self._failed += 1
        if self._is_over():
            message = f"{self._failed} of {self._ended} rows failed; --max-failures {self._text}"
            self._halt(Stop(StopReason.FAILURE_LIMIT, message))

    def _is_over(self) -> bool:
        if self._count is not None:
            return self._failed > self._count

        if self._share is not None and self._ended >= SHARE_NEEDS_ROWS:
            return self._failed > self._share * self._ended

        return False


def parse_failure_limit(text: str | None) -> tuple[int | None, float | None]:
    """Read `100` as a count and `5%` as a share of the rows that have ended."""
    if text is None:
        return None, None

    number = text.removesuffix("%")
    if not number.replace(".", "", 1).isdigit() or (number == text and "." in text):
        raise UsageError(f"--max-failures {text!r}: give a number of rows (100) or a share (5%)")

    if number != text and float(number) > 100:
        raise UsageError(f"--max-failures {text!r}: a share is at most 100%")

    return (None, float(number) / 100) if number != text else (int(text), None)
