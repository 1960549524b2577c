"""A group: what many tasks say within a few milliseconds, made durable at once.

Rule: whoever adds an event waits for the group's one `done`, and finds its answer at the place that
it was given. What waits is told once, not one by one: a wish of its own costs five times as much.
"""

from __future__ import annotations

from collections.abc import Iterator

import anyio

from batcher.core.events import Event
from batcher.core.model import Ticket

GROUP_MAX = 2_000  # events in one transaction


class Group:
    """Events that share a transaction, at most one of each row, and all who wait for it."""

    __slots__ = ("answers", "done", "events", "failure", "rows", "tickets")

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.tickets: list[Ticket | None] = []  # whose job an `Accept` brings
        self.rows: set[int] = set()
        self.done = anyio.Event()
        self.answers: list[bool] = []
        self.failure: Exception | None = None

    def takes(self, row: int) -> bool:
        """Whether an event of this row may be added: one row moves once in a group."""
        return row not in self.rows and len(self.events) < GROUP_MAX

    def add(self, event: Event, ticket: Ticket | None) -> int:
        """Add an event; return the place of its answer."""
        self.events.append(event)
        self.tickets.append(ticket)
        self.rows.add(event.n)
        return len(self.events) - 1

    def unwritten(self) -> Iterator[tuple[Event, Ticket | None]]:
        """Yield what it was to make durable."""
        return zip(self.events, self.tickets, strict=True)
