"""How long jobs stayed with this process: from their acceptance until their outcome was on disk.

Rule: what is counted is what a run waits for, so late looks and downloads are in it, and the time
in which no process followed the job is not.
"""

from __future__ import annotations

from collections import deque

STAYS_MAX = 500  # the latest: a service changes through a night
STAYS_MIN = 6  # fewer say little of the next one


class Stays:
    """The latest stays. Times are the event loop's; *began* is when this process did."""

    def __init__(self, began: float = float("-inf")) -> None:
        self._began = began
        self._latest_s: deque[float] = deque(maxlen=STAYS_MAX)

    def note(self, born: float, now: float) -> None:
        """Count a job that was accepted at *born*, if it was by this process."""
        if self._began <= born <= now:
            self._latest_s.append(now - born)

    @property
    def longest_s(self) -> float:
        """The longest of them; 0 = there is none."""
        return max(self._latest_s, default=0.0)

    def by_s(self, share: float) -> float | None:
        """Return within what time *share* of the jobs were over; None = too few are known."""
        if len(self._latest_s) < STAYS_MIN:
            return None

        stays = sorted(self._latest_s)
        return stays[min(int(share * len(stays)), len(stays) - 1)]
