"""Signals: how a person or the system asks a run to stop.

Rule: the first signal stops politely (running submits are answered, everything is written), the
second at once. Both end the process whatever hangs, leave a run that can be resumed, and no
traceback.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from signal import SIG_IGN, SIGHUP, SIGINT, SIGTERM, Signals, getsignal
from typing import Protocol

import anyio

from batcher.cli.exits import signal_exit_code
from batcher.core.model import Stop, StopReason
from batcher.engine.running import Running
from batcher.report.text import duration_text

LAST_WAIT_S = 5.0  # for what is being written at this moment


class Stopper(Protocol):
    """Whoever may end a run from outside."""

    signal: Signals | None  # that ended it, if one did

    async def listen(self) -> None:
        """Wait for a word to stop, until cancelled."""
        ...


class Brakes:
    """What a run does on a signal. `signal` is the first one that came."""

    def __init__(self, run: Running, grace_s: float, say: Callable[[str], None]) -> None:
        self.signal: Signals | None = None
        self._run = run
        self._grace_s = grace_s
        self._say = say

    async def listen(self) -> None:
        """Wait for signals until cancelled.

        If something hangs (a manifest by a pipe that stays silent, a disk that does not answer),
        the process ends all the same: after the grace time, or soon after the second signal.
        """
        # Under `nohup` a hang-up is ignored from the start, and must stay so.
        heard = [s for s in (SIGINT, SIGTERM, SIGHUP) if getsignal(s) is not SIG_IGN]
        with anyio.open_signal_receiver(*heard) as signals:
            self.signal = await anext(signals)
            self._stop_politely(self.signal)
            with anyio.move_on_after(self._grace_s + LAST_WAIT_S):
                again = await anext(signals)
                self._say("stopping now; the run can be resumed")
                self._run.control.abort(_stop(again))
                await anyio.sleep(LAST_WAIT_S)

        os._exit(signal_exit_code(self.signal))  # what the journal acknowledged is safe

    def _stop_politely(self, signal: Signals) -> None:
        lanes = {lane.name: lane.open for lane in self._run.snapshot().lanes}
        submits = lanes.get("submit", 0)
        many = "submit" if submits == 1 else "submits"
        self._say(
            f"finishing {submits} running {many} (up to {duration_text(self._grace_s)}); "
            "again to stop now"
        )
        self._run.control.interrupt(_stop(signal))


def _stop(signal: Signals) -> Stop:
    return Stop(StopReason.INTERRUPTED, f"interrupted by {signal.name}")
