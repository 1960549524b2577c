"""What a worker is told at its start, in an argument that everybody can read: no secret."""

from __future__ import annotations

import msgspec


class Orders(msgspec.Struct, frozen=True, kw_only=True):
    """One shard of a run, and what of the command is not in its directory."""

    run: str  # the directory of the whole run
    shard: int
    elapsed_s: float  # of the run's time (`--max-duration`), before this worker began
    api_key_file: str | None = None
    log_level: str = "info"
