"""How old an attempt is, by the clock on the wall and by one that never jumps.

Rule: an intent's time was read off the wall clock, maybe by another process, and that clock may
have been set since. So there are two answers, and whoever asks takes the one that costs no money:
the least where being old proves something, the most where being young allows something.
"""

from __future__ import annotations

from math import inf

from batcher.engine.clock import Clock

BACK_S_MAX = 1.0  # an attempt that lies further in the future than that: its age is not known


class Ages:
    """Tells ages from one process on."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._ahead_s = clock.wall() - clock.now()  # the wall clock, if nobody had set it since
        self.began_at = clock.wall()

    def least_s(self, at: float) -> float:
        """Return for how long *at* (epoch seconds) is past at least; below 0 if it is to come."""
        return min(self._both(at))

    def most_s(self, at: float) -> float:
        """Return for how long *at* is past at most; infinite if the clock says that it is not."""
        ages = self._both(at)
        return inf if min(ages) < -BACK_S_MAX else max(ages)

    def _both(self, at: float) -> tuple[float, float]:
        return self._clock.wall() - at, self._clock.now() + self._ahead_s - at
