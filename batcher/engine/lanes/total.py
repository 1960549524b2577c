"""One scarce total that several lanes share, where an API counts their requests together.

Rule: whoever asks is served in turns by weight, and what one lane does not ask for is the others'.
Status reads weigh twice as much as submits: a job that was paid for is looked at before a new one
is paid, and yet reads that find nothing cannot keep every submit away.

Of a day's total a submit leaves enough to look at every job that is open, its own too.
"""

from __future__ import annotations

from collections.abc import Callable

from batcher.core.pacing.rates import Rate
from batcher.core.pacing.windows import Trail, guarded, spacing_s
from batcher.engine.lanes.caps import DailyCaps

WEIGHTS = {"submit": 1.0, "status": 2.0}
QUEUED_S = 0.25  # who has not asked again for so long does not stand in the queue any more
AWAY_S = 2.0  # and who has not for so long saved nothing up meanwhile
TURN_S = 0.01  # to the next look, while it is another's turn
SLACK = 0.25  # of a spacing: lateness that is made up for
READS_KEPT = 2  # reads that are kept of a day for each job that is open


class Total:
    """The pace of a total. Every lane takes part by a `claim`."""

    def __init__(self, rate: Rate) -> None:
        self._interval_s = spacing_s(rate)
        self._windows = guarded(rate)
        self._trail = Trail()
        self._ready_at = float("-inf")
        self._claims: list[LaneClaim] = []
        self.turn = 0.0  # of the claim that was served last

    def claim(self, lane: str) -> LaneClaim:
        """Return the part of one lane."""
        claim = LaneClaim(self, WEIGHTS[lane])
        self._claims.append(claim)
        return claim

    def wait_s(self, claim: LaneClaim, now: float) -> float:
        """Return how long until *claim* may start one; 0 = now."""
        wait_s = max(self._ready_at - now, self._trail.wait_s(self._windows, now))
        if wait_s > 0:
            return wait_s

        rivals = (c for c in self._claims if c is not claim and now - c.queued_at <= QUEUED_S)
        return TURN_S if any(rival.turn < claim.turn for rival in rivals) else 0.0

    def take(self, claim: LaneClaim, now: float) -> None:
        """Let one request of *claim* start."""
        self.turn = claim.turn
        self._trail.note(now, 1)
        earliest = now - SLACK * self._interval_s
        self._ready_at = max(self._ready_at, earliest) + self._interval_s


class LaneClaim:
    """One lane's part of a total (a `pacing.Claim`)."""

    def __init__(self, total: Total, weight: float) -> None:
        self._total = total
        self._step = 1.0 / weight
        self.turn = 0.0  # grows with every start, the slower the more the lane weighs
        self.queued_at = float("-inf")
        self._seen_at = float("-inf")

    def wait_s(self, now: float) -> float:
        """Return how long until the lane may start one more; 0 = now."""
        if now - self._seen_at > AWAY_S:
            self.turn = max(self.turn, self._total.turn)

        self.queued_at = self._seen_at = now
        return self._total.wait_s(self, now)

    def take(self, now: float, wanted: int) -> int:
        """Take one permit, however many are wanted: a total is scarce, and others wait too."""
        self._total.take(self, now)
        self.turn += self._step
        self.queued_at = float("-inf")
        return min(wanted, 1)


class TotalCaps:
    """One lane's own day and the shared one together (a `lane.Cap`)."""

    def __init__(
        self, own: DailyCaps, shared: DailyCaps, kept: Callable[[], int] = lambda: 0
    ) -> None:
        self._own = own
        self._shared = shared
        self._kept = kept

    @property
    def is_limit(self) -> bool:
        """Whether any day is limited."""
        return self._own.is_limit or self._shared.is_limit

    def wait_s(self) -> float:
        """Return how long until one more request is allowed; 0 = now."""
        return max(self._own.wait_s(), self._shared.wait_s(self._kept()))

    def spend(self) -> None:
        """Count one request in both."""
        self._own.spend()
        self._shared.spend()


def reads_kept(jobs_open: Callable[[], int]) -> Callable[[], int]:
    """Return what a submit leaves of a day: reads for all jobs that are open, and for its own."""
    return lambda: READS_KEPT * (jobs_open() + 1)
