"""One request on its way through an API, with its own luck.

Rule: whatever is drawn is a function of the seed, the purpose, the key (the row's reference, or the
job's id) and the ordinal of the call for that key. No draw depends on what else goes on.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from batcher.simulator.account import Account
from batcher.simulator.chance import Chance, Spread
from batcher.simulator.quota import DAY_S, MINUTE_S, Limit, Standing
from batcher.simulator.wire import Received


@dataclass(slots=True, eq=False)
class Call:
    """A request, who asked, and what may happen to it."""

    account: Account
    chance: Chance
    received: Received
    now_s: float  # epoch seconds
    key: str
    ordinal: int = 0
    form: Mapping[str, object] | None = None  # a submit's body; None if it is malformed
    standing: Standing | None = None  # with the rate limit, once it was asked for

    def draw(self, purpose: str) -> float:
        """Return this call's number in [0, 1) for *purpose*."""
        return self.chance.draw(purpose, self.key, self.ordinal)

    def strikes(self, knob: str) -> bool:
        """Whether the share *knob* of the plan hits this call."""
        share: float = getattr(self.account.plan, knob)
        return share > 0 and self.draw(knob) < share

    def time_s(self, knob: str) -> float:
        """Return this call's value of the plan's times *knob*, in seconds."""
        spread: Spread = getattr(self.account.plan, knob)
        return 0.0 if spread.is_nothing else spread.at(self.draw(knob))

    def pick(self, purpose: str, choices: Sequence[str]) -> str:
        """Return this call's choice."""
        return choices[int(self.draw(purpose) * len(choices))]

    def is_throttled(self, bucket: str, limit: Limit, knob: str) -> bool:
        """Count this call into *bucket*; whether it is refused, by the limit or by chance
        (the share *knob*; empty: never).

        Leaves the standing with the limit in `standing` for the headers of the answer.
        """
        if limit.per_minute or limit.per_day:
            self.standing = self.account.take(bucket, limit, self.now_s)

        if knob and self.strikes(knob) and not (self.standing and self.standing.refused):
            self.standing = self._drawn_refusal()

        return bool(self.standing and self.standing.refused)

    def _drawn_refusal(self) -> Standing:
        standing = self.standing or _unlimited(self.now_s)
        wait_s = self.account.plan.retry_after_s
        if self.strikes("throttle_daily"):
            return replace(standing, refused="daily", day_left=0, retry_after_s=wait_s or DAY_S)

        return replace(standing, refused="minute", minute_left=0, retry_after_s=wait_s or MINUTE_S)

    def retry_after(self) -> dict[str, str]:
        """Return the header of a 429, in whole seconds; empty if chance leaves it out."""
        if self.standing is None or self.strikes("bare_429"):
            return {}

        return {"retry-after": str(math.ceil(self.standing.retry_after_s))}


def _unlimited(now_s: float) -> Standing:
    return Standing(Limit(), 0, now_s + MINUTE_S, 0, now_s)
