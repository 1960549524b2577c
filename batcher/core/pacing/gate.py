"""Whether a lane may send at all, apart from how fast.

Rule: pure decisions on the numbers given; the lane obeys them.

Theory of operation
-------------------
    open ──(failures in a row, a 429, Retry-After)──► closed until t ──► probing ──► ramp ──► open
                                                             ▲                   │
                                                             └────(it failed)────┘
    any ──(401, 402, 403, a signal, a budget)──► shut

    open ──(a 429 that may be a stray one)──► suspecting ──(a later one is taken)──► open
                                                 └──(later ones are refused)──► closed

*open*: any number of requests may start. *closed*: none, for everybody. *probing*: one at a time
until one is answered well; so a storm of refusals costs one request a try and not a lane full.
*ramp*: a growing share of the rate, for a few seconds (`core.pacing.ramp`).
*held*: none, until a limit's window opens; nothing went wrong, so no probing follows.
*suspecting*: two at the most, until what left later has told (`core.pacing.suspicion`). The refused
row waits by itself. Whether a 429 may be doubted is learned (`core.pacing.strays`).
*shut* is for good: this process sends nothing more through the lane.

A request is known by the item that it carries: many are out when a lane closes, and an answer to
one of those must not pass for the probe's.
"""

from __future__ import annotations

from collections.abc import Callable
from math import inf
from random import Random

from batcher.core.backoff import Backoff, after_retry_after
from batcher.core.pacing.quota import RetryQuota
from batcher.core.pacing.ramp import Ramp
from batcher.core.pacing.strays import LONG_S, Strays
from batcher.core.pacing.suspicion import Suspicion

FAILURES_MAX = 8  # in a row: by chance a matter of years, in an outage one of milliseconds
PROBE = Backoff(first_s=2.0, factor=2.0, cap_s=60.0)
THROTTLE_S = 30.0  # for a 429 that does not say how long; doubled while it goes on
THROTTLE_DOUBLINGS = 7
OWN_JITTER = 0.1  # of its wait, for one row that waits alone: it is no crowd
AGAIN_S = 5.0  # at least, after a probe that was throttled too, whatever it was told
AGAIN_TRIES = 8  # so many probes at that distance; then it doubles up to
AGAIN_S_MAX = 60.0
FAILING = "failing"  # why the gate is closed: it looks like an outage
THROTTLED = "throttled"  # the API asked everybody to wait
WAIT_MAX_S = 86_400.0 * 31  # a longer Retry-After is nonsense

# Told of a 429: now, how long to wait, the item, and whether it is news: a late one, or a probe's,
# tells of no rate.
OnThrottle = Callable[[float, float | None, object, bool], None]

_ANYONE = object()


