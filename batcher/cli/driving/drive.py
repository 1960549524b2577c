"""Driving one run from the command line: its log, its view, its summary, its signals, its end.

Rule: the run itself knows nothing of all this. Whoever calls `drive` holds the directory's lock.
"""

from __future__ import annotations

import contextlib
import sys
import traceback
from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from signal import Signals
from typing import TYPE_CHECKING

import anyio
import anyio.to_thread
import msgspec

from batcher import __version__
from batcher.adapters.logs import RunLog, open_log
from batcher.adapters.logs_redaction import Redaction
from batcher.adapters.rundir import RunDirectory
from batcher.cli.driving.beside import Watcher, show_beside
from batcher.cli.driving.brakes import Brakes, Stopper
from batcher.cli.driving.keeping import Keeper, disk_trouble
from batcher.cli.driving.screen import Screen
from batcher.cli.ending import at_end
from batcher.cli.exits import needs_person, run_exit_code
from batcher.cli.failure import Crashed, leaf_of
from batcher.cli.loop import run_async
from batcher.cli.night.attending import Gauges, MetricsFile, attended
from batcher.cli.night.fail_on import that_hold
from batcher.cli.night.flags import Night
from batcher.cli.night.last_words import LastWords
from batcher.cli.program import program
from batcher.core.errors import BatcherError
from batcher.core.model import ErrorKind
from batcher.core.secret import Secret
from batcher.core.settings import Frozen, Settings
from batcher.core.stats import ErrorView
from batcher.engine.running import Running
from batcher.report.calls import could_be_called
from batcher.report.closing import closing_lines
from batcher.report.money import currency_of
from batcher.report.summary import Summary, SummaryFile
from batcher.report.views import View

if TYPE_CHECKING:
    from batcher.engine.parts import Starts


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
    night: Night = field(default_factory=Night)
    brakes: Callable[[Running, float, Callable[[str], None]], Stopper] = Brakes
    key_file: str | None = None  # --api-key-file, for processes of their own
    starts: Starts | None = None  # when first submits are due, of a load test

    @property
    def title(self) -> str:
        """What the views call it."""
        name = "standard input" if self.frozen.manifest == "-" else Path(self.frozen.manifest).name
        return f"{name}, {self.frozen.provider}"


def drive(job: Drive) -> int:
    """Bring a run to its end and return the exit code."""
    words = _last_words(job)
    at_end(words.speak)
    ended = run_async(lambda: conduct(job, words))
    words.summary = ended.summary
    code = run_exit_code(ended.summary, ended.signal, job.night.fail_on)
    lines = closing_lines(
        ended.summary,
        job.directory.path,
        job.title,
        ended.errors,
        program(),
        could_be_called=could_be_called(job.frozen, job.settings),
    )
    held = that_hold(job.night.fail_on, ended.summary)
    lines += [f"--fail-on {condition.told(ended.summary)}" for condition in held]
    told = [ended.redaction.text(line) for line in lines]
    job.screen.tell(told, code, needs_person=needs_person(ended.summary, code))
    return code


def _last_words(job: Drive) -> LastWords:
    gauges = Gauges(job.directory, job.frozen.provider, currency_of(job.frozen))
    return LastWords(job.night, job.directory, job.key, gauges, MetricsFile(job.night))


@dataclass(frozen=True, slots=True)
class Ended:
    """How a run stands when this process leaves it."""

    summary: Summary
    signal: Signals | None  # that ended it, if one did
    errors: Mapping[ErrorKind, ErrorView]  # that this process met, in the API's own words
    redaction: Redaction  # for whatever of these is shown


async def conduct(job: Drive, words: LastWords | None = None) -> Ended:
    """Bring a run to its end.

    Raises `BatcherError` for what is not batcher's fault and `Crashed` for what is.
    """
    also = sys.stdout if job.screen.json else None
    log = open_log(job.directory.log, level=job.screen.log_level, also=also, secrets=(job.key,))
    view = job.screen.open_view(job.title, currency_of(job.frozen))
    try:
        return await _conduct(job, log, view, words or _last_words(job))
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


async def _conduct(job: Drive, log: RunLog, view: View, words: LastWords) -> Ended:
    with disk_trouble(job.directory.summary):
        file = SummaryFile(job.directory.path, currency_of(job.frozen))
        file.begin()

    async with _opened(job, log) as run:
        brakes = job.brakes(run, job.settings.grace_s, view.say)
        keeper = Keeper(run, file)
        watcher = Watcher(view, log.redaction)
        run.watch(watcher.show)
        log.info(
            "run.started",
            version=__version__,
            manifest=job.frozen.manifest,
            provider=job.frozen.provider,
            base_url=job.frozen.base_url,
            settings=msgspec.to_builtins(job.settings),
        )
        try:
            told = partial(_told_address, log)
            numbers = attended(run, job.night, words.gauges, words.file, told)
            async with numbers, _in_a_browser(job, run, log, view) as tell_end:
                await _execute(job, run, brakes, keeper, log)
                with disk_trouble(job.directory.summary):
                    summary = keeper.end("finished" if run.control.stop is None else "stopped")

                tell_end(summary)
        except BaseException:
            with contextlib.suppress(OSError):
                keeper.end("stopped")

            raise

        watcher.show_last(run.snapshot())
        log.info("run.ended", summary=msgspec.to_builtins(summary))
        return Ended(summary, brakes.signal, run.snapshot().errors, log.redaction)


def _in_a_browser(
    job: Drive, run: Running, log: RunLog, view: View
) -> AbstractAsyncContextManager[Callable[[Summary], None]]:
    """Show the run in a browser, if that is wanted; gives what is to be told of its end."""
    if job.night.dashboard is None:
        return contextlib.nullcontext(lambda summary: None)

    from batcher.cli.commands.dashboard.live import shown_live

    return shown_live(run, job.night.dashboard, job, log.redaction, view)


def _opened(job: Drive, log: RunLog) -> AbstractAsyncContextManager[Running]:
    """Return the run in this process, or the one that leads its workers."""
    if job.frozen.shards is not None and job.frozen.shard is None:
        from batcher.cli.workers.opening import open_workers

        return open_workers(job, job.frozen.shards, log)

    from batcher.engine.session import open_session  # with all that sends requests

    return open_session(
        job.directory,
        job.frozen,
        job.settings,
        job.key,
        log=log,
        read_manifest=job.read_manifest,
        reread=_hiding(job.read_again, log),
        starts=job.starts,
    )


def _hiding(read_again: Callable[[], Secret] | None, log: RunLog) -> Callable[[], Secret] | None:
    """Return *read_again*, but whatever it reads is taken out of the log before anybody has it."""
    if read_again is None:
        return None

    def reread() -> Secret:
        key = read_again()
        log.redaction.hide(key)
        return key

    return reread


async def _execute(job: Drive, run: Running, brakes: Stopper, keeper: Keeper, log: RunLog) -> None:
    async with anyio.create_task_group() as beside:
        beside.start_soon(brakes.listen)
        beside.start_soon(keeper.keep, log)
        beside.start_soon(show_beside, run, job.directory.path, log.redaction)
        await run.execute()
        beside.cancel_scope.cancel()


def _told_address(log: RunLog, address: str) -> None:
    """Tell where the numbers are shown: the port may be a free one that nobody could know."""
    log.info("metrics.shown", address=address)
