"""Limits that count over a day, carried over restarts.

Rule: a day slides, which is right for every API and slow for one whose days begin at a fixed time.
If the API tells when its own day begins (`openings`), what was sent before does not count.

Submits are counted from the journal's intents. Status reads are not journaled one by one, so their
times are kept in buckets of five minutes: a day is at most 288 numbers.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from typing import Annotated

import msgspec
import orjson

from batcher.core.errors import StorageError
from batcher.core.pacing.rates import DAY_S, DayCap, Rate
from batcher.engine.lanes.resets import Resets

BUCKET_S = 300.0
Reads = Annotated[int, msgspec.Meta(ge=0, le=2_000_000)]  # of one bucket: 6,000/s is no API's


class DailyCaps:
    """All caps of one lane that are longer than an hour."""

    def __init__(
        self,
        rate: Rate | None,
        past: Iterable[float],
        wall: Callable[[], float],
        *,
        openings: Resets | None = None,
    ) -> None:
        times = list(past)
        windows = () if rate is None else rate.day_caps
        self._caps = [DayCap(int(w.count), w.period_s, times) for w in windows]
        self._wall = wall
        self._buckets = Counter(_bucket(at) for at in times)
        self._openings = openings  # None: days slide, whatever the API tells

    @property
    def is_limit(self) -> bool:
        """Whether any day is limited."""
        return bool(self._caps)

    def wait_s(self, kept: int = 0) -> float:
        """Return how long until one more is allowed; 0 = now. *kept* of each day are others'."""
        now = self._wall()
        self._forget(now)
        return max((self._wait_of(cap, now, kept) for cap in self._caps), default=0.0)

    def spend(self) -> None:
        """Count one request."""
        now = self._wall()
        self._buckets[_bucket(now)] += 1
        for cap in self._caps:
            cap.spend(now)

    def told(self, period_s: float, opens_at: float) -> None:
        """Take note that the API's own window of *period_s* opens anew at *opens_at*."""
        if self._openings is not None and any(cap.period_s == period_s for cap in self._caps):
            self._openings.told(period_s, opens_at, self._wall())

    def _wait_of(self, cap: DayCap, now: float, kept: int) -> float:
        wait_s = cap.wait_s(now, kept)
        if wait_s == 0 or self._openings is None:
            return wait_s

        return min(wait_s, self._openings.opens_in_s(cap.period_s, now))

    def _forget(self, now: float) -> None:
        """Leave out of each day what was sent before it began, as the API told."""
        if self._openings is None:
            return

        for cap in self._caps:
            began = self._openings.began(cap.period_s, now)
            if began is not None:
                cap.forget_before(began)

    def as_fact(self) -> str:
        """Return the requests of the last day as the journal keeps them."""
        longest_s = max((cap.period_s for cap in self._caps), default=DAY_S)
        oldest = self._wall() - longest_s - BUCKET_S
        kept = [(at, count) for at, count in sorted(self._buckets.items()) if at > oldest]
        return orjson.dumps(kept).decode()


def times_of(fact: str | None) -> list[float]:
    """Return the request times that `as_fact` kept, each as late as it can have been.

    Raises `StorageError` if they are not as they were written.
    """
    if fact is None:
        return []

    try:
        kept = msgspec.json.decode(fact, type=list[tuple[float, Reads]])
    except msgspec.MsgspecError as error:
        raise StorageError(f"the journal is corrupt: its status reads: {error}") from error

    return [at + BUCKET_S for at, count in kept for _ in range(count)]


def _bucket(at: float) -> float:
    return at // BUCKET_S * BUCKET_S
