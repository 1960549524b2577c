"""The account that an API serves: its keys, its money, its limits and its ledger.

Rule: no vendor's word stands here, and no luck: what is drawn for a call is in `call.py`. What
counts jobs ("from job 10 on") counts them in order of arrival, so it alone depends on that order.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from batcher.simulator.faults import FaultPlan
from batcher.simulator.ledger import Ledger
from batcher.simulator.quota import Limit, Quota, Standing


@dataclass(slots=True, eq=False)
class Account:
    """Everything that outlives one call. `plan` may be exchanged while calls go on."""

    plan: FaultPlan
    keys: frozenset[str]
    ledger: Ledger = field(default_factory=Ledger)
    topped_up: int = 0  # jobs paid for beyond `plan.credits`
    _quotas: dict[str, Quota] = field(default_factory=dict)

    def knows_key(self, key: str) -> bool:
        """Whether *key* is one of ours and has not died."""
        return key in self.keys and not self._reached(self.plan.key_dead_from)

    def is_unauthorized(self) -> bool:
        """Whether submits are answered 401 by now."""
        return self._reached(self.plan.unauthorized_from)

    def is_forbidden(self) -> bool:
        """Whether submits are answered 403 by now."""
        return self._reached(self.plan.forbidden_from)

    def is_over_key_limit(self) -> bool:
        """Whether the key has spent what it may spend; refunds give some of it back."""
        return 0 < self.plan.key_limit <= self._spent()

    def credits_left(self) -> int | None:
        """Return how many more jobs the account can pay, or None for no end of them."""
        if self.plan.credits < 0:
            return None

        return max(0, self.plan.credits + self.topped_up - self._spent())

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
