"""Windows kept exactly: what the last starts say of the next one.

Rule: of any N + 1 starts in a row the last comes at least one window after the first, whatever was
late, changed or stood still in between. An even spread alone does not give that: it may make up for
a little lateness, and then one window sees one request too many. Times come in; nothing here waits.

An API counts when a request arrives, and no two requests take equally long to get there. So a
window is held for `GUARD` of its length more than it lasts. One that is too large to be kept one by
one is spread `MARGIN` below its rate instead.
"""

from __future__ import annotations

from collections import deque

from batcher.core.pacing.rates import HOUR_S, Rate, Window

MARGIN = 0.01  # of the rate, given up where nothing but the spread keeps the windows
GUARD = 0.005  # of a window's length: requests of one lane arrive that much out of step
EXACT_MAX = 500  # counts that are kept one by one; above, MARGIN is more than any lateness made up

Guarded = tuple[tuple[int, float], ...]  # whole counts, and for how many seconds each holds


def spacing_s(rate: Rate | None) -> float:
    """Return the spacing of two starts that all windows of up to an hour need; 0 = they need none.

    It is the least that they can be held with, so that what the spread gives is what they allow.
    """
    windows = () if rate is None else rate.windows
    return max((_spacing_s(window) for window in windows if window.period_s <= HOUR_S), default=0.0)


def _spacing_s(window: Window) -> float:
    above = GUARD if _counted(window) is not None else MARGIN
    return window.period_s / window.count * (1.0 + above)


def guarded(rate: Rate | None) -> Guarded:
    """Return the windows of up to an hour that are kept one by one."""
    windows = () if rate is None else rate.windows
    counted = [_counted(window) for window in windows if window.period_s <= HOUR_S]
    return tuple((count, held_s * (1.0 + GUARD)) for count, held_s in filter(None, counted))


def _counted(window: Window) -> tuple[int, float] | None:
    """Return a window as a whole count and its length; None if it is too large to be kept so."""
    count, period_s = window.count, window.period_s
    if count < 1:
        count, period_s = 1, period_s / count
    elif count != int(count):
        count, period_s = int(count * 10), period_s * 10

    return (int(count), period_s) if count <= EXACT_MAX else None


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
