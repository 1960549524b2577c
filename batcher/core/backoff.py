"""How long to wait before trying again.

Rule: the exponent is clamped and jitter is applied last, so it works at the cap too: thousands of
jobs that all reached the cap must not be read in step for ever.
"""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

JITTER_S_MAX = 60.0  # on a wait for tomorrow a tenth would be two hours


@dataclass(frozen=True, slots=True)
class Backoff:
    """Exponential backoff with equal jitter: between half of the delay and the whole of it."""

    first_s: float
    factor: float
    cap_s: float

    def delay_s(self, tries: int, rng: Random) -> float:
        """Return the pause after *tries* tries (0 for the first), at least half of `first_s`."""
        return self.at(tries, rng.random())

    def at(self, tries: int, luck: float) -> float:
        """Return the pause for a *luck* that was drawn evenly from [0, 1)."""
        whole = self.first_s
        for _ in range(tries):
            whole *= self.factor
            if whole >= self.cap_s:
                break

        return min(whole, self.cap_s) * (0.5 + 0.5 * luck)


def after_retry_after(wait_s: float, rng: Random) -> float:
    """Return *wait_s* plus a positive jitter: up to a tenth, at least 1 s and at most 60 s worth.

    Never earlier than the API asked for, and never everybody at the same instant: clients that
    slept exactly Retry-After collide again when they wake.
    """
    return wait_s + rng.uniform(0.0, min(max(1.0, 0.1 * wait_s), JITTER_S_MAX))
