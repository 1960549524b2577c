"""A group: what many tasks say within a few milliseconds, made durable at once.

Rule: whoever adds an event is given a place, waits for the alarm there, and then finds its answer
there, or why there is none. A write costs much the same whatever is in it, so there are only so
many a second; but where one event came at a time, none would join, and nobody is kept waiting.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from math import inf

import anyio

from batcher.core.events import Event
from batcher.core.model import Ticket
from batcher.engine.alarm import Alarm
from batcher.engine.clock import loop_time

GROUP_MAX = 2_000  # events in one transaction
LOOK_S = 0.001  # a group that has not grown for so long is written
GROUP_GOOD = 250  # events; more of them make none cheaper, so that they are written at once


class Group:
    """Events that share a transaction, at most one of each row, and all who wait for it."""

    __slots__ = ("alarms", "answers", "events", "failure", "rows", "tickets")

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.tickets: list[Ticket | None] = []  # whose job an `Accept` brings
        self.rows: set[int] = set()
        self.alarms: list[Alarm] = []
        self.answers: list[bool] = []
        self.failure: Exception | None = None

    def takes(self, row: int) -> bool:
        """Whether an event of this row may be added: one row moves once in a group."""
        return row not in self.rows and len(self.events) < GROUP_MAX

    def add(self, event: Event, ticket: Ticket | None) -> int:
        """Add an event; return the place of its answer."""
        self.events.append(event)
        self.tickets.append(ticket)
        self.alarms.append(Alarm())
        self.rows.add(event.n)
        return len(self.alarms) - 1

    async def answer(self, place: int) -> bool:
        """Wait until the event at *place* is durable and return its answer."""
        await self.alarms[place]
        if self.failure is not None:
            raise self.failure

        return self.answers[place]

    def tell(self) -> None:
        """Wake everybody who waits: the answers are there, or the failure."""
        for alarm in self.alarms:
            alarm.ring()

    def unwritten(self) -> Iterator[tuple[Event, Ticket | None]]:
        """Yield what it was to make durable."""
        return zip(self.events, self.tickets, strict=True)


class Groups:
    """The groups that are not written yet, in their order; the last one is open."""

    def __init__(self, linger_s: float) -> None:
        self._linger_s = linger_s  # from the start of one write to that of the next
        self._waiting: deque[Group] = deque()
        self._bell: Alarm | None = None  # of the writer, while it waits
        self._began = -inf  # the last write, by the event loop's time
        self._was_alone = True  # the event that it was for
        self._closing = False

    def join(self, event: Event, ticket: Ticket | None) -> tuple[Group, int]:
        """Add an event; return its group and its place there."""
        waiting = self._waiting
        if not waiting or not waiting[-1].takes(event.n):
            waiting.append(Group())

        group = waiting[-1]
        place = group.add(event, ticket)
        if place in (0, GROUP_GOOD - 1):  # something to write, or no reason to wait for more
            self._ring()

        return group, place

    async def next(self) -> Group | None:
        """Wait until a group is to be written and take it out; None: none will come any more."""
        while not self._waiting:
            if self._closing:
                return None

            await self._hear()

        grew = True
        while grew and (rest_s := self._rest_s()) > 0:
            found = len(self._waiting[0].events)
            with anyio.move_on_after(min(rest_s, LOOK_S)):
                await self._hear()

            grew = len(self._waiting[0].events) > found

        group = self._waiting.popleft()
        self._began, self._was_alone = loop_time(), len(group.events) == 1
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

    def _rest_s(self) -> float:
        """Return how long the first group may still grow."""
        is_good = len(self._waiting) > 1 or len(self._waiting[0].events) >= GROUP_GOOD
        if self._closing or self._was_alone or is_good:
            return 0.0

        return self._began + self._linger_s - loop_time()

    async def _hear(self) -> None:
        """Wait for the bell."""
        self._bell = Alarm()
        await self._bell

    def _ring(self) -> None:
        if self._bell is not None:
            self._bell.ring()
