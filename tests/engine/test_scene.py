"""A run on virtual time says what holds it back, and for how much of its time."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from batcher.core.binding import By, Held
from batcher.core.stats import Snapshot
from batcher.engine.run import Run
from tests.engine.harness import Night

pytestmark = pytest.mark.virtual


async def watched(folder: Path, faults: str, rows: int, **settings: Any) -> list[Snapshot]:
    """Run so many rows and return all snapshots."""
    night = Night(folder, faults=faults)
    night.write_urls(rows)
    shots: list[Snapshot] = []

    async def watch(run: Run) -> None:
        run.watch(shots.append)

    await night.process(watch, rows_expected=rows, **settings)
    assert night.counts() == {"succeeded": rows}
    return shots


def share_of(held: tuple[Held, ...], by: By) -> float:
    """Return the share of the time that one thing held the run back."""
    return sum(one.seconds for one in held if one.by is by) / sum(one.seconds for one in held)


@pytest.mark.parametrize(
    ("faults", "settings", "by", "limit"),
    [
        ("duration=2", {"rate": "2/s"}, By.SUBMIT, "2/s"),
        ("duration=20", {"rate": "20/s", "in_flight": 10}, By.IN_FLIGHT, "10"),
        (
            "duration=2",
            {"rate": "20/s", "status_rate": "3/s", "in_flight": 10},
            By.STATUS,
            "3/s",
        ),
        ("duration=60", {"rate": "100/s"}, By.SERVICE, ""),
    ],
)
async def test_the_limit_that_binds_takes_most_of_the_time(
    tmp_path: Path, faults: str, settings: dict[str, Any], by: By, limit: str
) -> None:
    """Submits, places, reads, or the service: each is found by its numbers alone."""
    shots = await watched(tmp_path, faults, 120, **settings)
    held = shots[-1].held

    assert held[0].by is by
    assert held[0].limit == limit
    assert share_of(held, by) > 0.7


async def test_the_line_does_not_flicker(tmp_path: Path) -> None:
    """A run in which one thing binds shows it from the first seconds on, and nothing else."""
    shots = await watched(tmp_path, "duration=lognormal:3:0.5", 120, rate="2/s")
    texts = [shot.binding for shot in shots[5:] if shot.count("submits") < 115]

    assert set(texts) == {"submit limit (2/s)"}


async def test_the_time_that_is_left_lies_in_its_span(tmp_path: Path) -> None:
    """From a fifth of the rows on, what really was left lies between P10 and P90 mostly."""
    shots = await watched(tmp_path, "duration=lognormal:3:0.5", 160, rate="2/s")
    end = shots[-1].elapsed_s
    spans = [
        (shot.eta_low_s, end - shot.elapsed_s, shot.eta_high_s)
        for shot in shots
        if shot.ended >= 32 and shot.ended < 150
    ]
    inside = [low <= left <= high for low, left, high in spans if low and high]

    assert len(inside) > 20
    assert sum(inside) >= 0.7 * len(inside)
