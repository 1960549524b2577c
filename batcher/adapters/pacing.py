"""Pacing: when may the next request of a lane start.

Rule: one pump is the only caller, and aiolimiter's bucket is the only book-keeper of the spread.
Nobody queues inside the limiter: the pump asks whether there is capacity, naps if not, and asks
again. That is deliberate. Left to wait in `acquire`, aiolimiter re-arms its timer at "now" for as
long as a coarse clock stands still, which burns the processor under uvloop (its clock counts
milliseconds) and never ends on a clock that only moves with timers; a nap moves every clock.

The bucket is as small as it can be, because a bucket of N lets N through at once and then up to
2 N - 1 within its period. It holds one batch and a little slack; the slack is the lateness of a nap
that is made up for. A nap is half of the slack, so at any rate the whole rate is used. Beside it
`core.pacing.windows` keeps each small window exactly.

It does not obey 429s (a lane's gate does) and counts no days (`core.pacing.rates.DayCap` does).
The rate may change while it runs: a change starts with an empty bucket, but never with a burst.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import anyio
import anyio.lowlevel
from aiolimiter import AsyncLimiter

from batcher.core.pacing.rates import Rate
from batcher.core.pacing.windows import Guarded, Trail, guarded, spacing_s

BATCH_S = 0.005  # permits handed out together: nobody can tell 5 ms from an even spread
SLACK_S = 0.005  # lateness made up for: timers count milliseconds, and loops are busy
SLACK_MIN = 0.25  # of a permit: less than one, so that a low rate never lets two start at once
NAP_S_MAX = 0.1  # a low rate could nap for minutes, and would start late by so much
EASED_S_MAX = 0.3  # the widest spacing that easing makes: a low rate is gentle enough as it is


class Claim(Protocol):
    """A lane's part in a total that several lanes share."""

    def wait_s(self, now: float) -> float:
        """Return how long until the lane may start one more; 0 = now. Asking is queueing."""
        ...

    def take(self, now: float, wanted: int) -> int:
        """Take permits, as `wait_s` said, and return how many: at least one."""
        ...


@dataclass(frozen=True, slots=True)
class PacerStatistics:
    """What a pacer did so far."""

    granted: int  # permits handed out
    waiting: bool  # whether the pump waits for one right now


class Pacer:
    """Hands out the permits of one lane, evenly spaced, a little below its rate (`spacing_s`).

    In any window of w seconds at most rate x w + 1 requests may start, or 10 ms worth of them more
    where that is more than one; and never more than a window of the rate itself allows. What was
    not used is lost: there is no burst after a pause.
    """

    def __init__(
        self,
        rate: Rate | None,
        claim: Claim | None = None,
        is_held: Callable[[float], bool] = lambda _now: False,
    ) -> None:
        self._granted = 0
        self._waiting = False
        self._last = (0.0, 0)  # when the last permits were handed out, and how many
        self._trail = Trail()
        self._claim = claim
        self._is_held = is_held
        self._rate = rate
        self._share = 1.0
        self._bucket = _Bucket.of(rate, 1.0)
        self._is_new = True  # the bucket: it has no lateness to make up for yet

    def change(self, rate: Rate | None) -> None:
        """Go on at another rate. A nap that has begun is slept out: at most one old spacing."""
        self._rate = rate
        self._bucket = _Bucket.of(rate, self._share)
        self._is_new = True

    def ease(self, share: float) -> None:
        """Go at a share of the rate from now on, in steps of a twentieth; its windows stay."""
        share = max(0.05, int(share * 20) / 20)
        if share != self._share:
            self._share = share
            self.change(self._rate)

    async def permits(self, wanted: int) -> int:
        """Wait until a request may start, and return how many (1 to *wanted*) may start now.

        0 if by then nothing may start for another reason: then no permit is used up.
        """
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
        while True:
            now, bucket = anyio.current_time(), self._bucket
            amount = wanted if bucket is None else min(wanted, bucket.batch)
            nap_s = 0.0 if bucket is None else self._nap_s(bucket, amount, now)
            if nap_s <= 0 and self._claim is not None:  # asked last: who asks stands in a queue
                nap_s = min(self._claim.wait_s(now), NAP_S_MAX)

            if nap_s > 0:
                await anyio.sleep(nap_s)
                continue

            if self._is_held(now):
                return 0

            if self._claim is not None:
                amount = self._claim.take(now, amount)

            if bucket is not None:
                spare = bucket.slack if self._is_new else 0.0
                await bucket.limiter.acquire(amount + spare)  # does not wait: there is capacity
                self._is_new = False
                self._last = (now, amount)
                self._trail.note(now, amount)

            return amount

    def _nap_s(self, bucket: _Bucket, amount: int, now: float) -> float:
        """Return how long to nap before it is worth while to ask again; 0 or less = start."""
        wait_s = max(
            self._hopeless_s(bucket, amount, now),
            self._trail.wait_s(bucket.windows, now, amount),
        )
        if wait_s <= 0 and bucket.limiter.has_capacity(amount):
            return 0.0

        return max(wait_s, bucket.nap_s)

    def _hopeless_s(self, bucket: _Bucket, amount: int, now: float) -> float:
        """Return for how long asking is no use: the bucket still holds the last permits.

        A bucket that is new does not know of them, so this also keeps a change from being a burst.
        """
        at, last = self._last
        surplus: float = min(last, bucket.batch) + amount - bucket.batch
        if not self._is_new:
            surplus -= bucket.slack

        return at + surplus * bucket.interval_s - now


@dataclass(frozen=True, slots=True)
class _Bucket:
    """The sizes that follow from a spacing."""

    limiter: AsyncLimiter
    interval_s: float
    batch: int
    slack: float
    nap_s: float
    windows: Guarded

    @classmethod
    def of(cls, rate: Rate | None, share: float) -> _Bucket | None:
        interval_s = spacing_s(rate)
        if interval_s == 0:
            return None

        interval_s = min(interval_s / share, max(interval_s, EASED_S_MAX))
        batch = max(1, int(BATCH_S / interval_s))
        slack = max(SLACK_MIN, SLACK_S / interval_s)
        capacity = batch + slack
        limiter = AsyncLimiter(capacity, capacity * interval_s)
        nap_s = min(slack * interval_s / 2, NAP_S_MAX)
        return cls(limiter, interval_s, batch, slack, nap_s, guarded(rate))
