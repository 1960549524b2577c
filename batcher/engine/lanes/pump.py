"""What a lane's pump is made of: permits that grow old, and a nap that can be cut short."""

from __future__ import annotations

from math import inf

from batcher.engine.alarm import Alarm
from batcher.engine.clock import loop_time
from batcher.engine.lanes.ports import Pace

NAP_S_MIN = 0.005  # what becomes due within it starts together
PERMIT_S = 0.01  # a permit that found nobody for so long is lost: kept, it would be part of a burst


class Permits:
    """How many requests may start now, by the pace."""

    def __init__(self, pace: Pace) -> None:
        self._pace = pace
        self.left = 0
        self._end = 0.0

    def have(self, now: float) -> bool:
        """Whether there is one that is not too old."""
        return self.left >= 1 and now <= self._end

    async def fetch(self, wanted: int) -> None:
        """Wait until the pace allows at least one start; it may be held by then, and give none."""
        self.left = await self._pace.permits(wanted)
        self._end = loop_time() + PERMIT_S


class Nap:
    """A sleep of one task that others may end."""

    def __init__(self) -> None:
        self.is_deep = False  # only `wake` ends it, whatever becomes due
        self._alarm: Alarm | None = None
        self._ends_at = 0.0

    async def take(self, now: float, length_s: float) -> None:
        """Sleep for so long, or until somebody ends it; infinite = until then."""
        length_s = max(length_s, NAP_S_MIN)
        self._alarm, self._ends_at = Alarm(), now + length_s
        if length_s < inf:
            await self._alarm.wait(length_s)
        else:
            await self._alarm

        self._alarm, self.is_deep = None, False

    def wake(self) -> None:
        """End it now, if there is one."""
        if self._alarm is not None:
            self._alarm.ring()

    def wake_by(self, due: float) -> None:
        """End it if it would go on beyond *due*."""
        if due < self._ends_at and not self.is_deep:
            self.wake()
