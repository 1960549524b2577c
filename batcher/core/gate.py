"""Whether a lane may send at all, apart from how fast.

Rule: pure decisions on the numbers given; the lane obeys them.

Theory of operation
-------------------
    open ──(many failures in a row, a 429, Retry-After)──► closed until t ──► probing ──► open
                                                             ▲                   │
                                                             └────(it failed)────┘
    any ──(401, 402, 403, a signal, a budget)──► shut

*open*: any number of requests may start. *closed*: none, for everybody. *probing*: one at a time
until one is answered well; so a storm of refusals costs one request a try and not a lane full.
*shut* is for good: this process sends nothing more through the lane.
"""

from __future__ import annotations

from random import Random

from batcher.core.backoff import Backoff, after_retry_after

FAILURES_MAX = 8  # in a row: by chance a matter of years, in an outage one of milliseconds
PROBE = Backoff(first_s=2.0, factor=2.0, cap_s=60.0)
THROTTLE_S = 30.0  # for a 429 that does not say how long; doubled while it goes on
THROTTLE_DOUBLINGS = 7
WAIT_MAX_S = 86_400.0 * 31  # a longer Retry-After is nonsense


class Gate:
    """The gate of one lane."""

    def __init__(self, rng: Random) -> None:
        self._rng = rng
        self._closed_until = 0.0
        self._probing = False
        self._probe_out = False
        self._failures = 0
        self._probes_failed = 0
        self._throttles = 0  # probes in a row that were throttled again
        self._failing_since: float | None = None
        self.shut = False
        self.why = ""  # why it is closed, in a word: throttled, failing, credits

    def wait_s(self, now: float) -> float:
        """Return 0 if a request may start now, else how long to wait (infinite: for an answer)."""
        if self.shut or self._probe_out:
            return float("inf")

        return max(0.0, self._closed_until - now)

    def started(self) -> None:
        """Note that a request starts; while probing, no other may until it is answered."""
        self._probe_out = self._probing

    def succeeded(self) -> None:
        """Note an answer that shows the service at work: whatever it was, it was no failure."""
        self._failures = 0
        self._failing_since = None
        if self._probe_out:  # an answer to a request from before the closing proves nothing
            self._probing = self._probe_out = False
            self._probes_failed = self._throttles = 0

    def answered(self) -> None:
        """Note an answer that is neither good nor an outage: the service is there."""
        self._failures = 0
        self._failing_since = None
        self._probe_out = False

    def idle(self) -> None:
        """Note that a request ended that says nothing of the service."""
        self._probe_out = False

    def failed(self, now: float) -> None:
        """Note a failure: no answer, an outage, or an answer that leaves money in doubt."""
        self._failures += 1
        if self._failing_since is None:
            self._failing_since = now

        if self._probe_out:
            self._probe_out = False
            self._probes_failed += 1
            self.close_until(now + PROBE.delay_s(self._probes_failed, self._rng), "failing")
        elif self._failures >= FAILURES_MAX and not self._probing:
            self.close_until(now + PROBE.delay_s(0, self._rng), "failing")

    def throttled(self, now: float, wait_s: float | None) -> None:
        """Note that the API asked everybody to wait; None = it did not say how long."""
        if self._probe_out:
            self._throttles += 1

        growing = THROTTLE_S * 2.0 ** min(self._throttles, THROTTLE_DOUBLINGS)
        wait = growing if wait_s is None else min(max(wait_s, 0.0), WAIT_MAX_S)
        self.answered()
        self.close_until(now + after_retry_after(wait, self._rng), "throttled")

    def close_until(self, at: float, why: str) -> None:
        """Let nothing start before *at*, and then one request at a time until one goes well."""
        if at > self._closed_until:
            self._closed_until = at
            self.why = why

        self._probing = True

    def outage_s(self, now: float) -> float:
        """Return for how long every request has failed; 0 if the last one went well."""
        return 0.0 if self._failing_since is None else now - self._failing_since

    @property
    def is_probing(self) -> bool:
        """Whether the lane is closed, or trying one request at a time."""
        return self._probing
