"""How a run stops early.

Rule: the first reason wins, and it is told once. There are three ways out, each harder than the
one before:

    halt()        submit nothing more; jobs that exist are followed to their end
    interrupt()   submit nothing more and follow nothing more; running submits get a grace time
    abort()       end now; what has no answer yet is in doubt

Each leaves a run that can be resumed.
"""

from __future__ import annotations

from collections.abc import Callable

import anyio

from batcher.core.errors import BatcherError
from batcher.core.log import Log
from batcher.core.model import Stop, StopReason, iso

LIMITS = (StopReason.THROTTLED, StopReason.BUDGET)


class Control:
    """The brakes of one run."""

    def __init__(self, log: Log) -> None:
        self.stop: Stop | None = None
        self.error: Exception | None = None  # why the run cannot go on, if that is why it stops
        self.halted = anyio.Event()
        self.interrupted = anyio.Event()
        self.aborted = anyio.Event()
        self.on_halt: list[Callable[[], None]] = []
        self._log = log

    @property
    def recalls_submits(self) -> bool:
        """Whether a submit that has not left yet is to stay here.

        Not so when a limit is reached: the submits before were within the limit.
        """
        return self.stop is not None and self.stop.reason not in LIMITS

    def halt(self, stop: Stop) -> None:
        """Submit nothing more; follow the jobs that exist, then end."""
        if self.stop is None:
            self.stop = stop
            self._log.warning(
                "run.stopping",
                reason=stop.reason,
                message=stop.message,
                resume_at=iso(stop.resume_at),
            )

        if not self.halted.is_set():
            self.halted.set()
            for action in self.on_halt:
                action()

    def interrupt(self, stop: Stop) -> None:
        """Submit and follow nothing more; end once running submits are answered."""
        self.halt(stop)
        self.interrupted.set()

    def abort(self, stop: Stop) -> None:
        """End now."""
        self.interrupt(stop)
        self.aborted.set()

    def fail(self, error: Exception, stop: Stop) -> None:
        """End like an interrupt, and let `execute` raise *error*.

        What a bug says may hold anything, a key too: the summary gets its kind and no more.
        """
        if self.error is None:
            self.error = error

        if not isinstance(error, BatcherError):
            stop = Stop(stop.reason, f"a bug in batcher: {type(error).__name__}")

        self.interrupt(stop)
