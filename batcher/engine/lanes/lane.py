"""A lane: a heap of what waits, a pace, a gate, and a few workers.

There are four, each with its own limits: price, submit, status, download. Rule: nothing is sent but
by a worker that took an item out of its lane's heap with a permit, and no lane waits for another.

One pump brings permits (it is the limiter's only caller, which keeps the limiter exact and cheap)
and wakes workers when something becomes due; workers then take items synchronously, so between the
decision to start a request and its start there is no await. There is one exception: a probe may ask
a question that costs nothing first.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable
from math import ceil
from typing import Generic, Protocol, TypeVar

import anyio
import anyio.lowlevel

from batcher.core.pacing.gate import Gate
from batcher.core.schedule import RankedSchedule, Schedule

T = TypeVar("T")
I_contra = TypeVar("I_contra", contravariant=True)

EASED_LOOK_S = 0.1  # how often a lane that comes back looks whether one more may be open


class Pace(Protocol):
    """Hand out permits, evenly spaced."""

    async def permits(self, wanted: int) -> int:
        """Wait until at least one request may start; return how many of *wanted* may now.

        0 if the gate closed meanwhile: then no permit was used up.
        """
        ...


class Cap(Protocol):
    """A limit that counts over hours and restarts, such as 200 a day."""

    def wait_s(self) -> float:
        """Return how long until one more request is allowed; 0 = now."""
        ...

    def spend(self) -> None:
        """Count one request."""
        ...


class Watcher(Protocol[I_contra]):
    """Somebody who wants to know of every request that ended."""

    def ended(self, item: I_contra, took_s: float) -> None:
        """Take note that the work on *item* is done."""
        ...


class Scout(Protocol[I_contra]):
    """Who goes before a probe."""

    async def lets_pass(self, item: I_contra) -> bool:
        """Whether *item* may be sent now; if not, it has been looked after."""
        ...


class Lane(Generic[T]):
    """One lane. `work` handles one item; the item is gone unless it adds it again."""

    def __init__(
        self,
        name: str,
        *,
        workers: int,
        pace: Pace,
        gate: Gate,
        cap: Cap | None = None,
        held: Callable[[float], None] = lambda _wait_s: None,
    ) -> None:
        self.name = name
        self.gate = gate
        self.open = 0  # requests open now
        self.open_max = workers  # how many may be; somebody may hold it lower for a while
        self.is_crowded = False  # something was due and found no free worker
        self.started = 0
        self.watchers: list[Watcher[T]] = []
        self.scout: Scout[T] | None = None
        self.is_retry: Callable[[T], bool] = lambda _item: False
        self._workers = workers
        self._pace = pace
        self._cap = cap
        self._held = held  # told for how long the gate or the cap holds the lane
        self._schedule: Schedule[T] = Schedule()
        self._permits = 0
        self._resting: deque[anyio.Event] = deque()
        self._bell = anyio.Event()
        self._ended = anyio.Event()

    def add(self, item: T, due: float) -> None:
        """Let *item* have its turn at *due*, in the event loop's seconds."""
        self._schedule.add(item, due)
        self._bell.set()

    def hasten(self, item: T, due: float) -> bool:
        """Let an item that waits have its turn at *due* already; False if it does not wait."""
        hastened = self._schedule.hasten(item, due)
        if hastened:
            self._bell.set()

        return hastened

    def move(self, item: T, due: float) -> None:
        """Let an item have its turn at *due* instead, sooner or later, if it waits."""
        if self._schedule.move(item, due):
            self._bell.set()

    def rank_by(self, rank: Callable[[T, float], float]) -> None:
        """Of all that is due, let the highest rank go first; to be said before anything waits."""
        self._schedule = RankedSchedule(rank)

    def drain(self) -> list[T]:
        """Take out everything that still waits."""
        return self._schedule.drain()

    def reopen(self, why: str) -> None:
        """Take back a closing of the gate before its time."""
        self.gate.reopen(why)
        self._bell.set()

    def shut(self) -> None:
        """Start nothing more, for good. Requests that are open go on."""
        self.gate.shut = True
        self._bell.set()

    @property
    def waiting(self) -> int:
        """Items that wait for their turn."""
        return len(self._schedule)

    async def wait_idle(self) -> None:
        """Wait until no request is open."""
        while self.open:
            self._ended = anyio.Event()
            await self._ended.wait()

    async def run(self, work: Callable[[T], Awaitable[None]]) -> None:
        """Serve the lane until cancelled."""
        async with anyio.create_task_group() as group:
            for _ in range(self._workers):
                group.start_soon(self._worker, work)

            await self._pump()

    async def _worker(self, work: Callable[[T], Awaitable[None]]) -> None:
        while True:
            item = self._take()
            if item is None:
                await self._rest()
                continue

            began = anyio.current_time()
            try:
                if await self._may_pass(item):
                    self._count(item, began)
                    await work(item)
                    self._note_end(item, anyio.current_time() - began)
            finally:
                self.open -= 1
                self._ended.set()
                self._bell.set()

    async def _may_pass(self, item: T) -> bool:
        """Whether a probe is worth a request; all others are, and need no await to know it."""
        if self.scout is None or not self.gate.is_probe(item):
            return True

        return await self.scout.lets_pass(item)

    def _count(self, item: T, now: float) -> None:
        """Count a request that starts."""
        self.started += 1
        if self._cap is not None:
            self._cap.spend()

        quota = self.gate.quota
        if quota is not None and self.is_retry(item):
            quota.retry(item, now)
        elif quota is not None:
            quota.first()

    def _note_end(self, item: T, took_s: float) -> None:
        if self.gate.quota is not None:
            self.gate.quota.ended(item)

        for watcher in self.watchers:
            watcher.ended(item, took_s)

    def _take(self) -> T | None:
        """Take the item that is due, if the gate and the permits let it start now."""
        now = anyio.current_time()
        if self._permits < 1 or self._wait_s(now) > 0 or self.open >= self._room(now):
            return None

        item = self._pop_due(now)
        if item is None:
            return None

        self._permits -= 1
        self.open += 1
        self.gate.started(item)
        return item

    def _pop_due(self, now: float) -> T | None:
        """Take out what has been due longest; a retry too many waits for its own time."""
        quota = self.gate.quota
        while (item := self._schedule.pop_due(now)) is not None:
            wait_s = quota.wait_s(now) if quota is not None and self.is_retry(item) else 0.0
            if wait_s == 0:
                return item

            self._schedule.add(item, now + wait_s)

        return None

    def _room(self, now: float) -> int:
        """Return how many requests may be open now."""
        return max(1, ceil(self.open_max * self.gate.share(now)))

    async def _rest(self) -> None:
        """Let the pump know that a worker is free, and wait to be woken."""
        alarm = anyio.Event()
        self._resting.append(alarm)
        self._bell.set()
        await alarm.wait()

    async def _pump(self) -> None:
        while True:
            self._bell = anyio.Event()
            delay = self._delay_s(anyio.current_time())
            if delay > 0:
                with anyio.move_on_after(delay):
                    await self._bell.wait()

                continue

            if self._permits < 1:
                wanted = min(len(self._resting), len(self._schedule))
                self._permits += await self._pace.permits(wanted)

            self._wake()
            await anyio.lowlevel.checkpoint()

    def _wake(self) -> None:
        """Wake as many workers as there are permits and items for."""
        for _ in range(min(self._permits, len(self._resting), len(self._schedule))):
            self._resting.popleft().set()

    def _delay_s(self, now: float) -> float:
        """Return how long the pump has nothing to do; infinite = until the bell rings."""
        due = self._schedule.next_due()
        if due is None:
            return float("inf")

        if not self._resting or self.open >= self._room(now):
            if self.gate.share(now) < 1:
                return EASED_LOOK_S

            self.is_crowded = self.is_crowded or due <= now
            return float("inf")

        held = self._wait_s(now)
        if held > 0:
            self._permits = 0  # they were for now: kept, they would be a burst when it opens
            self._held(held)

        return max(due - now, held)

    def _wait_s(self, now: float) -> float:
        """Return for how long the gate or the cap lets nothing start."""
        wait = self.gate.wait_s(now)
        if wait == 0 and self._cap is not None:
            wait = self._cap.wait_s()

        return wait
