"""A run holds the rows that are in flight and those that were just read, however many there are."""

from __future__ import annotations

import gc
from pathlib import Path

import anyio
import pytest

from batcher.core.model import Row, Ticket
from batcher.core.settings import ADMIT_ROWS
from batcher.engine.run import Run
from tests.engine.harness import Night
from tests.support.figures import Figures

pytestmark = [pytest.mark.virtual, pytest.mark.soak, pytest.mark.timeout(1800)]

IN_FLIGHT = 50
LOOK_EVERY_S = 2.0


@pytest.mark.parametrize("rows", [2_000, 8_000])
async def test_memory_is_bounded_by_rows_in_flight(
    rows: int, tmp_path: Path, figures: Figures
) -> None:
    """At no time more rows are in memory than are in flight and in one chunk of the manifest."""
    night = Night(tmp_path, faults="duration=lognormal:5:0.5,503=0.02,drop_after=0.01", seed=1)
    night.write_urls(rows)
    most: dict[str, int] = {"tickets": 0, "rows": 0}

    async def watch(_: Run) -> None:
        while True:
            await anyio.sleep(LOOK_EVERY_S)
            kinds = [type(each) for each in gc.get_objects()]
            most["tickets"] = max(most["tickets"], kinds.count(Ticket))
            most["rows"] = max(most["rows"], kinds.count(Row))

    assert await night.process(watch, in_flight=IN_FLIGHT) is None
    figures.most(f"memory of {rows:,} rows, {IN_FLIGHT} in flight", most)
    assert len(night.outcomes()) == rows
    assert 0 < most["tickets"] <= ADMIT_ROWS + 2 * IN_FLIGHT