class Gate:
    """The gate of one lane.

    Every `item` is what a request carries; a caller that has one request out at a time may leave
    it out.
    """

    def __init__(self, rng: Random) -> None:
        self._rng = rng
        self._until: dict[str, float] = {}  # why nothing may start -> for how long
        self._probing = False
        self._probe: object | None = None  # what the probe carries that is out now
        self._failures = 0
        self._probes_failed = 0
        self._throttles = 0  # probes in a row that were throttled again
        self._failing_since: float | None = None
        self._ramp = Ramp()
        self._closed_s = 0.0  # since the last probe that went well; infinite = no mere throttle
        self._starts = 0
        self._out: dict[int, int] = {}  # the id of what a request carries -> which start it was
        self._suspicion: Suspicion | None = None
        self._strays = Strays()
        self.doubts_throttles = True  # whether a 429 may be taken for a stray one
        self.quota: RetryQuota | None = None  # of a lane whose retries are bounded
        self.on_throttle: list[OnThrottle] = []
        self.on_hold: list[Callable[[float, str], None]] = []  # told until when, and why
        self.shut = False

    @property
    def why(self) -> str:
        """Why it is closed, or was last, in a word: throttled, failing, credits, limit."""
        if self._suspicion is not None:
            return THROTTLED

        return max(self._until, key=self._until.__getitem__, default="")

    def wait_s(self, now: float) -> float:
        """Return 0 if a request may start now, else how long to wait (infinite: for an answer)."""
        if self.shut or self._probe is not None:
            return float("inf")

        wait_s = max(0.0, max(self._until.values()) - now) if self._until else 0.0
        if self._suspicion is not None:
            wait_s = max(wait_s, self._suspicion.wait_s(self._out.values(), now))

        return wait_s

    def held_s(self, why: str, now: float) -> float:
        """Return for how long it is closed or held for this one reason."""
        return max(0.0, self._until.get(why, now) - now)

    def share(self, now: float) -> float:
        """Return which part of its pace the lane may use: less than 1 just after a closing."""
        return self._ramp.share(now)

    def started(self, item: object = None) -> None:
        """Note that a request starts; while probing, no other may until it is answered."""
        if item is not None:
            self._starts += 1
            self._out[id(item)] = self._starts

        if self._is_closed:
            self._probe = _ANYONE if item is None else item

    def succeeded(self, item: object = None) -> None:
        """Note an answer that shows the service at work: whatever it was, it was no failure."""
        self._failures = 0
        self._failing_since = None
        self._strays.run += 1
        start = self._out.pop(id(item), 0)
        if self.quota is not None:
            self.quota.succeeded(item)

        # An answer to a request from before the closing proves nothing.
        if self._suspicion is not None and self._suspicion.is_later(start):
            self._suspicion, self._probing = None, False
        elif self._probe is not None and self._ends_probe(item):
            self._probing = False
            self._probes_failed = self._throttles = 0
            self._ramp.begin(self._closed_s)
            self._closed_s = 0.0

    def answered(self, item: object = None) -> None:
        """Note an answer that is neither good nor an outage: the service is there."""
        self._failures = 0
        self._failing_since = None
        self.idle(item)

    def idle(self, item: object = None) -> None:
        """Note that a request ended that says nothing of the service."""
        self._out.pop(id(item), None)
        self._ends_probe(item)

    def failed(self, now: float, item: object = None) -> None:
        """Note a failure: no answer, an outage, or an answer that leaves money in doubt."""
        self._out.pop(id(item), None)
        self._failures += 1
        if self._failing_since is None:
            self._failing_since = now

        if self._ends_probe(item):
            self._probes_failed += 1
            self.close_until(now + PROBE.delay_s(self._probes_failed, self._rng), FAILING)
        elif self._failures >= FAILURES_MAX and not self._is_closed:
            self.close_until(now + PROBE.delay_s(0, self._rng), FAILING)

    def throttled(self, now: float, wait_s: float | None, item: object = None) -> float:
        """Note that the API asked everybody to wait; None = it did not say how long.

        Return for how long *item* has to wait by itself: 0 if the lane is closed for everybody.
        """
        start, was_open = self._out.pop(id(item), 0), not self._probing
        is_probe, is_suspected = self._is_probe(item), self._suspicion is not None
        self._throttles += is_probe and not is_suspected
        wait = self._asked_s(wait_s)
        until = now + after_retry_after(wait, self._rng)
        is_doubted = self._is_doubted(start, wait, now, until)
        for listener in self.on_throttle:
            listener(now, wait_s, item, was_open and not is_doubted)

        is_news = was_open or is_probe or is_suspected  # else it was sent before the closing
        closed_s = self._closed_s + (wait if is_news else 0.0)
        self.answered(item)
        if is_doubted:
            return wait * (1.0 + self._rng.uniform(0.0, OWN_JITTER))

        self.close_until(until, THROTTLED)
        self._closed_s = closed_s
        return 0.0

    def _is_doubted(self, start: int, wait_s: float, now: float, until: float) -> bool:
        """Whether a 429 is no reason to close the lane, or none yet.

        Nothing is doubted of what is no request that is out: another worker's word, or one that
        was said to have failed, as of a 503.
        """
        if self._suspicion is None:
            if not start or self._probing or not self.doubts_throttles:
                return False

            if self._strays.passes(wait_s):
                self._suspicion, self._probing = Suspicion(start, until, now), True

            return self._probing

        if not self._suspicion.refused(start, until) and start and wait_s < LONG_S:
            return True

        self._strays.erred(self._suspicion.against)
        return False

    def close_until(self, at: float, why: str) -> None:
        """Let nothing start before *at*, and then one request at a time until one goes well."""
        if self._suspicion is not None:
            self.hold_until(self._suspicion.until, THROTTLED)

        self.hold_until(at, why)
        self._probing, self._suspicion = True, None
        self._closed_s = inf

    def hold_until(self, at: float, why: str) -> None:
        """Let nothing start before *at*; then go on as before."""
        if at <= self._until.get(why, -inf):
            return

        self._until[why] = at
        for listener in self.on_hold:
            listener(at, why)

    def reopen(self, why: str) -> None:
        """Take back a closing for this reason: if it was the only one, a probe may start now."""
        self._until.pop(why, None)

    def outage_s(self, now: float) -> float:
        """Return for how long every request has failed; 0 if the last one went well."""
        return 0.0 if self._failing_since is None else now - self._failing_since

    @property
    def failures(self) -> int:
        """How many requests in a row have failed."""
        return self._failures

    @property
    def is_probing(self) -> bool:
        """Whether the lane is closed, or trying one request at a time."""
        return self._probing

    def is_probe(self, item: object) -> bool:
        """Whether *item* is carried by a request that tries for all."""
        if self._suspicion is not None:
            return self._suspicion.is_later(self._out.get(id(item), 0))

        return self._probing and self._is_probe(item)

    @property
    def _is_closed(self) -> bool:
        """Whether it is closed, or tries one request at a time; not while a 429 is doubted."""
        return self._probing and self._suspicion is None

    def _asked_s(self, wait_s: float | None) -> float:
        """Return how long to wait after a 429 that named *wait_s*."""
        growing = THROTTLE_S * 2.0 ** min(self._throttles, THROTTLE_DOUBLINGS)
        wait = growing if wait_s is None else min(max(wait_s, 0.0), WAIT_MAX_S)
        return max(wait, self._again_s())

    def _again_s(self) -> float:
        """Return the least wait after so many probes in a row that were throttled.

        A Retry-After of one second, said for half a minute, would cost a refusal each second.
        """
        if not self._throttles:
            return 0.0

        return min(AGAIN_S * 2.0 ** max(0, self._throttles - AGAIN_TRIES), AGAIN_S_MAX)

    def _is_probe(self, item: object) -> bool:
        return self._probe is not None and (item is None or item is self._probe)

    def _ends_probe(self, item: object) -> bool:
        """Take note that the request that carried *item* ended; return whether it was the probe."""
        was_probe = self._is_probe(item)
        if was_probe:
            self._probe = None

        return was_probe
