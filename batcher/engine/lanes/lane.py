"""A lane: a heap of what waits, a pace, a gate, and a few workers.

There are four, each with its own limits: price, submit, status, download. Rule: nothing is sent but
by a worker that took an item out of its lane's heap with a permit, and no lane waits for another.

One pump brings permits (it is the limiter's only caller, which keeps the limiter exact and cheap)
and wakes workers when something becomes due; workers then take items synchronously, so between the
decision to start a request and its start there is no await.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable
from typing import Generic, Protocol, TypeVar

import anyio
import anyio.lowlevel

from batcher.core.gate import Gate
from batcher.core.schedule import Schedule

T = TypeVar("T")


class Pace(Protocol):
    """Hand out permits, evenly spaced."""

    async def permits(self, wanted: int) -> int:
        """Wait until at least one request may start; return how many of *wanted* may now."""
        ...


class Cap(Protocol):
    """A limit that counts over hours and restarts, such as 200 a day."""

    def wait_s(self) -> float:
        """Return how long until one more request is allowed; 0 = now."""
        ...

    def spend(self) -> None:
        """Count one request."""
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
        self.started = 0
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

            try:
                await work(item)
            finally:
                self.open -= 1
                self._ended.set()
                self._bell.set()

    def _take(self) -> T | None:
        """Take the item that is due, if the gate and the permits let it start now."""
        now = anyio.current_time()
        if self._permits < 1 or self._wait_s(now) > 0:
            return None

        item = self._schedule.pop_due(now)
        if item is None:
            return None

        self._permits -= 1
        self.open += 1
        self.started += 1
        self.gate.started(item)
        if self._cap is not None:
            self._cap.spend()

        return item

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
        if due is None or not self._resting:
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
