"""A lane: a heap of what waits, a pace, a gate, and a few workers.

There are four, each with its own limits: price, submit, status, download. Rule: nothing is sent but
by a worker that took an item out of its lane's heap with a permit, and no lane waits for another.

One pump brings permits, a few at a time (it is the limiter's only caller, which keeps the limiter
exact and cheap), and wakes a worker when something becomes due; who takes an item wakes the next if
there is one. A busy lane needs no pump but for permits: a worker that is done takes the next item
itself. Items are taken synchronously: nothing comes between the decision and the taking.

What goes before a request and what its answer means is mostly written down, and that waits for the
disk; requests of others do not, so there are more workers than `places`, which bound the requests
that are open. Work that prepares takes its place when it is ready to send, all other at once.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Generic, TypeVar

import anyio
import anyio.lowlevel

from batcher.core.pacing.gate import Gate
from batcher.core.schedule import RankedSchedule, Schedule
from batcher.engine.alarm import Alarm
from batcher.engine.lanes.places import AHEAD_MAX, Places
from batcher.engine.lanes.ports import Cap, Pace, Scout, Watcher, Work
from batcher.engine.lanes.pump import Nap, Permits
from batcher.engine.lanes.retries import Retries

T = TypeVar("T")

WORKERS = 3  # for each item that may be taken and is not answered
EASED_LOOK_S = 0.1  # how often a lane that comes back looks whether one more may be open


class Lane(Generic[T]):
    """One lane. `work` handles one item; the item is gone unless it adds it again.

    What `work` returns, if anything, is done when its request is not open any more.
    """

    def __init__(
        self,
        name: str,
        *,
        workers: int,
        pace: Pace,
        gate: Gate,
        cap: Cap | None = None,
        held: Callable[[float], None] = lambda _wait_s: None,
        prepares: bool = False,
    ) -> None:
        """Let *workers* requests be open at once; with `prepares` the work takes its place."""
        self.name = name
        self.gate = gate
        self.busy = 0  # items that are worked on, until all that follows is done
        self.taken = 0  # of them those that are not answered yet
        self.is_crowded = False  # something was due and found no free worker
        self.started = 0
        self.watchers: list[Watcher[T]] = []
        self.scout: Scout[T] | None = None
        self.retries: Retries[T] = Retries(gate)
        self.places: Places[T] = Places(workers, gate, asked_for=prepares)
        self._workers = WORKERS * (workers + (AHEAD_MAX if prepares else 0))
        self._loop = asyncio.get_running_loop()
        self._permits = Permits(pace)
        self._cap = cap
        self._held = held  # told for how long the gate or the cap holds the lane
        self._schedule: Schedule[T] = Schedule()
        self._resting: deque[Alarm] = deque()
        self._nap = Nap()  # the pump's; a deep one while no worker is free
        self._idle: anyio.Event | None = None  # of somebody who waits for the lane to be idle

    def add(self, item: T, due: float) -> None:
        """Let *item* have its turn at *due*, in the event loop's seconds."""
        self._schedule.add(item, due)
        self._nap.wake_by(due)

    def hasten(self, item: T, due: float) -> bool:
        """Let an item that waits have its turn at *due* already; False if it does not wait."""
        hastened = self._schedule.hasten(item, due)
        if hastened:
            self._nap.wake_by(due)

        return hastened

    def move(self, item: T, due: float) -> None:
        """Let an item have its turn at *due* instead, sooner or later, if it waits."""
        if self._schedule.move(item, due):
            self._nap.wake_by(due)

    def rank_by(self, rank: Callable[[T, float], float]) -> None:
        """Of all that is due, let the highest rank go first; to be said before anything waits."""
        self._schedule = RankedSchedule(rank)

    def items(self) -> list[T]:
        """Return everything that waits for its turn, in no order."""
        return list(self._schedule)

    def drain(self) -> list[T]:
        """Take out everything that still waits."""
        return self._schedule.drain()

    def reopen(self, why: str) -> None:
        """Take back a closing of the gate before its time."""
        self.gate.reopen(why)
        self._nap.wake()

    def shut(self) -> None:
        """Start nothing more, for good. Requests that are open go on."""
        self.gate.shut = True
        self._nap.wake()

    @property
    def waiting(self) -> int:
        """Items that wait for their turn."""
        return len(self._schedule)

    async def wait_idle(self) -> None:
        """Wait until nothing is worked on."""
        while self.busy:
            self._idle = self._idle or anyio.Event()
            await self._idle.wait()

    async def run(
        self, work: Work[T], on_failure: Callable[[Exception], None] | None = None
    ) -> None:
        """Serve the lane until cancelled. What `work` raises is told to `on_failure`, if given."""
        async with anyio.create_task_group() as group:
            for _ in range(self._workers):
                group.start_soon(self._worker, work, on_failure)

            await self._pump()

    async def _worker(self, work: Work[T], on_failure: Callable[[Exception], None] | None) -> None:
        while True:
            began = self._loop.time()
            item = self._take(began)
            if item is None:
                await self._rest()
                continue

            try:
                await self._serve(item, work, began)
            except Exception as error:
                if on_failure is None:
                    raise

                on_failure(error)

    async def _serve(self, item: T, work: Work[T], began: float) -> None:
        is_answered = False
        try:
            if self.scout is None or await self._may_pass(item, self.scout):
                self._count(item, began)
                rest = await work(item)
                is_answered, took_s = True, self._answered(item)
                if rest is not None:
                    await rest

                self._note_end(item, took_s)
        finally:
            if not is_answered:
                self._answered(item)

            self._ended()

    async def _may_pass(self, item: T, scout: Scout[T]) -> bool:
        """Whether a probe is worth a request; all others are, and nobody is asked."""
        return not self.gate.is_probe(item) or await scout.lets_pass(item)

    def _count(self, item: T, now: float) -> None:
        """Count a request that starts."""
        self.started += 1
        self.retries.started(item, now)
        if self._cap is not None:
            self._cap.spend()

    def _note_end(self, item: T, took_s: float) -> None:
        self.retries.ended(item)
        for watcher in self.watchers:
            watcher.ended(item, took_s)

    def _answered(self, item: T) -> float:
        """Let another request start, if one may; return how long that of *item* was open, in s."""
        now = self._loop.time()
        self.taken -= 1
        took_s = self.places.free(item, now)
        if not (self._permits.have(now) and self._wake_worker(now)) and not self._nap.is_deep:
            self._nap.wake()

        return took_s

    def _ended(self) -> None:
        self.busy -= 1
        if self._idle is not None and not self.busy:
            self._idle.set()
            self._idle = None

    def _take(self, now: float) -> T | None:
        """Take the item that is due, if the gate and the permits let it start now."""
        if not self._permits.have(now):
            return None

        if self._wait_s(now) > 0 or self.taken >= self.places.items_max(now):
            return None

        item = self._pop_due(now)
        if item is None:
            return None

        self._permits.left -= 1
        self.taken += 1
        self.busy += 1
        if not self.places.asked_for:
            self.places.give(item, now)

        self.gate.started(item)
        if self._permits.left:
            self._wake_worker(now)

        return item

    def _pop_due(self, now: float) -> T | None:
        """Take out what has been due longest; a retry too many waits for its own time."""
        while (item := self._schedule.pop_due(now)) is not None:
            wait_s = self.retries.wait_s(item, now)
            if wait_s == 0:
                return item

            self._schedule.add(item, now + wait_s)

        return None

    def _wait_s(self, now: float) -> float:
        """Return for how long the gate or the cap lets nothing start."""
        wait = self.gate.wait_s(now)
        if wait == 0 and self._cap is not None:
            wait = self._cap.wait_s()

        return wait

    async def _rest(self) -> None:
        """Let the pump know that a worker is free, and wait to be woken."""
        alarm = Alarm(loop=self._loop)
        self._resting.append(alarm)
        self._nap.wake()
        await alarm

    def _wake_worker(self, now: float) -> bool:
        """Wake one worker if one rests and something is due for it; return whether."""
        due = self._schedule.next_due() if self._resting else None
        if due is None or due > now:
            return False

        self._resting.popleft().ring()
        return True

    async def _pump(self) -> None:
        while True:
            now = self._loop.time()
            delay = self._delay_s(now)
            if delay > 0:
                await self._nap.take(now, delay)
                continue

            if not self._permits.have(now):
                await self._permits.fetch(min(self.places.items_max(now), len(self._schedule)))

            if self._permits.left:
                self._wake_worker(self._loop.time())

            await anyio.lowlevel.checkpoint()

    def _delay_s(self, now: float) -> float:
        """Return how long the pump has nothing to do; infinite = until it is woken."""
        due = self._schedule.next_due()
        if due is None:
            return float("inf")

        if not self._resting or self.taken >= self.places.items_max(now):
            if self.gate.share(now) < 1:
                return EASED_LOOK_S

            self.is_crowded = self.is_crowded or due <= now
            self._nap.is_deep = not self._resting
            return float("inf")

        held = self._wait_s(now)
        if held > 0:
            self._permits.left = 0  # they were for now: kept, they would be a burst when it opens
            self._held(held)

        return max(due - now, held)
