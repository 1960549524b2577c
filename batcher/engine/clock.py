"""The two times that the engine knows.

Timers run on the event loop's time, which never jumps; the wall clock is for people, for HTTP dates
and for what must survive a restart. Under a virtual event loop both advance together.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable


def loop_time() -> float:
    """Return the event loop's seconds.

    As `anyio.current_time` does, which looks for its backend each time, at ten times the cost; the
    HTTP client ties us to asyncio anyway. Who asks for every request keeps the loop, because
    before Python 3.12 finding it costs a system call.
    """
    return asyncio.get_running_loop().time()


class Clock:
    """The real clock, of one event loop: the one that it is asked in first."""

    def __init__(self) -> None:
        self._loop_time: Callable[[], float] | None = None  # finding the loop costs a system call

    def now(self) -> float:
        """Return the event loop's time in seconds."""
        if self._loop_time is None:
            self._loop_time = asyncio.get_running_loop().time

        return self._loop_time()

    def wall(self) -> float:
        """Return epoch seconds."""
        return time.time()

    def thread_time(self) -> float:
        """Return seconds for code that runs in a worker thread, where there is no event loop."""
        return time.monotonic()

    def cpu_s(self) -> float:
        """Return the seconds that this thread has computed: of the event loop, if it asks."""
        return time.thread_time()


class LoopClock(Clock):
    """A clock whose wall time is the event loop's: for runs on virtual time."""

    def __init__(self, start: float = 1_700_000_000.0) -> None:
        super().__init__()
        self._start = start

    def wall(self) -> float:
        """Return the start plus the event loop's time."""
        return self._start + self.now()

    def thread_time(self) -> float:
        """Return a time that stands still: there are no threads on virtual time."""
        return self._start

    def cpu_s(self) -> float:
        """Return a time that stands still: nothing is measured on virtual time."""
        return 0.0
