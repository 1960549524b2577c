"""Pacing: when may the next request of a lane start.

Rule: one pump is the only caller, and aiolimiter's bucket is the only book-keeper. Nobody queues
inside the limiter: the pump asks whether there is capacity, naps if not, and asks again. That is
deliberate. Left to wait in `acquire`, aiolimiter re-arms its timer at "now" for as long as a coarse
clock stands still, which burns the processor under uvloop (its clock counts milliseconds) and never
ends on a clock that only moves with timers; a nap moves every clock.

The bucket is as small as it can be, because a bucket of N lets N through at once and then up to
2 N - 1 within its period. It holds one batch and a little slack; the slack is the lateness of a nap
that is made up for. A nap is half of the slack, so at any rate the whole rate is used.

It does not obey 429s (a lane's gate does) and counts no days (`core.rates.DayCap` does).
The rate may change while it runs: a change starts with an empty bucket, but never with a burst.
"""

from __future__ import annotations

from dataclasses import dataclass

import anyio
import anyio.lowlevel
from aiolimiter import AsyncLimiter

from batcher.core.rates import Rate

BATCH_S = 0.005  # permits handed out together: nobody can tell 5 ms from an even spread
SLACK_S = 0.005  # lateness made up for: timers count milliseconds, and loops are busy
SLACK_MIN = 0.25  # of a permit: less than one, so that a low rate never lets two start at once
NAP_S_MAX = 0.1  # a low rate could nap for minutes, and would start late by so much


@dataclass(frozen=True, slots=True)
class PacerStatistics:
    """What a pacer did so far."""

    granted: int  # permits handed out
    waiting: bool  # whether the pump waits for one right now


class Pacer:
    """Hands out the permits of one lane, evenly spaced.

    In any window of w seconds at most rate x w + 1 requests may start, or 10 ms worth of them more
    where that is more than one. What was not used is lost: there is no burst after a pause.
    """

    def __init__(self, rate: Rate | None) -> None:
        self._granted = 0
        self._waiting = False
        self._last = (0.0, 0)  # when the last permits were handed out, and how many
        self._bucket = _Bucket.of(rate)

    def change(self, rate: Rate | None) -> None:
        """Go on at another rate. A nap that has begun is slept out: at most one old spacing."""
        self._bucket = _Bucket.of(rate)

    async def permits(self, wanted: int) -> int:
        """Wait until a request may start, and return how many (1 to *wanted*) may start now."""
        self._waiting = True
        try:
            granted = await self._take(max(wanted, 1))
        finally:
            self._waiting = False

        self._granted += granted
        return granted

    def statistics(self) -> PacerStatistics:
        """Return what the pacer did so far."""
        return PacerStatistics(self._granted, self._waiting)

    async def _take(self, wanted: int) -> int:
        await anyio.lowlevel.checkpoint()
        while (bucket := self._bucket) is not None:
            amount = min(wanted, bucket.batch)
            hopeless_s = self._hopeless_s(bucket, amount)
            if hopeless_s <= 0 and bucket.limiter.has_capacity(amount):
                await bucket.limiter.acquire(amount)  # does not wait: there is capacity
                self._last = (anyio.current_time(), amount)
                return amount

            await anyio.sleep(max(hopeless_s, bucket.nap_s))

        return wanted

    def _hopeless_s(self, bucket: _Bucket, amount: int) -> float:
        """Return for how long asking is no use: the bucket still holds the last permits.

        A bucket that is new does not know of them, so this also keeps a change from being a burst.
        """
        at, last = self._last
        surplus = min(last, bucket.batch) + amount - bucket.limiter.max_rate
        return at + surplus * bucket.interval_s - anyio.current_time()


@dataclass(frozen=True, slots=True)
class _Bucket:
    """The sizes that follow from a spacing."""

    limiter: AsyncLimiter
    interval_s: float
    batch: int
    nap_s: float

    @classmethod
    def of(cls, rate: Rate | None) -> _Bucket | None:
        interval_s = 0.0 if rate is None else rate.interval_s
        if interval_s == 0:
            return None

        batch = max(1, int(BATCH_S / interval_s))
        slack = max(SLACK_MIN, SLACK_S / interval_s)
        capacity = batch + slack
        limiter = AsyncLimiter(capacity, capacity * interval_s)
        return cls(limiter, interval_s, batch, min(slack * interval_s / 2, NAP_S_MAX))
