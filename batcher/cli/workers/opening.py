"""Putting a run of several workers together: where the processes come from."""

from __future__ import annotations

import contextlib
import os
import sys
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import anyio
import anyio.to_thread
import msgspec

from batcher.adapters.workers import start_worker
from batcher.cli.driving.brakes import LAST_WAIT_S
from batcher.cli.workers.books import ShardBooks
from batcher.cli.workers.conductor import Conductor
from batcher.cli.workers.events import Events
from batcher.cli.workers.orders import Orders, found_shards
from batcher.cli.workers.team import Worker
from batcher.core.pacing.rates import HOUR_S
from batcher.engine.lanes.paces import paces_of
from batcher.engine.money.budget import FailureLimit
from batcher.providers import provider_named

if TYPE_CHECKING:
    from batcher.adapters.rundir import RunDirectory
    from batcher.cli.driving.drive import Drive
    from batcher.core.log import Log

MODULE = "batcher.cli.workers.worker"
SETTLE_S = 60.0  # where nobody says how long a limit's window is, minutes are usual
OWNED_LOOK_S = 0.1
LEVELS = 3  # from this file to the folder that the package is in


@asynccontextmanager
async def open_workers(job: Drive, shards: int, log: Log) -> AsyncIterator[Conductor]:
    """Compose the run of a directory that this process has locked, from so many workers."""
    folders = [job.directory.shard(number) for number in range(shards)]
    logs = [folder.log for folder in folders] if job.screen.json else []
    books = ShardBooks(job.directory.path, folders, Events(logs, _print))
    counters = await anyio.to_thread.run_sync(_begin, job.directory, folders, books)
    began = time.monotonic()

    async def start(number: int) -> Worker:
        if folders[number].is_owned():
            conductor.tell("a worker of the process before is still ending; waiting for it")
            await _wait_for(folders[number], job.settings.grace_s + 2 * LAST_WAIT_S)

        words = [sys.executable, "-P", "-m", MODULE, _orders(job, number, began)]
        return await start_worker(words, _environ())

    conductor = Conductor(shards, start, books, log, settle_s=_settle_s(job))
    failures = FailureLimit.of(job.settings, counters, conductor.control.halt)
    conductor.watch(lambda shot: failures.recount(shot.counters))
    yield conductor


def _begin(
    directory: RunDirectory, shards: Sequence[RunDirectory], books: ShardBooks
) -> dict[str, int]:
    """Take the directory over, and return what its journals have counted by now."""
    was_begun = directory.was_begun
    if not was_begun:
        found_shards(directory, shards)

    books.begin(was_begun=was_begun)
    return books.counters()


def _print(lines: bytes) -> None:
    """Put whole lines on standard output; nobody may read there any more."""
    with contextlib.suppress(OSError, ValueError):
        sys.stdout.write(lines.decode("utf-8", "replace"))
        sys.stdout.flush()


def _orders(job: Drive, number: int, began: float) -> str:
    orders = Orders(
        run=str(job.directory.path),
        shard=number,
        elapsed_s=time.monotonic() - began,
        api_key_file=job.key_file,
        log_level=job.screen.log_level,
    )
    return msgspec.json.encode(orders).decode()


def _environ() -> dict[str, str]:
    """Return the environment of a worker: ours, and where this very package lies."""
    root = str(Path(__file__).resolve().parents[LEVELS])
    others = os.environ.get("PYTHONPATH")
    return {**os.environ, "PYTHONPATH": f"{root}{os.pathsep}{others}" if others else root}


async def _wait_for(folder: RunDirectory, most_s: float) -> None:
    """Wait until nobody owns a shard; its last owner has been told to end, or saw its leader go."""
    with anyio.move_on_after(most_s):
        while folder.is_owned():  # noqa: ASYNC110 - a lock of the kernel rings no bell
            await anyio.sleep(OWNED_LOOK_S)


def _settle_s(job: Drive) -> float:
    """Return how long a request counts in the longest window that a lane is held to."""
    paces = paces_of(job.settings, provider_named(job.frozen.provider, job.frozen.params))
    rates = [rate for rate in (paces.submit, paces.status, paces.total) if rate is not None]
    periods = [w.period_s for rate in rates for w in rate.windows if w.period_s <= HOUR_S]
    return max(periods, default=SETTLE_S)
