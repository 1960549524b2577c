"""A run in a thread of its own.

Rule: the caller's code never holds up the run, and the run never holds up the caller's event loop.
Whoever leaves early leaves politely: submits that are open are answered before the thread ends.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Self
from weakref import WeakValueDictionary

import anyio

from batcher.adapters.logs import open_log
from batcher.adapters.rundir import RunDirectory
from batcher.api.job import Job
from batcher.cli.driving.beside import show_beside
from batcher.cli.driving.keeping import Keeper, disk_trouble
from batcher.cli.failure import leaf_of
from batcher.cli.loop import run_async
from batcher.core.model import Stop, StopReason
from batcher.core.secret import Secret
from batcher.core.stats import Snapshot
from batcher.engine.run import Run
from batcher.engine.session import open_session
from batcher.report.money import currency_of
from batcher.report.summary import Summary, SummaryFile

LEFT = Stop(StopReason.INTERRUPTED, "the program that ran it went on without it")

# The latest run of each directory in this process: one that is about to leave it is waited for.
_here: WeakValueDictionary[Path, Background] = WeakValueDictionary()


class Background:
    """One run that goes on beside the caller."""

    def __init__(self, job: Job, on_progress: Callable[[Snapshot], None] | None = None) -> None:
        self._job = job
        self._on_progress = on_progress
        self._summary: Summary | None = None
        self._failure: BaseException | None = None
        self._over = threading.Event()
        self._place = job.directory.path.absolute()
        self.has_journal = False
        self._leaves = False
        self._interrupt: Callable[[], object] | None = None  # there while the run goes on
        self._thread = threading.Thread(target=self._work, name="batcher-run", daemon=True)

    @property
    def directory(self) -> RunDirectory:
        """The directory of the run."""
        return self._job.directory

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_failure: object) -> None:
        self.leave()

    def start(self) -> None:
        """Begin; `leave` must follow. Use it as a context manager where nothing is awaited."""
        self._thread.start()

    def wait(self, timeout_s: float | None = None) -> bool:
        """Wait until the run is over; False if it is not after so long."""
        return self._over.wait(timeout_s)

    def ask_to_leave(self) -> None:
        """Ask the run to end, if it still goes on."""
        self._leaves = True  # said first: a run that is only beginning looks here later
        interrupt = self._interrupt
        if interrupt is not None:
            with contextlib.suppress(RuntimeError):  # its event loop has just been closed
                interrupt()

    def leave(self) -> None:
        """Ask the run to end, if it still goes on, and wait for it."""
        self.ask_to_leave()
        self._over.wait()

    def summary(self) -> Summary:
        """Return how the run stands after its end. Raises what ended it."""
        self._over.wait()
        if self._failure is not None:
            raise self._failure

        assert self._summary is not None  # noqa: S101  one of the two is set before the end
        return self._summary

    def _work(self) -> None:
        earlier, _here[self._place] = _here.get(self._place), self
        if earlier is not None and earlier._leaves:
            earlier.wait()

        try:
            with self._job.opened() as key:
                self._summary = run_async(lambda: self._conduct(key))
        except BaseException as error:
            self._failure = leaf_of(error)
        finally:
            self._over.set()

    async def _conduct(self, key: Secret) -> Summary:
        job = self._job
        log = open_log(job.directory.log, level=job.log_level, secrets=(key,))
        try:
            with disk_trouble(job.directory.summary):
                file = SummaryFile(job.directory.path, currency_of(job.frozen))
                file.begin()

            async with open_session(
                job.directory, job.frozen, job.settings, key, log=log, reread=job.read_key
            ) as run:
                self._begin(run)
                keeper = Keeper(run, file)
                try:
                    async with anyio.create_task_group() as beside:
                        beside.start_soon(keeper.keep, log)
                        beside.start_soon(show_beside, run, job.directory.path, log.redaction)
                        await run.execute()
                        beside.cancel_scope.cancel()
                except BaseException:
                    with contextlib.suppress(OSError):
                        keeper.end("stopped")

                    raise

                with disk_trouble(job.directory.summary):
                    return keeper.end("finished" if run.control.stop is None else "stopped")
        finally:
            self._interrupt = None
            log.close()

    def _begin(self, run: Run) -> None:
        """Let the caller see and end the run from his thread."""
        self.has_journal = True
        if self._on_progress is not None:
            run.watch(self._on_progress)

        loop, interrupt = asyncio.get_running_loop(), run.control.interrupt
        self._interrupt = lambda: loop.call_soon_threadsafe(interrupt, LEFT)
        if self._leaves:
            interrupt(LEFT)
