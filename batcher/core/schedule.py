"""What is due when: one heap for everything that waits in a lane.

An item waits once: adding it again, or making it due earlier, leaves its old place in the heap
behind. Such places are passed over when they come up, and swept out when they are more than the
live ones, a few at a time; so every step is O(log n), no single one takes long however much waits,
and memory follows what really waits.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from heapq import heapify, heappop, heappush
from itertools import count
from typing import Generic, TypeVar

T = TypeVar("T")

STALE_MIN = 64  # fewer left-over places than this are not worth a sweep
SWEPT = 8  # places that are looked through with each step of a sweep
DROPPED_MAX = 256  # left-over places that are passed over at a time: about a millisecond's worth
PATIENCE_S = 60.0  # so long others of a higher rank may go first
RANKED_MAX = 256  # items whose rank is asked for at a time

_Entry = tuple[float, int, T]  # due, the order of coming, and the item


class Schedule(Generic[T]):
    """Items by due time; items due at the same time leave in the order they came.

    An item is known by its identity, not by its value.
    """

    def __init__(self) -> None:
        self._heap: list[_Entry[T]] = []
        self._old: list[_Entry[T]] = []  # the heap that is being swept, if any
        self._places: dict[int, _Entry[T]] = {}  # id of a waiting item -> its one live place
        self._order = count()

    def add(self, item: T, due: float) -> None:
        """Let *item* become due at *due*, in the event loop's seconds."""
        entry = self._places[id(item)] = due, next(self._order), item
        heappush(self._heap, entry)
        if self._old or len(self._heap) > 2 * len(self._places) + STALE_MIN:
            self._sweep()

    def hasten(self, item: T, due: float) -> bool:
        """Make *item* due at *due* at the latest; False if it does not wait here."""
        place = self._places.get(id(item))
        if place is None:
            return False

        if due < place[0]:
            self.add(item, due)

        return True

    def move(self, item: T, due: float) -> bool:
        """Make *item* due at *due*, sooner or later than before; False if it does not wait here."""
        waits = id(item) in self._places
        if waits:
            self.add(item, due)

        return waits

    def pop_due(self, now: float) -> T | None:
        """Take out the item that has been due longest, or None if nothing is due yet.

        None too where too many left-over places stood in the way: then `next_due` is in the past.
        """
        first = self._first()
        if not first or first[0][0] > now or not self._is_live(first[0]):
            return None

        item = heappop(first)[2]
        del self._places[id(item)]
        return item

    def next_due(self) -> float | None:
        """Return when the next item becomes due, at the earliest; None if nothing waits."""
        first = self._first()
        return first[0][0] if first else None

    def drain(self) -> list[T]:
        """Take out everything, due or not, in order."""
        live = sorted(self._places.values(), key=lambda entry: entry[:2])
        self._heap.clear()
        self._old.clear()
        self._places.clear()
        return [item for _, _, item in live]

    def __len__(self) -> int:
        return len(self._places)

    def _is_live(self, entry: _Entry[T]) -> bool:
        return self._places.get(id(entry[2])) is entry

    def _first(self) -> list[_Entry[T]]:
        """Return the heap whose top is due first, and live; empty if nothing waits."""
        heap, old = self._heap, self._old
        if not old and heap and self._is_live(heap[0]):  # as it nearly always is
            return heap

        self._drop_stale()
        if old and (not heap or old[0][:2] < heap[0][:2]):
            return old

        return heap

    def _drop_stale(self, most: int = DROPPED_MAX) -> int:
        """Let a live entry stand at the top of each heap; stop after *most*; return how many."""
        dropped = 0
        for heap in (self._heap, self._old):
            while heap and dropped < most and not self._is_live(heap[0]):
                heappop(heap)
                dropped += 1

        return dropped

    def _sweep(self) -> None:
        """Keep left-over places from outnumbering the live ones: what lives moves to a new heap.

        A heap without its last entry is still a heap, so that both can be used all the while.
        """
        if not self._old:
            self._heap, self._old = [], self._heap

        for _ in range(min(SWEPT, len(self._old))):
            entry = self._old.pop()
            if self._is_live(entry):
                heappush(self._heap, entry)


class RankedSchedule(Schedule[T]):
    """A schedule out of which, of all that is due, the item of the highest rank leaves first.

    The rank of an item is asked for once it is due; equal ones leave in the order of their due
    times. Whatever others there are, nothing that is due waits longer for them than `PATIENCE_S`.
    """

    def __init__(self, rank: Callable[[T, float], float]) -> None:
        """*rank* takes an item and the time; the higher, the sooner."""
        super().__init__()
        self._rank = rank
        self._ready: list[tuple[float, _Entry[T]]] = []  # -rank, entry: a heap
        self._line: deque[tuple[float, _Entry[T]]] = deque()  # the same, by when each came in

    def pop_due(self, now: float) -> T | None:
        """Take out the due item of the highest rank, or one whose patience is over."""
        self._let_in(now)
        self._drop_left()
        if not self._line:
            return None

        since, entry = self._line[0]
        if now - since <= PATIENCE_S:
            entry = heappop(self._ready)[1]
            while not self._is_live(entry):
                entry = heappop(self._ready)[1]

        item = entry[2]
        del self._places[id(item)]
        return item

    def next_due(self) -> float | None:
        """Return when the next item becomes due, or None if nothing waits."""
        self._drop_left()
        return self._line[0][1][0] if self._line else super().next_due()

    def drain(self) -> list[T]:
        """Take out everything, due or not, in order."""
        self._ready.clear()
        self._line.clear()
        return super().drain()

    def _let_in(self, now: float) -> None:
        """Ask for the rank of what has become due, of so many at a time that nobody waits long."""
        for _ in range(RANKED_MAX):
            heap = self._first() if self._old else self._heap
            if not heap or heap[0][0] > now:
                break

            entry = heappop(heap)
            if self._is_live(entry):
                heappush(self._ready, (-self._rank(entry[2], now), entry))
                self._line.append((now, entry))

        if len(self._line) + len(self._ready) > 2 * len(self._places) + STALE_MIN:
            self._sweep_ready()

    def _drop_left(self) -> None:
        """Let a live entry stand first in the line of the ready ones."""
        while self._line and not self._is_live(self._line[0][1]):
            self._line.popleft()

    def _sweep_ready(self) -> None:
        self._ready = [each for each in self._ready if self._is_live(each[1])]
        self._line = deque(each for each in self._line if self._is_live(each[1]))
        heapify(self._ready)
