"""A group: what many tasks say within a few milliseconds, made durable at once.

Rule: whoever adds an event gets a future, and finds there what the journal answered, or why there
is no answer. A write costs much the same whatever is in it, so there are only so many a second; but
where one event came at a time, none would join, and nobody is kept waiting. Whether a group still
grows is looked at by a timer of the loop: its writer, a task, is woken once for each group.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterator
from math import inf

from batcher.core.events import Event
from batcher.core.model import Ticket
from batcher.engine.alarm import Alarm

GROUP_MAX = 2_000  # events in one transaction
LOOK_S = 0.002  # not grown for so long, it is written; a busy loop takes as long for a turn
GROUP_GOOD = 500  # events; more of them make none cheaper, so that they are written at once
RINGS = (1, GROUP_GOOD)  # there is something to write; there is no reason to wait for more


class Group:
    """Events that share a transaction, at most one of each row, and all who wait for it."""

    __slots__ = ("answers", "events", "failure", "rows", "tickets", "waiting")

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.tickets: list[Ticket | None] = []  # whose job an `Accept` brings
        self.rows: set[int] = set()
        self.waiting: list[asyncio.Future[bool]] = []
        self.answers: list[bool] = []
        self.failure: Exception | None = None

    def takes(self, row: int) -> bool:
        """Whether an event of this row may be added: one row moves once in a group."""
        return row not in self.rows and len(self.events) < GROUP_MAX

    def add(self, event: Event, ticket: Ticket | None, answer: asyncio.Future[bool]) -> None:
        """Add an event, and where its answer goes."""
        self.events.append(event)
        self.tickets.append(ticket)
        self.waiting.append(answer)
        self.rows.add(event.n)

    def tell(self) -> None:
        """Wake everybody who waits: with the answers, or with the failure."""
        if self.failure is None:
            for waiting, answer in zip(self.waiting, self.answers, strict=True):
                if not waiting.done():  # cancelled: nobody waits any more
                    waiting.set_result(answer)

            return

        for waiting in self.waiting:
            if not waiting.done():
                waiting.set_exception(self.failure)
                waiting.exception()  # who is cancelled in this very moment never takes it: so be it

    def unwritten(self) -> Iterator[tuple[Event, Ticket | None]]:
        """Yield what it was to make durable."""
        return zip(self.events, self.tickets, strict=True)


class Groups:
    """The groups that are not written yet, in their order; the last one is open."""

    def __init__(self, linger_s: float) -> None:
        self._linger_s = linger_s  # from the start of one write to that of the next
        self._loop = asyncio.get_running_loop()
        self._waiting: deque[Group] = deque()
        self._bell: Alarm | None = None  # of the writer, while it waits
        self._began = -inf  # the last write, by the event loop's time
        self._was_alone = True  # the event that it was for
        self._found = 0  # events in the first group, at the last look
        self._closing = False

    def join(self, event: Event, ticket: Ticket | None) -> asyncio.Future[bool]:
        """Add an event; return where its answer will be."""
        waiting = self._waiting
        if not waiting or not waiting[-1].takes(event.n):
            waiting.append(Group())

        group = waiting[-1]
        answer: asyncio.Future[bool] = self._loop.create_future()
        group.add(event, ticket, answer)
        if len(group.events) in RINGS:
            self._ring()

        return answer

    async def next(self) -> Group | None:
        """Wait until a group is to be written and take it out; None: none will come any more."""
        while not self._waiting:
            if self._closing:
                return None

            await self._hear()

        if (rest_s := self._rest_s()) > 0:
            await self._settle(rest_s)

        group = self._waiting.popleft()
        self._began, self._was_alone = self._loop.time(), len(group.events) == 1
        return group

    def drain(self) -> list[Group]:
        """Take out everything that waits."""
        groups = list(self._waiting)
        self._waiting.clear()
        return groups

    def close(self) -> None:
        """Let no group wait for more."""
        self._closing = True
        self._ring()

    async def _settle(self, rest_s: float) -> None:
        """Wait until the first group is due, has stopped growing, or cannot get better."""
        self._look_in(rest_s)
        try:
            await self._hear()
        finally:
            self._timer.cancel()

    def _look_in(self, rest_s: float) -> None:
        self._found = len(self._waiting[0].events)
        self._timer = self._loop.call_later(min(rest_s, LOOK_S), self._look)

    def _look(self) -> None:
        """Ring if the first group is due or has not grown since the last look; else look again."""
        rest_s = self._rest_s()
        if rest_s <= 0 or len(self._waiting[0].events) == self._found:
            self._ring()
        else:
            self._look_in(rest_s)

    def _rest_s(self) -> float:
        """Return how long the first group may still grow."""
        is_good = len(self._waiting) > 1 or len(self._waiting[0].events) >= GROUP_GOOD
        if self._closing or self._was_alone or is_good:
            return 0.0

        return self._began + self._linger_s - self._loop.time()

    async def _hear(self) -> None:
        """Wait for the bell."""
        self._bell = Alarm(loop=self._loop)
        await self._bell

    def _ring(self) -> None:
        if self._bell is not None:
            self._bell.ring()
