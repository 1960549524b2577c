"""What is due when: one heap for everything that waits in a lane.

An item waits once: adding it again, or making it due earlier, leaves its old place in the heap
behind, empty. Such places are passed over when they come up, and swept out when they are more than
the live ones, a few at a time; so every step is O(log n), no single one takes long however much
waits, and memory follows what really waits.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from heapq import heapify, heappop, heappush
from itertools import count
from typing import Generic, TypeVar

import msgspec

T = TypeVar("T")

STALE_MIN = 64  # fewer left-over places than this are not worth a sweep
SWEPT = 8  # places that are looked through with each step of a sweep
DROPPED_MAX = 256  # left-over places that are passed over at a time: about a millisecond's worth
PATIENCE_S = 60.0  # so long others of a higher rank may go first
RANKED_MAX = 256  # items whose rank is asked for at a time


class _Entry(msgspec.Struct, Generic[T], order=True, gc=False):
    """A place in the heap. They leave in the order of their fields; no two have one `order`."""

    slack: float  # minus the rank; 0 as long as nobody asked for that
    due: float  # or, if that is later, since when it has a rank
    order: int
    item: T | None  # None: it was taken out, or waits at another place


class Schedule(Generic[T]):
    """Items by due time; items due at the same time leave in the order they came.

    Items are told apart as the keys of a dict are, and lead nowhere that leads back to here: what
    waits by the hundred thousand is left out of the garbage collector's rounds.
    """

    def __init__(self) -> None:
        self._heap: list[_Entry[T]] = []
        self._old: list[_Entry[T]] = []  # the heap that is being swept, if any
        self._places: dict[T, _Entry[T]] = {}  # of everything that waits
        self._order = count()

    def add(self, item: T, due: float) -> None:
        """Let *item* become due at *due*, in the event loop's seconds."""
        left = self._places.get(item)
        if left is not None:
            left.item = None

        place = self._places[item] = _Entry(0.0, due, next(self._order), item)
        heappush(self._heap, place)
        if self._old or len(self._heap) > 2 * len(self._places) + STALE_MIN:
            self._sweep()

    def hasten(self, item: T, due: float) -> bool:
        """Make *item* due at *due* at the latest; False if it does not wait here."""
        place = self._places.get(item)
        if place is None:
            return False

        if due < place.due:
            self.add(item, due)

        return True

    def move(self, item: T, due: float) -> bool:
        """Make *item* due at *due*, sooner or later than before; False if it does not wait here."""
        waits = item in self._places
        if waits:
            self.add(item, due)

        return waits

    def pop_due(self, now: float) -> T | None:
        """Take out the item that has been due longest, or None if nothing is due yet.

        None too where too many left-over places stood in the way: then `next_due` is in the past.
        """
        first = self._first()
        if not first or first[0].due > now or first[0].item is None:
            return None

        return self._take(heappop(first))

    def next_due(self) -> float | None:
        """Return when the next item becomes due, at the earliest; None if nothing waits."""
        first = self._first()
        return first[0].due if first else None

    def drain(self) -> list[T]:
        """Take out everything, due or not, in order."""
        live = sorted(self._places.values())
        self._heap.clear()
        self._old.clear()
        self._places.clear()
        return [place.item for place in live if place.item is not None]

    def __len__(self) -> int:
        return len(self._places)

    def __iter__(self) -> Iterator[T]:
        """Yield everything that waits, in no order."""
        return iter(self._places)

    def _take(self, place: _Entry[T]) -> T | None:
        """Take out the item at a place."""
        item, place.item = place.item, None
        if item is not None:
            del self._places[item]

        return item

    def _first(self) -> list[_Entry[T]]:
        """Return the heap whose top is due first, and live; empty if nothing waits."""
        heap, old = self._heap, self._old
        if not old and heap and heap[0].item is not None:  # as it nearly always is
            return heap

        self._drop_stale()
        if old and (not heap or old[0] < heap[0]):
            return old

        return heap

    def _drop_stale(self, most: int = DROPPED_MAX) -> int:
        """Let a live place stand at the top of each heap; stop after *most*; return how many."""
        dropped = 0
        for heap in (self._heap, self._old):
            while heap and dropped < most and heap[0].item is None:
                heappop(heap)
                dropped += 1

        return dropped

    def _sweep(self) -> None:
        """Keep left-over places from outnumbering the live ones: what lives moves to a new heap.

        A heap without its last place is still a heap, so that both can be used all the while.
        """
        if not self._old:
            self._heap, self._old = [], self._heap

        for _ in range(min(SWEPT, len(self._old))):
            place = self._old.pop()
            if place.item is not None:
                heappush(self._heap, place)


class RankedSchedule(Schedule[T]):
    """A schedule out of which, of all that is due, the item of the highest rank leaves first.

    The rank of an item is asked for once it is due; equal ones leave in the order of their due
    times. Whatever others there are, nothing that is due waits longer for them than `PATIENCE_S`.
    """

    def __init__(self, rank: Callable[[T, float], float]) -> None:
        """*rank* takes an item and the time; the higher, the sooner."""
        super().__init__()
        self._rank = rank
        self._ready: list[_Entry[T]] = []  # a heap of what has a rank
        self._line: deque[_Entry[T]] = deque()  # the same, by when each came in
        self._roomy = STALE_MIN  # more places than these are worth a sweep

    def pop_due(self, now: float) -> T | None:
        """Take out the due item of the highest rank, or one whose patience is over."""
        self._let_in(now)
        self._drop_left()
        if not self._line:
            return None

        place = self._line[0]
        if now - place.due <= PATIENCE_S:
            place = heappop(self._ready)
            while place.item is None:
                place = heappop(self._ready)

        return self._take(place)

    def next_due(self) -> float | None:
        """Return when the next item becomes due, or None if nothing waits."""
        if self._line:
            self._drop_left()

        return self._line[0].due if self._line else super().next_due()

    def drain(self) -> list[T]:
        """Take out everything, due or not, in order."""
        self._ready.clear()
        self._line.clear()
        return super().drain()

    def _let_in(self, now: float) -> None:
        """Ask for the rank of what has become due, of so many at a time that nobody waits long."""
        for _ in range(RANKED_MAX):
            heap = self._first() if self._old else self._heap
            if not heap or heap[0].due > now:
                break

            place = heappop(heap)
            if place.item is not None:
                place.slack, place.due = -self._rank(place.item, now), now
                place.order = next(self._order)
                heappush(self._ready, place)
                self._line.append(place)

        if len(self._line) + len(self._ready) > self._roomy:
            self._sweep_ready()

    def _drop_left(self) -> None:
        """Let a live place stand first in the line of the ready ones."""
        while self._line and self._line[0].item is None:
            self._line.popleft()

    def _sweep_ready(self) -> None:
        """Drop what is left over; the next sweep comes when as many again have been let in."""
        self._ready = [place for place in self._ready if place.item is not None]
        self._line = deque(place for place in self._line if place.item is not None)
        heapify(self._ready)
        self._roomy = 2 * (len(self._line) + len(self._ready)) + STALE_MIN
