"""Numbers of a run for a monitoring system while it goes on, and one last time at its end.

Rule: they are a view like any other. A file that cannot be written is told once and costs the run
nothing; only a port that cannot be had is refused, before the first submit.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING

import anyio
import anyio.to_thread
import msgspec

from batcher import __version__
from batcher.adapters.atomic import PRIVATE
from batcher.adapters.rundir import RunDirectory, absolute_path
from batcher.adapters.textfile import PUBLIC, replace_text
from batcher.cli.failure import say
from batcher.cli.night.flags import Night
from batcher.core.stats import Snapshot
from batcher.engine.running import Running
from batcher.report.held import held_back_of
from batcher.report.metrics import CONTENT_TYPE, Standing, metrics_text
from batcher.report.summary import Summary, read_summary, stopped_by, summary_of

if TYPE_CHECKING:  # a server is not loaded by runs that serve nothing
    from batcher.adapters.scrape import Page

METRICS_EVERY_S = 5.0
SILENT_S_MAX = 30.0  # without a snapshot: there is one every second


class Gauges:
    """How the run stands, as numbers; *now* is the time of day in epoch seconds."""

    def __init__(
        self,
        directory: RunDirectory,
        provider: str,
        currency: str | None,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._run = absolute_path(directory.path).name
        self._provider = provider
        self._currency = currency
        self._now = now
        self._before = read_summary(directory.path) or Summary()
        self._started_at = self._seen_at = self._progress_at = now()
        self._progress = -1
        self._shot: Snapshot | None = None

    def see(self, shot: Snapshot) -> None:
        """Take note of how the run stands."""
        progress = shot.ended + shot.count("jobs_accepted")
        if progress != self._progress and self._progress >= 0:
            self._progress_at = shot.at

        self._progress = progress
        self._seen_at = shot.at
        self._shot = shot

    def text(self) -> str:
        """Return the numbers of now."""
        return self._text(self._summary(), self._shot, None)

    def last_text(self, summary: Summary, exit_code: int) -> str:
        """Return the numbers of a process that is over."""
        return self._text(summary, None, exit_code)

    def metrics(self) -> Page:
        """Return `/metrics`."""
        from batcher.adapters.scrape import Page

        return Page(200, CONTENT_TYPE, self.text().encode())

    def health(self) -> Page:
        """Return `/health`: 503 if the run has shown nothing of itself for a while."""
        silent_s, progress_s = (self._now() - at for at in (self._seen_at, self._progress_at))
        is_well = silent_s <= SILENT_S_MAX
        told = {
            "state": "running" if is_well else "silent",
            "run": self._run,
            "last_seen_s": round(max(0.0, silent_s), 1),
            "last_progress_s": round(max(0.0, progress_s), 1),
        }
        from batcher.adapters.scrape import Page

        return Page(200 if is_well else 503, "application/json", msgspec.json.encode(told) + b"\n")

    def _summary(self) -> Summary:
        shot = self._shot
        if shot is None:
            return msgspec.structs.replace(self._before, state="running", stopped=None)

        summary = summary_of(
            shot.counters,
            state="running",
            stopped=stopped_by(shot.stop),
            wall_s=self._before.wall_s + shot.elapsed_s,
            at=shot.at,
            currency=self._currency,
        )
        held = held_back_of(shot.held, self._before.held_back)
        return msgspec.structs.replace(summary, held_back=held)

    def _text(self, summary: Summary, shot: Snapshot | None, exit_code: int | None) -> str:
        return metrics_text(
            Standing(
                run=self._run,
                provider=self._provider,
                version=__version__,
                summary=summary,
                shot=shot,
                started_at=self._started_at,
                progress_at=self._progress_at,
                exit_code=exit_code,
            )
        )


class MetricsFile:
    """The file of `--metrics`, if there is to be one. A failure is told once."""

    def __init__(self, night: Night, tell: Callable[[str], None] = say) -> None:
        self._path = night.metrics
        self._mode = PRIVATE if night.is_private else PUBLIC
        self._tell = tell
        self._has_failed = False

    @property
    def is_wanted(self) -> bool:
        """Whether there is anything to do."""
        return self._path is not None

    def has_place(self, directory: RunDirectory) -> bool:
        """Whether it is wanted and does not lie in a run that was refused and taken away."""
        if self._path is None:
            return False

        return directory.is_run or self._path.parent != directory.path

    def write(self, text: str) -> None:
        """Replace the file."""
        if self._path is None:
            return

        try:
            replace_text(self._path, text, mode=self._mode)
        except OSError as error:
            if not self._has_failed:
                self._tell(f"--metrics {self._path}: {error.strerror}; the run goes on without")

            self._has_failed = True


@asynccontextmanager
async def attended(
    run: Running, night: Night, gauges: Gauges, file: MetricsFile, tell: Callable[[str], None]
) -> AsyncIterator[None]:
    """Show the numbers of a run until the block ends. Raises `UsageError` for a port in use."""
    if not file.is_wanted and night.metrics_port is None:
        yield
        return

    run.watch(gauges.see)
    async with AsyncExitStack() as stack:
        if night.metrics_port is not None:
            from batcher.adapters.scrape import showing

            pages = {"/metrics": gauges.metrics, "/health": gauges.health}
            address = await stack.enter_async_context(showing(night.metrics_port, pages))
            tell(address)

        beside = await stack.enter_async_context(anyio.create_task_group())
        if file.is_wanted:
            beside.start_soon(_keep, gauges, file)

        try:
            yield
        finally:
            beside.cancel_scope.cancel()


async def _keep(gauges: Gauges, file: MetricsFile) -> None:
    """Write the file every few seconds, until cancelled."""
    while True:
        text = gauges.text()
        await anyio.to_thread.run_sync(file.write, text)
        await anyio.sleep(METRICS_EVERY_S)
