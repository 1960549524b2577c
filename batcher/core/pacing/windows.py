"""Windows kept exactly: what the last starts say of the next one.

Rule: of any N + 1 starts in a row the last comes at least one window after the first, whatever was
late, changed or stood still in between. An even spread alone does not give that: it may make up for
a little lateness, and then one window sees one request too many. Times come in; nothing here waits.

An API counts when a request arrives, and no two requests take equally long to get there. So a pace
is kept `MARGIN` below its rate, and a window is held for `GUARD` of its length more than it lasts.
"""

from __future__ import annotations

from collections import deque

from batcher.core.pacing.rates import HOUR_S, Rate

MARGIN = 0.01  # of the rate, given up so that windows hold where requests arrive
GUARD = 0.005  # of a window's length: requests of one lane arrive that much out of step
EXACT_MAX = 500  # counts that are kept one by one; above, MARGIN is more than any lateness made up

Guarded = tuple[tuple[int, float], ...]  # whole counts, and for how many seconds each holds


def guarded(rate: Rate | None) -> Guarded:
    """Return the windows of up to an hour that are kept one by one."""
    found: list[tuple[int, float]] = []
    for window in () if rate is None else rate.windows:
        if window.period_s > HOUR_S:
            continue

        if window.count < 1:
            count, period_s = 1, window.period_s / window.count
        elif window.count == int(window.count):
            count, period_s = int(window.count), window.period_s
        else:
            count, period_s = int(window.count * 10), window.period_s * 10

        if count <= EXACT_MAX:
            found.append((count, period_s * (1.0 + GUARD)))

    return tuple(found)


class Trail:
    """The last starts of one lane. They are remembered over every change of its rate."""

    def __init__(self) -> None:
        self._starts: deque[float] = deque(maxlen=EXACT_MAX)

    def note(self, now: float, amount: int) -> None:
        """Note that *amount* requests start."""
        self._starts.extend([now] * min(amount, EXACT_MAX))

    def wait_s(self, windows: Guarded, now: float, amount: int = 1) -> float:
        """Return how long until *amount* requests may start together; 0 or less = now."""
        starts, wait_s = self._starts, 0.0
        for count, held_s in windows:
            nth = count - min(amount, count) + 1  # of the starts, from the last one back
            if len(starts) >= nth:
                wait_s = max(wait_s, starts[-nth] + held_s - now)

        return wait_s
