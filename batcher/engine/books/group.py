"""A group: what many tasks say within a few milliseconds, made durable at once.

Rule: whoever adds an event is given a place, waits for the alarm there, and then finds its answer
there, or why there is none.
"""

from __future__ import annotations

from collections.abc import Iterator

from batcher.core.events import Event
from batcher.core.model import Ticket
from batcher.engine.alarm import Alarm

GROUP_MAX = 2_000  # events in one transaction


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
