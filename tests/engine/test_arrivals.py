"""A load test's jobs leave when they are due, whatever becomes of those before them."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import pytest

from batcher.cli.commands.bench.arrivals import Arrivals
from batcher.core.load import Load, steps_of
from tests.engine.harness import Night

pytestmark = pytest.mark.virtual

BEGAN_S = 5.0  # after the run


async def loaded(
    folder: Path, faults: str, rates: list[float], lasts_s: float
) -> tuple[Night, Load]:
    """Return a run whose jobs are due at these rates."""
    night = Night(folder, faults=faults)
    load = Load(night.clock.wall() + BEGAN_S, steps_of(rates, lasts_s, 1_000))
    night.more["starts"] = Arrivals(load, night.clock.wall)
    night.settings |= {"in_flight": load.jobs, "connections": 200}
    night.write_urls(load.jobs)
    return night, load


def starts(night: Night) -> list[float]:
    """Return when each submit that made a job left, in epoch seconds, by place in the load."""
    records = sorted(night.records("succeeded"), key=lambda record: record["line"])
    return [datetime.fromisoformat(r["time"]["submitted"]).timestamp() for r in records]


async def test_slow_answers_move_no_start(tmp_path: Path) -> None:
    """Ten seconds for an answer, twenty for a job: two and then ten leave in each second."""
    night, load = await loaded(tmp_path, "latency=10,duration=20", [2.0, 10.0], 5.0)
    assert await night.process() is None
    due = [load.began + load.due_s(job) for job in range(load.jobs)]
    assert starts(night) == pytest.approx(due, abs=0.02)
    night.assert_no_row_paid_twice()


async def test_what_was_held_up_leaves_late_and_not_never(tmp_path: Path) -> None:
    """A 429 holds those that are due meanwhile; they follow, and those after them are in time."""
    night, load = await loaded(tmp_path, "duration=1,submits_per_minute=20", [1.0], 70.0)
    assert await night.process() is None
    found = starts(night)
    late_s = [at - load.began - load.due_s(job) for job, at in enumerate(found)]
    assert len(found) == load.jobs
    assert min(late_s) > -0.01
    assert max(late_s[:20]) < 0.02
    assert max(late_s) > 10
