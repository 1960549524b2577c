"""What is due when: one heap for everything that waits in a lane.

An item waits once: adding it again, or making it due earlier, leaves its old place in the heap
behind. Such places are passed over when they come up, and swept out before they are more than the
live ones, so that every step is O(log n) on average and memory follows what really waits.
"""

from __future__ import annotations

from heapq import heapify, heappop, heappush
from itertools import count
from typing import Generic, TypeVar

T = TypeVar("T")

STALE_MIN = 64  # fewer left-over places than this are not worth a sweep

_Place = tuple[float, int]  # due, and the order of coming


class Schedule(Generic[T]):
    """Items by due time; items due at the same time leave in the order they came.

    An item is known by its identity, not by its value.
    """

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, T]] = []
        self._places: dict[int, _Place] = {}  # id of a waiting item -> its one live place
        self._order = count()

    def add(self, item: T, due: float) -> None:
        """Let *item* become due at *due*, in the event loop's seconds."""
        order = next(self._order)
        self._places[id(item)] = due, order
        heappush(self._heap, (due, order, item))
        self._sweep()

    def hasten(self, item: T, due: float) -> bool:
        """Make *item* due at *due* at the latest; False if it does not wait here."""
        place = self._places.get(id(item))
        if place is None:
            return False

        if due < place[0]:
            self.add(item, due)

        return True

    def pop_due(self, now: float) -> T | None:
        """Take out the item that has been due longest, or None if nothing is due yet."""
        self._drop_stale()
        if self._heap and self._heap[0][0] <= now:
            item = heappop(self._heap)[2]
            del self._places[id(item)]
            return item

        return None

    def next_due(self) -> float | None:
        """Return when the next item becomes due, or None if nothing waits."""
        self._drop_stale()
        return self._heap[0][0] if self._heap else None

    def drain(self) -> list[T]:
        """Take out everything, due or not, in order."""
        live = sorted(filter(self._is_live, self._heap), key=lambda entry: entry[:2])
        self._heap.clear()
        self._places.clear()
        return [item for _, _, item in live]

    def __len__(self) -> int:
        return len(self._places)

    def _is_live(self, entry: tuple[float, int, T]) -> bool:
        due, order, item = entry
        return self._places.get(id(item)) == (due, order)

    def _drop_stale(self) -> None:
        """Let a live entry, if there is any, stand at the top."""
        while self._heap and not self._is_live(self._heap[0]):
            heappop(self._heap)

    def _sweep(self) -> None:
        """Keep left-over places from outnumbering the live ones."""
        if len(self._heap) > 2 * len(self._places) + STALE_MIN:
            self._heap = list(filter(self._is_live, self._heap))
            heapify(self._heap)
