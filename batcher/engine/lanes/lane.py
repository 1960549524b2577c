"""A lane: a heap of what waits, a pace, a gate, places for open requests, and a crew.

There are four, each with its own limits: price, submit, status, download. Rule: nothing is sent but
by a worker that took an item out of its lane's heap with a permit, and no lane waits for another.

One pump brings permits, a few at a time (it is the limiter's only caller, which keeps the limiter
exact and cheap), and hands what may start to workers that rest, whenever something becomes due or
was answered. An item is taken and handed over in one step: nothing comes between the decision and
the taking, and nobody is woken for nothing. All that was answered in one turn of the loop is one
turn of the pump, and what those answers mean, such as a closing of the gate, comes before it.

What goes before a request and what its answer means is mostly written down, and that waits for the
disk; requests of others do not, so the crew is larger than the number of `places`, which bound the
requests that are open. Work that prepares takes its place when it is ready to send, all other at
once.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from typing import Generic, TypeVar

import anyio
import anyio.lowlevel

from batcher.core.pacing.gate import Gate
from batcher.core.schedule import RankedSchedule, Schedule
from batcher.engine.lanes.crew import Crew
from batcher.engine.lanes.places import AHEAD_MAX, Places
from batcher.engine.lanes.ports import Cap, Pace, Watcher, Work
from batcher.engine.lanes.pump import Nap, Permits
from batcher.engine.lanes.starts import Starts

T = TypeVar("T")

WRITING_MAX = 256  # items that are answered and wait for the disk: what comes within its writes
EASED_LOOK_S = 0.1  # how often a lane that comes back looks whether one more may be open


class Lane(Generic[T]):
    """One lane. `work` handles one item; the item is gone unless it adds it again.

    What `work` returns, if anything, is done when its request is not open any more.
    """

    def __init__(
        self,
        name: str,
        *,
        places: int,
        pace: Pace,
        gate: Gate,
        cap: Cap | None = None,
        held: Callable[[float], None] = lambda _wait_s: None,
        prepares: bool = False,
    ) -> None:
        """Let so many requests be open at once; with `prepares` the work takes its place."""
        self.name = name
        self.gate = gate
        self.busy = 0  # items that are worked on, until all that follows is done
        self.taken = 0  # of them those that are not answered yet
        self.is_crowded = False  # something was due and found no free worker
        self.starts: Starts[T] = Starts(gate, cap)
        self.watchers: list[Watcher[T]] = []
        self.places: Places[T] = Places(places, gate, asked_for=prepares)
        self._crew_max = places + (AHEAD_MAX if prepares else 0) + WRITING_MAX
        self._loop = asyncio.get_running_loop()
        self._permits = Permits(pace)
        self._held = held  # told for how long the gate or the cap holds the lane
        self._schedule: Schedule[T] = Schedule()
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
    def started(self) -> int:
        """Requests that started, ever."""
        return self.starts.total

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
            serve = partial(self._serve, work=work, on_failure=on_failure)
            await self._pump(Crew(self._crew_max, serve, group))

    async def _serve(
        self, item: T, work: Work[T], on_failure: Callable[[Exception], None] | None
    ) -> None:
        is_answered = False
        try:
            if not self.starts.is_scouting or await self.starts.may_go(item, self._loop.time()):
                rest = await work(item)
                is_answered, took_s = True, self._answered(item)
                if rest is not None:
                    await rest

                self._note_end(item, took_s)
        except Exception as error:
            if on_failure is None:
                raise

            on_failure(error)
        finally:
            if not is_answered:
                self._answered(item)

            self._ended()

    def _note_end(self, item: T, took_s: float) -> None:
        self.starts.ended(item)
        for watcher in self.watchers:
            watcher.ended(item, took_s)

    def _answered(self, item: T) -> float:
        """Let another request start soon; return how long that of *item* was open, in s.

        Not at once: what the answer means comes before that, and it may close the gate.
        """
        self.taken -= 1
        took_s = self.places.free(item, self._loop.time())
        if not self._nap.is_deep:
            self._nap.wake()

        return took_s

    def _ended(self) -> None:
        self.busy -= 1
        if self._nap.is_deep:
            self._nap.wake()

        if self._idle is not None and not self.busy:
            self._idle.set()
            self._idle = None

    def _take(self, now: float) -> T | None:
        """Take the item that is due, if the gate and the permits let it start now."""
        if not self._permits.have(now):
            return None

        if self.starts.wait_s(now) > 0 or self.taken >= self.places.items_max(now):
            return None

        item = self._pop_due(now)
        if item is None:
            return None

        self._permits.left -= 1
        self.taken += 1
        self.busy += 1
        if not self.places.asked_for:
            self.places.give(item, now)

        self.starts.begin(item, now)
        return item

    def _pop_due(self, now: float) -> T | None:
        """Take out what has been due longest; a retry too many waits for its own time."""
        while (item := self._schedule.pop_due(now)) is not None:
            wait_s = self.starts.wait_of(item, now)
            if wait_s == 0:
                return item

            self._schedule.add(item, now + wait_s)

        return None

    async def _pump(self, crew: Crew[T]) -> None:
        while True:
            now = self._loop.time()
            delay = self._delay_s(now, crew)
            if delay > 0:
                await self._nap.take(now, delay)
                continue

            if not self._permits.have(now):
                await self._permits.fetch(min(self.places.items_max(now), len(self._schedule)))

            if not self._hand_out(self._loop.time(), crew):
                await anyio.lowlevel.checkpoint()

    def _hand_out(self, now: float, crew: Crew[T]) -> bool:
        """Hand the crew what may start now; return whether that was anything."""
        started = self.busy
        while crew.is_free and (item := self._take(now)) is not None:
            crew.give(item)

        return self.busy > started

    def _delay_s(self, now: float, crew: Crew[T]) -> float:
        """Return how long the pump has nothing to do; infinite = until it is woken."""
        due = self._schedule.next_due()
        if due is None:
            return float("inf")

        is_free = crew.is_free
        if not is_free or self.taken >= self.places.items_max(now):
            if self.gate.share(now) < 1:
                return EASED_LOOK_S

            self.is_crowded = self.is_crowded or due <= now
            self._nap.is_deep = not is_free
            return float("inf")

        held = self.starts.wait_s(now)
        if held > 0:
            self._permits.left = 0  # they were for now: kept, they would be a burst when it opens
            self._held(held)

        return max(due - now, held)
