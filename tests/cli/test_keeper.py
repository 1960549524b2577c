"""What a run that goes on writes of itself, for whoever looks from outside."""

from __future__ import annotations

from pathlib import Path
from typing import cast

import msgspec
import pytest

from batcher.cli.driving.keeping import Keeper
from batcher.core.stats import Snapshot
from batcher.engine.run import Run
from batcher.report.summary import RunState, SummaryFile, read_summary


class Held:
    """A run that is held back."""

    def __init__(self, binding: str) -> None:
        self._binding = binding

    def snapshot(self) -> Snapshot:
        """Return how it stands."""
        return Snapshot(
            at=1_000.0, elapsed_s=1.0, counters={"jobs_claimed": 2}, rows_total=9, in_flight=0,
            in_flight_max=1, lanes=(), binding=self._binding,
        )  # fmt: skip


@pytest.mark.parametrize(
    ("binding", "state", "waiting"),
    [
        ("submit limit (1/m)", "running", "submit limit (1/m)"),
        ("", "running", None),
        ("submit limit (1/m)", "stopped", None),
        ("submit limit (1/m)", "finished", None),
    ],
)
def test_what_holds_it_back_is_written_while_it_runs(
    binding: str, state: RunState, waiting: str | None, tmp_path: Path
) -> None:
    """In `summary.json`, with the counts; a run that has ended waits for nothing."""
    run = cast("Run", Held(binding))  # it is asked for snapshots alone
    written = Keeper(run, SummaryFile(tmp_path)).end(state)

    assert (written.waiting, written.jobs_claimed) == (waiting, 2)
    found = read_summary(tmp_path)
    assert found is not None
    assert msgspec.to_builtins(found) == msgspec.to_builtins(written)
