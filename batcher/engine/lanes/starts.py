"""What a lane's requests are asked and counted by as they start.

Rule: whoever takes an item counts it in the same step, so that however many start together, no cap
and no quota gives more than it has. Only a probe that a scout goes ahead of is counted after that:
if it may not pass, nothing was spent on it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, TypeVar

from batcher.core.pacing.gate import Gate
from batcher.engine.lanes.ports import Cap, Scout

T = TypeVar("T")


class Starts(Generic[T]):
    """The starts of one lane. Retries wait for the gate's quota, if there is one."""

    def __init__(self, gate: Gate, cap: Cap | None) -> None:
        self.total = 0
        self.scout: Scout[T] | None = None
        self.is_retry: Callable[[T], bool] = lambda _item: False
        self._gate = gate
        self._cap = cap
        self._scouted: set[int] = set()  # ids of the items that the scout is to be asked about

    def wait_s(self, now: float) -> float:
        """Return for how long the gate or the cap lets nothing start."""
        wait_s = self._gate.wait_s(now)
        if wait_s == 0 and self._cap is not None:
            wait_s = self._cap.wait_s()

        return wait_s

    def wait_of(self, item: T, now: float) -> float:
        """Return how long until *item* may go, as far as it is a retry; 0 = now."""
        quota = self._gate.quota
        return quota.wait_s(now) if quota is not None and self.is_retry(item) else 0.0

    def begin(self, item: T, now: float) -> None:
        """Let *item* be a request that starts."""
        self._gate.started(item)
        if self.scout is not None and self._gate.is_probe(item):
            self._scouted.add(id(item))
        else:
            self._count(item, now)

    async def may_go(self, item: T, now: float) -> bool:
        """Whether a probe is worth a request; all others are, and nobody is asked."""
        if id(item) not in self._scouted or self.scout is None:
            return True

        self._scouted.discard(id(item))
        passes = await self.scout.lets_pass(item)
        if passes:
            self._count(item, now)

        return passes

    def ended(self, item: T) -> None:
        """Note that nothing more is to be learned of *item*."""
        if self._gate.quota is not None:
            self._gate.quota.ended(item)

    @property
    def is_scouting(self) -> bool:
        """Whether anybody may have to be asked."""
        return bool(self._scouted)

    def _count(self, item: T, now: float) -> None:
        self.total += 1
        quota = self._gate.quota
        if quota is not None and self.is_retry(item):
            quota.retry(item, now)
        elif quota is not None:
            quota.first()

        if self._cap is not None:
            self._cap.spend()
