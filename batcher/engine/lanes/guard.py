"""When a lane has been held, or has failed, for too long: then the run ends and can be resumed.

Rule: a long wait is looked at when the lane is held, an outage also after every request. A lane
that is used once in a few minutes is hardly ever seen closed, and its outage is one all the same.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from batcher.core.model import Stop, StopReason
from batcher.core.pacing.gate import Gate
from batcher.core.pacing.rates import HOUR_S
from batcher.engine.context import Context
from batcher.engine.lanes.headroom import HELD
from batcher.engine.lanes.ports import Cap
from batcher.engine.money.credits import CREDITS

FAILURES_MIN = 3  # in a row: two that are far apart are no outage


@dataclass(frozen=True, slots=True)
class Guard:
    """Watches one lane. `stop` ends the run, in the way that suits the lane."""

    name: str
    gate: Gate
    caps: Cap | None
    context: Context
    stop: Callable[[Stop], None]

    def held(self, wait_s: float) -> None:
        """Stop the run if the lane is held for longer than the user allows."""
        if self._is_outage(failures_min=1):
            return

        settings = self.context.settings
        if settings.max_wait_s < wait_s < float("inf") and self.gate.why != CREDITS:
            resume_at = self.context.clock.wall() + wait_s
            message = f"{self._what()} lets no {self.name} request start for {wait_s:.0f} s"
            self.stop(Stop(StopReason.THROTTLED, message, resume_at))

    def ended(self, _item: object, _took_s: float) -> None:
        """Stop the run if the requests of the lane have failed for longer than the user allows."""
        if self.gate.failures >= FAILURES_MIN:
            self._is_outage(failures_min=FAILURES_MIN)

    def _is_outage(self, failures_min: int) -> bool:
        outage = self.gate.outage_s(self.context.clock.now())
        is_outage = outage > self.context.settings.max_outage_s
        if not is_outage or self.gate.failures < failures_min:
            return False

        last = self.context.latest
        why = "" if last is None else f"; the last: {last.message}"
        message = f"every {self.name} request has failed for {outage:.0f} s{why}"
        self.stop(Stop(StopReason.UNAVAILABLE, message))
        return True

    def _what(self) -> str:
        """Say what holds the lane."""
        if self.caps is not None and self.caps.wait_s() > 0:
            return "the day's limit"

        is_days = self.gate.held_s(HELD, self.context.clock.now()) > HOUR_S
        return "the day's limit, as the API tells it," if is_days else "the API"
