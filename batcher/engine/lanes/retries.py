"""Which items of a lane are retries, and when one may go: its gate's quota, if there is one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, TypeVar

from batcher.core.pacing.gate import Gate

T = TypeVar("T")


class Retries(Generic[T]):
    """The retries among a lane's items. Without a quota none of them waits."""

    def __init__(self, gate: Gate) -> None:
        self.is_one: Callable[[T], bool] = lambda _item: False
        self._gate = gate

    def wait_s(self, item: T, now: float) -> float:
        """Return how long until *item* may go, as far as it is a retry; 0 = now."""
        quota = self._gate.quota
        return quota.wait_s(now) if quota is not None and self.is_one(item) else 0.0

    def started(self, item: T, now: float) -> None:
        """Count the request of *item*."""
        quota = self._gate.quota
        if quota is not None and self.is_one(item):
            quota.retry(item, now)
        elif quota is not None:
            quota.first()

    def ended(self, item: T) -> None:
        """Note that nothing more is to be learned of *item*."""
        if self._gate.quota is not None:
            self._gate.quota.ended(item)
