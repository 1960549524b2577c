"""A worker's run, tied to the other workers of the same run.

Rule: what one worker learns of the whole account (wait; the limit is used up; the key is refused;
the credits are gone) is told once, and what is heard is done and not told again. That its own part
of a budget is used up ends nobody else. A worker that nobody leads any more ends like one that was
interrupted.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from batcher.core.model import Stop, StopReason
from batcher.core.pacing.gate import THROTTLED
from batcher.engine.clock import loop_time
from batcher.engine.lanes.headroom import HELD
from batcher.engine.lanes.lane import Lane
from batcher.engine.run import Run
from batcher.engine.shards.messages import Held, Message, Sharing, Stopping, UsedUp

ALONE = "the process that led the workers has gone"


class Link:
    """Tells others what concerns them, by `send`, and does what it hears."""

    def __init__(self, run: Run, send: Callable[[Message], None]) -> None:
        self._run = run
        self._send = send
        self._hears = False  # what happens now was told by another worker
        lanes = run.lanes
        self._lanes: dict[str, Lane[Any]] = {
            lane.name: lane for lane in (lanes.submit, lanes.status)
        }
        for lane in self._lanes.values():
            lane.gate.on_hold.append(partial(self._tell_hold, lane))

        run.control.on_halt.append(self._tell_halt)

    def hear(self, message: Message) -> None:
        """Do what was told."""
        self._hears = True
        try:
            self._do(message)
        finally:
            self._hears = False

    def part(self) -> None:
        """Nobody leads any more: end like after a signal."""
        self.hear(Stopping("interrupt", Stop(StopReason.INTERRUPTED, ALONE)))

    def _do(self, message: Message) -> None:
        match message:
            case Held():
                self._hold(message)
            case Stopping("halt", stop):
                self._run.control.halt(stop)
            case Stopping("interrupt", stop):
                self._run.control.interrupt(stop)
            case Stopping("abort", stop):
                self._run.control.abort(stop)
            case Sharing(parts):
                self._run.lanes.submit_room.share_among(parts)
                self._run.lanes.status_room.share_among(parts)
            case _:  # for people, and none is here
                pass

    def _hold(self, held: Held) -> None:
        lane = self._lanes.get(held.lane)
        if lane is None:
            return

        now = loop_time()
        if held.why == THROTTLED:  # as if one of our own requests had been told so
            lane.gate.throttled(now, held.wait_s, self)
        else:
            lane.gate.hold_until(now + held.wait_s, held.why)

    def _tell_hold(self, lane: Lane[Any], until: float, why: str) -> None:
        if not self._hears and why in (THROTTLED, HELD):
            self._send(Held(lane.name, why, round(until - loop_time(), 3)))

    def _tell_halt(self) -> None:
        control = self._run.control
        if self._hears or control.stop is None:
            return

        if control.stop.reason is StopReason.BUDGET:
            self._send(UsedUp(control.stop.message))
            return

        is_interrupt = control.stop.reason is StopReason.INTERRUPTED
        self._send(Stopping("interrupt" if is_interrupt else "halt", control.stop))
