"""What the API's answers say of its limits, and what a lane makes of it.

Rule: an answer only ever lowers. A lane goes at the lowest rate that answers told lately, never
above its own (the user's, or the published one), nor above what was found out. A window with
nothing left holds the lane until it opens; that is no failure, and the lane goes on at once where
it stopped. A lane that is slowed to less than half is told of, not only logged: a header may be
nonsense, and a night would be over before anybody looked.

Rows of one lane may count into different windows (a task's, a model's), and answers come in any
order. So the lowest number of the last ten windows holds for all rows: that is slower than need be
where tasks are mixed, and never too fast. It is forgotten when no answer has repeated it for as
long. Numbers that cannot be meant are passed over, and no window lasts longer than its own length:
nonsense in a header cannot stop a run.
"""

from __future__ import annotations

from collections.abc import Iterable

from batcher.adapters.pacing import Pacer
from batcher.core.backoff import after_retry_after
from batcher.core.pacing.gate import Gate
from batcher.core.pacing.rates import DAY_S, HOUR_S, Rate, Window, WindowSeen, lowest
from batcher.core.shards import rate_part
from batcher.engine.context import Context
from batcher.engine.lanes.caps import DailyCaps

MEMORY_WINDOWS = 10  # a lower limit that no answer repeats for so long is over
PERIODS_MAX = 8  # different windows that are followed; APIs have two
PERIOD_S_MAX = 31 * DAY_S
SLOW_S = 10.0  # a spacing that is told of where the lane had no rate at all

HELD = "limit"  # why the gate is held


class Headroom:
    """The room that one lane has. `rate` is what it is held to now; None = nothing."""

    def __init__(
        self,
        lane: str,
        rate: Rate | None,
        pacer: Pacer,
        gate: Gate,
        context: Context,
        caps: DailyCaps | None = None,
        parts: int = 1,
    ) -> None:
        self.rate = rate_part(rate, parts)
        self._lane = lane
        self._own = rate
        self._pacer = pacer
        self._gate = gate
        self._context = context
        self._caps = caps
        self._parts = parts  # into which a limit is shared out; what is told is told of the whole
        self._found: Rate | None = None
        self._told: dict[float, tuple[int, float]] = {}  # period -> lowest count, when last told

    def note(self, windows: Iterable[WindowSeen]) -> None:
        """Take in what one answer tells of the windows that its request counted into."""
        for window in windows:
            if not 1.0 <= window.period_s <= PERIOD_S_MAX:
                continue

            if window.count is not None and window.count >= 1 and window.period_s <= HOUR_S:
                self._note_count(window.period_s, window.count)

            if window.opens_at is not None:
                self._note_opening(window, window.opens_at)

    def find(self, per_s: float, reason: str) -> None:
        """Go at a rate that was found out, as far as nothing forbids it."""
        window = Window(per_s, 1.0) if per_s >= 1.0 else Window(per_s * 60.0, 60.0)
        self._found = Rate((window,))
        self._go_at(reason)

    def share_among(self, parts: int) -> None:
        """Go on with one of so many parts of the limit: another worker has come to its end."""
        self._parts = parts
        self._go_at(f"a limit is shared by {parts} now")

    def _note_opening(self, window: WindowSeen, opens_at: float) -> None:
        if self._caps is not None:
            self._caps.told(window.period_s, opens_at)

        if window.left == 0:
            self._hold(window.period_s, opens_at)

    def _note_count(self, period_s: float, count: int) -> None:
        """Go at the lowest count of late. A day's is not spread: its end is told by `left`."""
        now = self._context.clock.now()
        lowest_count, at = self._told.get(period_s, (count, now))
        if count > lowest_count and now - at <= MEMORY_WINDOWS * period_s:
            return

        if period_s in self._told or len(self._told) < PERIODS_MAX:
            self._told[period_s] = count, now
            self._go_at(f"an answer tells of {count} requests in {period_s:g} s")

    def _go_at(self, reason: str) -> None:
        told = Rate(tuple(Window(count, period) for period, (count, _) in self._told.items()))
        whole = lowest(lowest(self._own, told if self._told else None), self._found)
        rate = rate_part(whole, self._parts)
        if _spacing_s(rate) == _spacing_s(self.rate):
            return

        before, self.rate = self.rate, rate
        self._pacer.change(rate)
        self._context.log.info(
            "limit.changed",
            lane=self._lane,
            rate=str(rate),
            before=None if before is None else str(before),
            reason=reason,
        )
        self._tell_if_slow(rate, reason)

    def _tell_if_slow(self, rate: Rate | None, reason: str) -> None:
        """Tell a person once that the API allows far less than the lane was to use."""
        own_s, now_s = _spacing_s(rate_part(self._own, self._parts)), _spacing_s(rate)
        if not self._told or now_s <= max(2.0 * own_s, 0.0 if own_s else SLOW_S):
            return

        wanted = "" if self._own is None else f" instead of {self._own}"
        text = f"{self._lane} requests go at {rate}{wanted}: {reason}"
        self._context.notices.tell("limit.slow", text, urgent=True, once=f"slow {self._lane}")

    def _hold(self, period_s: float, opens_at: float) -> None:
        """Let nothing start before the window opens. The API's clock may differ from ours."""
        context = self._context
        now, wait_s = context.clock.now(), min(opens_at - context.clock.wall(), period_s)
        if not wait_s > self._gate.held_s(HELD, now):  # also what is no number
            return

        wait_s = after_retry_after(wait_s, context.rng)
        self._gate.hold_until(now + wait_s, HELD)
        context.log.info(
            "limit.reached",
            lane=self._lane,
            wait_s=round(wait_s, 3),
            reason=f"an answer leaves nothing until its window of {period_s:g} s opens anew",
        )


def _spacing_s(rate: Rate | None) -> float:
    return 0.0 if rate is None else rate.interval_s
