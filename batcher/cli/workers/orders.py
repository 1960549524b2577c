"""What a worker is told at its start: in an argument that everybody can read, so no secret, and in
the run file of its shard, which is there before anything is sent.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from batcher.adapters.rundir import RunDirectory
from batcher.adapters.runfile import read_run_file, write_run_file
from batcher.core.money import amount, nanos
from batcher.core.settings import Settings
from batcher.core.shards import part_of


class Orders(msgspec.Struct, frozen=True, kw_only=True):
    """One shard of a run, and what of the command is not in its directory."""

    run: str  # the directory of the whole run
    shard: int
    elapsed_s: float  # of the run's time (`--max-duration`), before this worker began
    api_key_file: str | None = None
    log_level: str = "info"


def own_settings(settings: Settings, shard: int, shards: int) -> Settings:
    """Return one worker's settings: its parts of what is counted.

    Rates are shared by the lanes, and failures are counted by who leads.
    """
    jobs, cost = settings.max_jobs, settings.max_cost
    return msgspec.structs.replace(
        settings,
        in_flight=part_of(settings.in_flight, shard, shards),
        connections=part_of(settings.connections_max, shard, shards),
        max_jobs=None if jobs is None else part_of(jobs, shard, shards),
        max_cost=None if cost is None else amount(part_of(nanos(cost), shard, shards)),
        max_failures=None,
    )


def found_shards(directory: RunDirectory, shards: Sequence[RunDirectory]) -> None:
    """Make the directory of each shard of a run that was never begun, with its run file."""
    frozen, settings = read_run_file(directory.run_file)
    for number, shard in enumerate(shards):
        shard.create()
        own = own_settings(settings, number, len(shards))
        write_run_file(shard.run_file, msgspec.structs.replace(frozen, shard=number), own)
