"""The account that an API serves: its keys, its money, its limits and its ledger.

Rule: no vendor's word stands here, and no luck: what is drawn for a call is in `call.py`. What
counts jobs ("from job 10 on") counts them in order of arrival, so it alone depends on that order.
Money is nanos; what is charged after a job is booked as soon as the time is told to have come.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from heapq import heappop, heappush

from batcher.core.money import nanos
from batcher.simulator.faults import FaultPlan
from batcher.simulator.ledger import Job, Ledger
from batcher.simulator.quota import Limit, Quota, Standing


@dataclass(slots=True, eq=False)
class Account:
    """Everything that outlives one call. `plan` and `keys` may be exchanged while calls go on."""

    plan: FaultPlan
    keys: tuple[str, ...]  # the first one is that which may die
    ledger: Ledger = field(default_factory=Ledger)
    jobs_topped_up: int = 0  # jobs paid for beyond `plan.credits`
    topped_up: int = 0  # nanos beyond `plan.balance_usd`
    _quotas: dict[str, Quota] = field(default_factory=dict)
    _bills: list[tuple[float, int, Job, int]] = field(default_factory=list)  # heap: when, what
    _key_opened_at: float = math.nan  # when the window of the key's limit began
    _key_base: int = 0  # what was spent before it

    # --- Keys ---------------------------------------------------------------------------------

    def knows_key(self, key: str) -> bool:
        """Whether *key* is one of ours and has not died."""
        return key in self.keys and not self.is_dead(key)

    def is_dead(self, key: str) -> bool:
        """Whether *key* is one of ours and dead by now."""
        return key in self.keys[:1] and self._reached(self.plan.key_dead_from)

    def is_unauthorized(self) -> bool:
        """Whether submits are answered 401 by now."""
        return self._reached(self.plan.unauthorized_from)

    def is_forbidden(self) -> bool:
        """Whether submits are answered 403 by now."""
        return self._reached(self.plan.forbidden_from)

    def is_over_key_limit(self, now_s: float) -> bool:
        """Whether the key has spent what it may spend; refunds and time give it back."""
        self._roll_key(now_s)
        return 0 < self.plan.key_limit <= self._spent() - self._key_base

    def key_resets_at(self) -> float | None:
        """Return when the key's limit starts anew, in epoch seconds; None = never."""
        length_s = self.plan.key_limit_resets_s
        return self._key_opened_at + length_s if length_s else None

    def _roll_key(self, now_s: float) -> None:
        if math.isnan(self._key_opened_at):
            self._key_opened_at = now_s

        length_s = self.plan.key_limit_resets_s
        if length_s and now_s >= self._key_opened_at + length_s:
            self._key_opened_at += (now_s - self._key_opened_at) // length_s * length_s
            self._key_base = self._spent()

    # --- Money --------------------------------------------------------------------------------

    def credits_left(self) -> int | None:
        """Return how many more jobs the account can pay, or None for no end of them."""
        if self.plan.credits < 0:
            return None

        return max(0, self.plan.credits + self.jobs_topped_up - self._spent())

    def held(self) -> int:
        """Return what the account holds, in nanos."""
        ledger = self.ledger
        owned = nanos(self.plan.balance_usd) + self.topped_up
        return owned - ledger.charged_nanos + ledger.refunded_nanos

    def can_pay(self, price: int) -> bool:
        """Whether a job at *price* may be made: not below the minimum, nor below nothing."""
        return self.credits_left() != 0 and self.held() >= max(price, nanos(self.plan.balance_min))

    def bill(self, job: Job, price: int, at: float) -> None:
        """Charge *job*, now or when the time has come."""
        heappush(self._bills, (at, len(self.ledger.jobs), job, price))

    def settle(self, now_s: float) -> None:
        """Book everything that was to be charged by now."""
        while self._bills and self._bills[0][0] <= now_s:
            at, _, job, amount = heappop(self._bills)
            self.ledger.charge(job, amount, at)

    # --- Limits -------------------------------------------------------------------------------

    def take(self, bucket: str, limit: Limit, now_s: float) -> Standing:
        """Count a call into *bucket*, or refuse it."""
        quota = self._quotas.get(bucket)
        if quota is None:
            quota = self._quotas[bucket] = Quota()

        return quota.take(limit, now_s)

    def _reached(self, number: int) -> bool:
        return 0 < number <= len(self.ledger.jobs) + 1

    def _spent(self) -> int:
        return len(self.ledger.jobs) - self.ledger.refunds
