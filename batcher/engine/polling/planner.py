"""Beside the looks: plans are made anew, aimed at what may be read, and kept for later runs.

Rule: nothing here holds the event loop for more than some milliseconds. An estimate is one step, a
plan another; tickets that wait are given their new times in slices with pauses between them, so
that a hundred thousand of them take some seconds and nobody notices.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from functools import partial
from typing import Protocol

import anyio
import anyio.lowlevel

from batcher.core.model import Ticket
from batcher.core.polling.looking import LOOKS_IN_TIME, Looking
from batcher.engine.books.record import Offload
from batcher.engine.context import Context
from batcher.engine.polling.allowance import Load, shared_out
from batcher.engine.polling.looks import Looks

TICK_S = 1.0
SLICE = 200  # tickets that are given a new time in one step: about 2 ms
PASSED_BY = 0.02  # what one costs of a class whose plan is the old one, in tickets
SLICES_MAX, SLICE_PAUSE_S = 40, 0.02  # steps in one tick, and the pause after each
SHARE = 0.02  # of the event loop's time that plans may take
SAVE_S = 60.0  # a process that is killed loses so much of what it learned


class Memory(Protocol):
    """What outlives a run of what was learned. It never raises: a run goes on without it."""

    def save(self, kept: Mapping[str, object]) -> None:
        """Keep what is known by class, as `Durations.kept` gives it."""
        ...


class Planner:
    """Keeps the plans of all classes as good as what is known."""

    def __init__(
        self, context: Context, looks: Looks, memory: Memory | None, offload: Offload
    ) -> None:
        self._context = context
        self._looks = looks
        self._memory = memory
        self._offload = offload
        self._saved_at = context.clock.now()
        self._saved_looks = 0
        self._spent_s = 0.0  # of the processor, in this tick
        self._told: set[str] = set()
        self._renewed: set[str] = set()  # classes whose tickets have still the old times
        self._sweep: deque[Ticket] = deque()  # those that may be of such a class
        self._swept: frozenset[str] = frozenset()  # the classes that it looks for

    async def run(self, load: Callable[[], Load]) -> None:
        """Serve until cancelled; *load* says what is left to do.

        A mistake in here must not cost a run: then the plain pauses go on.
        """
        while self._looks.learns:
            await anyio.sleep(max(TICK_S, self._spent_s / SHARE))
            self._spent_s = 0.0
            try:
                await self._tick(load)
            except Exception as error:
                self._looks.learns = False
                self._context.log.error("polls.plain", message=repr(error))

    async def _tick(self, load: Callable[[], Load]) -> None:
        await self.renew()
        self.aim(load())
        await self._retime()
        if self._context.clock.now() - self._saved_at >= SAVE_S:
            await self.save()

    async def renew(self) -> None:
        """Make plans anew from what was learned since, one class after the other."""
        now = self._context.clock.now()
        for job_class in list(self._looks.classes.values()):
            looking = job_class.looking
            if not looking.is_ripe(now):
                continue

            while self._timed(looking.durations.refresh):
                await anyio.lowlevel.checkpoint()

            self._timed(partial(looking.learn, now))
            self._renewed.add(job_class.name)
            self._tell(job_class.name, looking)
            await anyio.sleep(SLICE_PAUSE_S)

    def aim(self, load: Load) -> None:
        """Let each class aim at as many reads a job as there are, and as are worth it."""
        classes = self._looks.classes
        jobs_open = {name: each.waiting for name, each in classes.items()}
        shares = shared_out({name: each.looking for name, each in classes.items()}, jobs_open, load)
        long_s = self._context.settings.job_timeout_s / LOOKS_IN_TIME
        for name, each in classes.items():
            if each.looking.aim_within(None if shares is None else shares.get(name), long_s):
                self._renewed.add(name)

        self._hurry(load.is_nearly_over(sum(jobs_open.values())))

    def _hurry(self, is_last: bool) -> None:
        """Let what waits have new times when the last jobs begin, and when rows come after all."""
        if is_last != self._looks.is_last:
            self._looks.is_last = is_last
            self._renewed.update(self._looks.classes)

    async def _retime(self) -> None:
        """Go on giving tickets their new times."""
        for _ in range(SLICES_MAX):
            if not self._timed(self._retime_slice):
                return

            await anyio.sleep(SLICE_PAUSE_S)

    def _timed(self, step: Callable[[], bool]) -> bool:
        """Do a step, and count what it costs."""
        began_s = self._context.clock.cpu_s()
        goes_on = step()
        self._spent_s += self._context.clock.cpu_s() - began_s
        return goes_on

    def _retime_slice(self) -> bool:
        """Give some tickets their new times; return whether there are more."""
        if not self._sweep:
            self._swept = frozenset(self._renewed)
            self._renewed.clear()
            self._sweep.extend(self._looks.waiting() if self._swept else ())

        cost = 0.0
        while self._sweep and cost < SLICE:
            is_new = self._looks.plan_anew(self._sweep.popleft(), self._swept)
            cost += 1.0 if is_new else PASSED_BY

        return bool(self._sweep or self._renewed)

    async def save(self) -> None:
        """Keep what was learned, if anything was since the last time."""
        self._saved_at = self._context.clock.now()
        memory, looks = self._memory, self._looks
        if memory is None or looks.looks == self._saved_looks:
            return

        self._saved_looks, kept = looks.looks, {}
        for name, durations in list(looks.known()):
            kept[name] = durations.kept()
            await anyio.lowlevel.checkpoint()

        await self._offload(lambda: memory.save(kept))

    def _tell(self, name: str, looking: Looking) -> None:
        """Log the first plan of each class."""
        plan = looking.plan
        if plan is not None and name not in self._told:
            self._told.add(name)
            self._context.log.info(
                "polls.planned",
                job_class=name,
                ends=looking.durations.ends,
                reads=round(plan.reads, 2),
                lag_s=round(plan.lag_s, 2),
            )
