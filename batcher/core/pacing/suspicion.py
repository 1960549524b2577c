"""A 429 that may be a stray one, and what the requests behind it say of it.

    one that left later is taken            it was a stray one: only its own row waits
    `TRIALS` that left later are refused    it was a limit: the lane is closed, for the longest wait

Rule: meanwhile at most `TRIALS` that left later are out, and one more for each `TELL_S` that they
say nothing. So a limit that lets nothing through costs `TRIALS` refusals more than closing at once,
and none if as many were on their way anyway. What left earlier says nothing.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

TRIALS = 2  # one alone may be a second stray one
TELL_S = 2.0  # an upload may take minutes; nobody waits so long for its word


@dataclass(slots=True)
class Suspicion:
    """A lane that waits for what will be said of one refusal."""

    start: int  # of the refused request: which one of the lane's it was
    until: float  # how long the lane is to be closed if it was a limit
    began: float
    against: int = 0  # later ones that were refused, too

    def is_later(self, start: int) -> bool:
        """Whether a request left after the refused one."""
        return start > self.start

    def wait_s(self, out: Iterable[int], now: float) -> float:
        """Return for how long no other may start, if these are out."""
        trials = sum(map(self.is_later, out)) + self.against
        extra = trials - TRIALS + 1  # beyond those that may be out at once, with one more
        return max(0.0, self.began + extra * TELL_S - now) if extra > 0 else 0.0

    def refused(self, start: int, until: float) -> bool:
        """Note another refusal; return whether that settles it."""
        self.until = max(self.until, until)
        self.against += self.is_later(start)
        return self.against >= TRIALS
