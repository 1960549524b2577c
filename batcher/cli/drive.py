"""Driving one run from the command line: its log, its view, its summary, its signals, its end.

Rule: the run itself knows nothing of all this. Whoever calls `drive` holds the directory's lock.
"""

from __future__ import annotations

import contextlib
import sys
import time
import traceback
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from signal import Signals

import anyio
import anyio.to_thread
import msgspec

from batcher import __version__
from batcher.adapters.logs import RunLog, open_log
from batcher.adapters.logs_redaction import Redaction
from batcher.adapters.rundir import RunDirectory
from batcher.cli.brakes import Brakes
from batcher.cli.exits import run_exit_code
from batcher.cli.failure import Crashed, leaf_of, say
from batcher.cli.loop import run_async
from batcher.cli.program import program
from batcher.cli.screen import Screen
from batcher.core.errors import BatcherError, StorageError
from batcher.core.model import ErrorKind
from batcher.core.secret import Secret
from batcher.core.settings import Frozen, Settings
from batcher.core.stats import ErrorView, Snapshot
from batcher.engine.run import Run
from batcher.engine.session import open_session
from batcher.report.calls import could_be_called
from batcher.report.closing import closing_lines
from batcher.report.money import currency_of
from batcher.report.summary import RunState, Summary, SummaryFile
from batcher.report.views import View

SUMMARY_EVERY_S = 5.0


@dataclass(frozen=True, slots=True)
class Drive:
    """One run that is about to go on in this process."""

    directory: RunDirectory
    frozen: Frozen
    settings: Settings
    key: Secret
    screen: Screen
    read_again: Callable[[], Secret] | None = None  # the key, from where it came
    read_manifest: bool = True

    @property
    def title(self) -> str:
        """What the views call it."""
        name = "standard input" if self.frozen.manifest == "-" else Path(self.frozen.manifest).name
        return f"{name}, {self.frozen.provider}"


def drive(job: Drive) -> int:
    """Bring a run to its end and return the exit code."""
    ended = run_async(lambda: conduct(job))
    code = run_exit_code(ended.summary, ended.signal)
    lines = closing_lines(
        ended.summary,
        job.directory.path,
        job.title,
        ended.errors,
        program(),
        could_be_called=could_be_called(job.frozen, job.settings),
    )
    job.screen.tell([ended.redaction.text(line) for line in lines], code)
    return code


@dataclass(frozen=True, slots=True)
class Ended:
    """How a run stands when this process leaves it."""

    summary: Summary
    signal: Signals | None  # that ended it, if one did
    errors: Mapping[ErrorKind, ErrorView]  # that this process met, in the API's own words
    redaction: Redaction  # for whatever of these is shown


async def conduct(job: Drive) -> Ended:
    """Bring a run to its end.

    Raises `BatcherError` for what is not batcher's fault and `Crashed` for what is.
    """
    also = sys.stdout if job.screen.json else None
    log = open_log(job.directory.log, level=job.screen.log_level, also=also, secrets=(job.key,))
    view = job.screen.open_view(job.title)
    try:
        return await _conduct(job, log, view)
    except Exception as error:
        cause = leaf_of(error)
        if isinstance(cause, BatcherError) and cause.exit_code != Crashed.exit_code:
            raise cause from error

        told = log.redaction.text("".join(traceback.format_exception(cause)))
        log.error("run.crashed", traceback=told)
        raise Crashed(told, job.directory.log) from None
    finally:
        view.close()
        log.close()


async def _conduct(job: Drive, log: RunLog, view: View) -> Ended:
    with _disk_trouble(job.directory.summary):
        file = SummaryFile(job.directory.path, currency_of(job.frozen))
        file.begin()

    async with open_session(
        job.directory,
        job.frozen,
        job.settings,
        job.key,
        log=log,
        read_manifest=job.read_manifest,
        reread=_hiding(job.read_again, log),
    ) as run:
        brakes = Brakes(run, job.settings.grace_s, view.say)
        keeper = _Keeper(run, file)
        run.watch(_Watcher(view).show)
        log.info(
            "run.started",
            version=__version__,
            manifest=job.frozen.manifest,
            provider=job.frozen.provider,
            base_url=job.frozen.base_url,
            settings=msgspec.to_builtins(job.settings),
        )
        try:
            await _execute(job, run, brakes, keeper, log)
        except BaseException:
            with contextlib.suppress(OSError):
                keeper.end("stopped")

            raise

        with _disk_trouble(job.directory.summary):
            summary = keeper.end("finished" if run.control.stop is None else "stopped")

        view.show(run.snapshot())
        log.info("run.ended", summary=msgspec.to_builtins(summary))
        return Ended(summary, brakes.signal, run.snapshot().errors, log.redaction)


def _hiding(read_again: Callable[[], Secret] | None, log: RunLog) -> Callable[[], Secret] | None:
    """Return *read_again*, but whatever it reads is taken out of the log before anybody has it."""
    if read_again is None:
        return None

    def reread() -> Secret:
        key = read_again()
        log.redaction.hide(key)
        return key

    return reread


async def _execute(job: Drive, run: Run, brakes: Brakes, keeper: _Keeper, log: RunLog) -> None:
    async with anyio.create_task_group() as beside:
        beside.start_soon(brakes.listen)
        beside.start_soon(keeper.keep, log)
        await run.execute()
        beside.cancel_scope.cancel()


class _Watcher:
    """Shows snapshots, and says each of their notices once."""

    def __init__(self, view: View) -> None:
        self._view = view
        self._said = 0

    def show(self, shot: Snapshot) -> None:
        """Show a snapshot; an urgent notice is said even where no words are wanted."""
        for text, is_urgent in shot.notices[self._said :]:
            (say if is_urgent else self._view.say)(text)

        self._said = len(shot.notices)
        self._view.show(shot)


class _Keeper:
    """Keeps `summary.json` and the log on disk fresh while a run goes on."""

    def __init__(self, run: Run, file: SummaryFile) -> None:
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


@contextlib.contextmanager
def _disk_trouble(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise StorageError(f"{path}: {error.strerror}") from error
