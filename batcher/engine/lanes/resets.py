"""When an API's own day begins: at midnight, or with the first request into it, as it tells.

Rule: an API that tells when its window opens anew is taken at its word, once a period and no more
often, so that a header that is nonsense cannot do away with a limit. It is never asked about a
limit that the user gave. deAPI's pages name both rules, at different times; its headers decide.
"""

from __future__ import annotations

import msgspec
import orjson

from batcher.core.errors import StorageError

SKEW_S = 60.0  # by which the API's clock may differ from ours, and two headers from each other
APART = 0.9  # of a period, at least, between two openings that are believed
Times = list[tuple[float, float]]


class Resets:
    """When one lane's windows of a day and longer began, as the API told it; epoch seconds."""

    def __init__(self) -> None:
        self._began: dict[float, float] = {}  # period -> the last opening that was believed
        self._next: dict[float, float] = {}  # period -> the opening to come

    def told(self, period_s: float, opens_at: float, now: float) -> None:
        """Take note of an opening to come: the window that is open now began one period before."""
        if not now < opens_at <= now + period_s + SKEW_S:
            return

        if self._believes(period_s, opens_at - period_s):
            self._began[period_s] = opens_at - period_s

        if self._believes(period_s, opens_at):
            self._next[period_s] = opens_at

    def began(self, period_s: float, now: float) -> float | None:
        """Return when the window began that is open now; None = the API never told."""
        opens_at = self._next.get(period_s)
        if opens_at is not None and now >= opens_at + SKEW_S:
            self._began[period_s] = self._next.pop(period_s)

        return self._began.get(period_s)

    def opens_in_s(self, period_s: float, now: float) -> float:
        """Return how long until the next window opens for sure; infinite = the API never told."""
        opens_at = self._next.get(period_s)
        return float("inf") if opens_at is None else max(opens_at + SKEW_S - now, 0.0)

    def as_fact(self) -> str:
        """Return what must survive a restart, as the journal keeps it: the openings to come too."""
        return orjson.dumps([[*self._began.items()], [*self._next.items()]]).decode()

    @classmethod
    def of(cls, fact: str | None) -> Resets:
        """Return what `as_fact` kept. Raises `StorageError` if it is not as it was written."""
        openings = cls()
        if fact is None:
            return openings

        try:
            began, to_come = msgspec.json.decode(fact, type=tuple[Times, Times])
        except msgspec.MsgspecError as error:
            raise StorageError(f"the journal is corrupt: its days: {error}") from error

        openings._began, openings._next = dict(began), dict(to_come)
        return openings

    def _believes(self, period_s: float, at: float) -> bool:
        last = self._began.get(period_s)
        return last is None or at >= last + APART * period_s
