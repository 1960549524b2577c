"""How many workers a run gets: what was asked for, what the work justifies, what it has already.

Rule: a run keeps the number that it was begun with, because its rows are divided by it.
"""

from __future__ import annotations

import os

import msgspec

from batcher.adapters.manifest import count_rows
from batcher.adapters.rundir import RunDirectory
from batcher.adapters.runfile import read_run_file
from batcher.cli.failure import say
from batcher.core.errors import UsageError
from batcher.core.settings import Frozen, Settings
from batcher.engine.lanes.paces import AUTO, paces_of
from batcher.engine.shards.refusals import STDIN, cannot_share
from batcher.providers import Provider, provider_named

WORKERS_MAX = 64
ROWS_EACH = 2_000  # below that a second process costs more time than it saves
ONE_PER_S = 300.0  # submits that one process makes with ease


def with_workers(
    frozen: Frozen, settings: Settings, wish: int | str | None, directory: RunDirectory
) -> Frozen:
    """Return what the run is about with the number of its shards. Raises `UsageError`."""
    if directory.is_run and wish in (None, AUTO):
        shards = read_run_file(directory.run_file)[0].shards
    elif wish == AUTO:
        shards = _justified(frozen, settings)
    else:
        shards = wish if isinstance(wish, int) and wish > 1 else None

    if shards is not None and shards > WORKERS_MAX:
        raise UsageError(f"--workers {shards}: at most {WORKERS_MAX}")

    return msgspec.structs.replace(frozen, shards=shards)


def refuse_unshared(frozen: Frozen, settings: Settings) -> None:
    """Raise `UsageError` if several workers are wanted for what they cannot share."""
    if frozen.shards is None:
        return

    provider = provider_named(frozen.provider, frozen.params)
    why = cannot_share(frozen, settings, provider, frozen.shards)
    if why is not None:
        raise UsageError(f"--workers {frozen.shards}: {why}")


def _justified(frozen: Frozen, settings: Settings) -> int | None:
    """Return how many workers are worth while, and say why not more; None = one process."""
    provider = provider_named(frozen.provider, frozen.params)
    cores = min(usable_cores(), WORKERS_MAX)
    rows = None if frozen.manifest == STDIN else count_rows(frozen.manifest)
    if rows is not None and settings.limit is not None:
        rows = min(rows, settings.limit)

    by_rows = cores if rows is None else max(1, rows // ROWS_EACH)
    why_one = (
        _enough(settings, provider)
        or _to_the_last(settings)
        or cannot_share(frozen, settings, provider, cores)
    )
    count = 1 if why_one else min(cores, by_rows)
    if count > 1:
        say(f"--workers auto: {count} processes on {cores} cores")
        return count

    reason = why_one or ("there is one core" if cores == 1 else f"{rows:,} rows are too few")
    say(f"--workers auto: one process; {reason}")
    return None


def _enough(settings: Settings, provider: Provider) -> str | None:
    """Return why one process is fast enough for what may be submitted; None = it may not be."""
    if settings.rate == AUTO:
        return None

    submit = paces_of(settings, provider).submit
    if submit is None or not submit.interval_s or submit.interval_s * ONE_PER_S < 1.0:
        return None

    return f"it is fast enough for {submit}"


def _to_the_last(settings: Settings) -> str | None:
    """Return that a budget is used to its end by one process only, if there is one."""
    for flag, budget in (("--max-jobs", settings.max_jobs), ("--max-cost", settings.max_cost)):
        if budget is not None:
            return f"several may leave a part of {flag} unused"

    return None


def usable_cores() -> int:
    """Return how many cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))

    return os.cpu_count() or 1
