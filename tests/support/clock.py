"""An event loop on virtual time: an hour of waiting takes no time, and always the same way.

Rule: time stands (but for a tick, see below) while anything can run, and jumps to the next timer
when nothing can. What is ready on a socket is taken before time jumps, and time does not jump while
a worker thread of this loop is busy. Loopback sockets within this process therefore work; another
process does not, for nobody here can see that it is at work.

It is no patch: `asyncio` asks a loop for its time and its selector, and these are ours. A module
opts in with `pytestmark = pytest.mark.virtual`; elsewhere there is `run_virtual(main)`.

A run that cannot end raises `Stalled`, which says what every task is waiting for.
"""

from __future__ import annotations

import asyncio
import math
import selectors
import threading
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar, TypeVarTuple

from anyio._backends._asyncio import WorkerThread

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

START_S = 1_000.0  # not 0: code that takes 0 for "never" must not pass by luck
TICK_S = 1e-9  # aiolimiter re-arms a timer at "now" for ever if time stands quite still
GRACE_S = 0.001  # of real time, for a packet on loopback to arrive before time jumps


class Stalled(AssertionError):
    """A run on virtual time cannot end, or does not."""


@dataclass(frozen=True, slots=True)
class Patience:
    """When a run counts as stalled."""

    silence_s: float = 20.0  # of real time, with neither timer nor answer: a deadlock
    turns_max: int = 1_000_000  # of the loop, without a jump: something spins
    horizon_s: float = 60 * 86_400.0  # of virtual time: who waits longer waits for ever


class VirtualClockLoop(asyncio.SelectorEventLoop):
    """A selector loop on virtual time, for `asyncio.Runner(loop_factory=VirtualClockLoop)`."""

    def __init__(self, patience: Patience | None = None) -> None:
        self._virtual = _JumpingSelector(self, patience or Patience())
        self._executor_jobs = 0
        super().__init__(self._virtual)

    def time(self) -> float:
        """Return virtual seconds; they start at `START_S`."""
        return self._virtual.now_s

    def run_in_executor(
        self, executor: Any, func: Callable[[*Ts], T], *args: *Ts
    ) -> asyncio.Future[T]:
        """Do as any loop does, and hold time until the thread has answered."""
        future = super().run_in_executor(executor, func, *args)
        self._executor_jobs += 1
        future.add_done_callback(self._executor_job_ended)
        return future

    def _executor_job_ended(self, _: object) -> None:
        self._executor_jobs -= 1

    async def shutdown_default_executor(self, *args: Any) -> None:
        """Do as any loop does, and hold time: from Python 3.12 on there is a time-out to it."""
        self._executor_jobs += 1
        try:
            await super().shutdown_default_executor(*args)
        finally:
            self._executor_jobs -= 1

    def busy_threads(self) -> int:
        """Return how many threads work for this loop, through anyio or an executor."""
        workers = (t for t in threading.enumerate() if isinstance(t, WorkerThread))
        busy = sum(t.loop is self and t not in t.idle_workers for t in workers)
        return busy + self._executor_jobs


class _JumpingSelector(selectors.BaseSelector):
    """A selector that lets virtual time pass instead of waiting."""

    def __init__(self, loop: VirtualClockLoop, patience: Patience) -> None:
        self.now_s = START_S
        self._patience = patience
        self._loop = loop
        self._turns = 0  # since time last jumped
        self._real = selectors.DefaultSelector()

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        """Return what is ready; if nothing is, wait for a thread, or jump by *timeout*."""
        self._tick()
        ready = self._real.select(0)
        if ready or timeout == 0:
            return ready

        if timeout is None or self._loop.busy_threads():
            return self._wait_for_real()

        if self._has_sockets():
            ready = self._real.select(GRACE_S)

        if not ready:
            self._jump(timeout)

        return ready

    def _tick(self) -> None:
        self.now_s = max(self.now_s + TICK_S, math.nextafter(self.now_s, math.inf))
        self._turns += 1
        if self._turns > self._patience.turns_max:
            turns, self._turns = self._turns, 0  # so that the tasks can still be cancelled
            raise self._stalled(f"{turns:,} turns of the loop, and time did not move")

    def _jump(self, by_s: float) -> None:
        self._turns = 0
        self.now_s += by_s
        if self.now_s > START_S + self._patience.horizon_s:
            days = (self.now_s - START_S) / 86_400
            self.now_s = START_S  # so that the tasks can still be cancelled
            raise self._stalled(f"{days:.0f} virtual days have passed")

    def _wait_for_real(self) -> list[tuple[selectors.SelectorKey, int]]:
        ready = self._real.select(self._patience.silence_s)
        if not ready:
            threads = self._loop.busy_threads()
            raise self._stalled(f"nothing happens: no timer is set, busy threads: {threads}")

        return ready

    def _has_sockets(self) -> bool:
        return len(self._real.get_map()) > 1  # one is the loop's own, to be woken by threads

    def _stalled(self, what: str) -> Stalled:
        tasks = sorted(asyncio.all_tasks(self._loop), key=lambda task: task.get_name())
        return Stalled("\n  ".join([f"{what}; these tasks wait:", *map(_whereabouts, tasks)]))

    # --- The rest is the real selector's ---------------------------------------------------------

    def register(self, fileobj: Any, events: int, data: Any = None) -> selectors.SelectorKey:
        """Watch a file."""
        return self._real.register(fileobj, events, data)

    def unregister(self, fileobj: Any) -> selectors.SelectorKey:
        """Watch a file no more."""
        return self._real.unregister(fileobj)

    def modify(self, fileobj: Any, events: int, data: Any = None) -> selectors.SelectorKey:
        """Watch a file for something else."""
        return self._real.modify(fileobj, events, data)

    def get_map(self) -> Mapping[Any, selectors.SelectorKey]:
        """Return what is watched."""
        return self._real.get_map()

    def close(self) -> None:
        """Release everything."""
        self._real.close()


def _whereabouts(task: asyncio.Task[Any]) -> str:
    """Return a task's name and the innermost line of ours that it stands at."""
    awaited: Any = task.get_coro()
    places = []
    while awaited is not None:
        frame = getattr(awaited, "cr_frame", None) or getattr(awaited, "ag_frame", None)
        if frame is not None:
            places.append(f"{frame.f_code.co_filename}:{frame.f_lineno}")

        awaited = getattr(awaited, "cr_await", None) or getattr(awaited, "ag_await", None)

    ours = [p for p in places if "site-packages" not in p and "/asyncio/" not in p]
    return f"{task.get_name()}: {(ours or places or ['?'])[-1]}"


def run_virtual(
    main: Callable[..., Coroutine[Any, Any, T]], *args: object, patience: Patience | None = None
) -> T:
    """Run `main(*args)` on a new loop on virtual time and return what it returns."""
    with asyncio.Runner(loop_factory=partial(VirtualClockLoop, patience)) as runner:
        return runner.run(main(*args))
