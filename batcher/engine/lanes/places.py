"""Places: which requests of a lane are open, and how many items may be taken to fill them.

Rule: no more requests are open than the lane has places. Where work waits for the disk before it
sends (an intent must be durable before its request may leave), as many items more are taken as are
sent during that wait, by what was sent lately. With answers of a millisecond those are several
times the places; with uploads of seconds, or at a low rate, there are none: what was written down
and is not answered is in doubt after a crash, and what waits together for a slow disk leaves
together.
"""

from __future__ import annotations

import asyncio
from collections import deque
from math import ceil, exp
from typing import Generic, TypeVar

from batcher.core.pacing.gate import Gate
from batcher.engine.alarm import Alarm

T = TypeVar("T")

AHEAD_S = 0.045  # what starts within it is taken before it has a place: about what a write takes
AHEAD_MAX = 256  # items, at most
MEMORY_S = 0.25  # for how long what was sent counts


class Places(Generic[T]):
    """The places of one lane. With `asked_for` an item has its own when it takes it, not before."""

    def __init__(self, most: int, gate: Gate, *, asked_for: bool) -> None:
        self._loop = asyncio.get_running_loop()
        self._gate = gate
        self.most = most  # requests that may be open; somebody may hold it lower for a while
        self.asked_for = asked_for
        self._since: dict[int, float] = {}  # by the id of an item whose request is open
        self._queue: deque[tuple[T, Alarm]] = deque()
        self._per_s = 0.0  # requests that were sent lately
        self._given = 0.0  # when the last one was

    @property
    def open(self) -> int:
        """How many requests are open."""
        return len(self._since)

    def room(self, now: float) -> int:
        """Return how many requests may be open now: fewer just after a closing of the gate."""
        share = self._gate.share(now)
        return self.most if share == 1 else max(1, ceil(self.most * share))

    def items_max(self, now: float) -> int:
        """Return how many items may be taken and not answered now."""
        room = self.room(now)
        if not self.asked_for:
            return room

        ahead = int(self._per_s * AHEAD_S) - 1  # one is not worth its doubt after a crash
        return room + max(0, min(AHEAD_MAX, ahead))

    def give(self, item: T, now: float) -> None:
        """Let *item* have a place."""
        self._since[id(item)] = now
        if self.asked_for:
            faded = exp(min(self._given - now, 0.0) / MEMORY_S)
            self._per_s = self._per_s * faded + 1.0 / MEMORY_S
            self._given = now

    async def take(self, item: T) -> None:
        """Wait until the request of *item* may be open; it is to be sent at once then."""
        now = self._loop.time()
        if not self._queue and self.open < self.room(now):
            self.give(item, now)
            return

        place = item, Alarm(loop=self._loop)
        self._queue.append(place)
        try:
            await place[1]
        finally:
            if place in self._queue:
                self._queue.remove(place)

    def free(self, item: T, now: float) -> float:
        """Take the place of *item* back, if it had one, and let those have it who wait.

        Return how long it had it, in seconds.
        """
        since = self._since.pop(id(item), None)
        if self._queue:
            self._fill(now)

        return 0.0 if since is None else now - since

    @property
    def is_awaited(self) -> bool:
        """Whether anybody waits for a place."""
        return bool(self._queue)

    def _fill(self, now: float) -> None:
        room = self.room(now)
        while self._queue and self.open < room:
            item, alarm = self._queue.popleft()
            self.give(item, now)
            alarm.ring()
