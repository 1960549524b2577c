"""Keeping `summary.json` and the log on disk fresh while a run goes on."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from pathlib import Path

import anyio
import anyio.to_thread

from batcher.adapters.logs import RunLog
from batcher.core.errors import StorageError
from batcher.core.stats import Snapshot
from batcher.engine.running import Running
from batcher.report.summary import RunState, Summary, SummaryFile

SUMMARY_EVERY_S = 5.0


@contextlib.contextmanager
def disk_trouble(path: Path) -> Iterator[None]:
    """Let a file that cannot be written be what it is: the disk's trouble."""
    try:
        yield
    except OSError as error:
        raise StorageError(f"{path}: {error.strerror}") from error


class Keeper:
    """Writes how one run stands."""

    def __init__(self, run: Running, file: SummaryFile) -> None:
        self._run = run
        self._file = file
        self._began = time.monotonic()

    async def keep(self, log: RunLog) -> None:
        """Write both every few seconds, until cancelled."""
        while True:
            await anyio.sleep(SUMMARY_EVERY_S)
            shot = self._run.snapshot()
            with contextlib.suppress(OSError):  # the journal is what counts
                await anyio.to_thread.run_sync(self._write, shot, "running")

            log.flush()

    def end(self, state: RunState) -> Summary:
        """Write how the run stands now. Raises `OSError`."""
        return self._write(self._run.snapshot(), state)

    def _write(self, shot: Snapshot, state: RunState) -> Summary:
        return self._file.write(
            shot.counters,
            state=state,
            stop=shot.stop,
            elapsed_s=time.monotonic() - self._began,
            at=shot.at,
            waiting=shot.binding or None if state == "running" else None,
            held=shot.held,
        )
