"""The crew of a lane: its workers, each with one item at a time.

Rule: whoever has an item for the crew knows first that somebody is free for it. A worker is hired
for the item that finds nobody resting, and stays: a lane that is hardly used has hardly any. Many
items of a busy lane wait for the disk, before their request or after its answer, and those must not
keep others from being sent: with few connections a lane would stand still until they are written.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

from anyio.abc import TaskGroup

T = TypeVar("T")


class Crew(Generic[T]):
    """At most so many workers, tasks of *group*. `serve` handles an item, and is given them all."""

    def __init__(self, most: int, serve: Callable[[T], Awaitable[None]], group: TaskGroup) -> None:
        self._most = most
        self._serve = serve
        self._group = group
        self._loop = asyncio.get_running_loop()
        self._hired = 0
        self._resting: deque[asyncio.Future[T]] = deque()

    @property
    def is_free(self) -> bool:
        """Whether somebody can take an item now."""
        while self._resting and self._resting[0].done():  # cancelled
            self._resting.popleft()

        return bool(self._resting) or self._hired < self._most

    def give(self, item: T) -> None:
        """Let somebody who `is_free` work on *item*, and then on others."""
        if self._resting:
            self._resting.popleft().set_result(item)
        else:
            self._hired += 1
            self._group.start_soon(self._work, item)

    async def _work(self, item: T) -> None:
        while True:
            await self._serve(item)
            hands: asyncio.Future[T] = self._loop.create_future()
            self._resting.append(hands)
            # Who is cancelled has been handed nothing: anyio cancels nobody whose wait is over.
            item = await hands
