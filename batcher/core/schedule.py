"""What is due when: one heap for everything that waits in a lane."""

from __future__ import annotations

from heapq import heappop, heappush
from itertools import count
from typing import Generic, TypeVar

T = TypeVar("T")


class Schedule(Generic[T]):
    """Items by due time; items due at the same time leave in the order they came."""

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, T]] = []
        self._order = count()

    def add(self, item: T, due: float) -> None:
        """Let *item* become due at *due*, in the event loop's seconds."""
        heappush(self._heap, (due, next(self._order), item))

    def pop_due(self, now: float) -> T | None:
        """Take out the item that has been due longest, or None if nothing is due yet."""
        if self._heap and self._heap[0][0] <= now:
            return heappop(self._heap)[2]

        return None

    def next_due(self) -> float | None:
        """Return when the next item becomes due, or None if nothing waits."""
        return self._heap[0][0] if self._heap else None

    def drain(self) -> list[T]:
        """Take out everything, due or not, in order."""
        items = [item for _, _, item in sorted(self._heap, key=lambda entry: entry[:2])]
        self._heap.clear()
        return items

    def __len__(self) -> int:
        return len(self._heap)
