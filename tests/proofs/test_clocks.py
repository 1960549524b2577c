"""Clocks that jump in the middle of a run: nothing is early, late for ever, or paid twice.

A whole run on virtual time whose wall clock is set a day ahead, a day back, to and fro, or stands
wrong by an hour at each turn of summer time; and a machine that sleeps for hours with requests
open. What the wall clock has no say in must come out as without the jump, to the millisecond.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any, cast

import anyio
import pytest

from batcher.cli.flags.values import instant
from batcher.core.errors import Lost
from batcher.core.exchange import Request, Response, Transport
from batcher.core.model import StopReason
from batcher.engine.clock import LoopClock
from batcher.engine.run import Run
from batcher.simulator import SimulatedTransport
from tests.engine.harness import AUTH, FLUX, Night, prompt
from tests.support.clock import START_S, VirtualClockLoop, run_virtual
from tests.support.figures import Figures

DAY_S = 86_400.0
HOUR_S = 3_600.0
ROWS = 40
ASLEEP_AT_S = 4.0
ASLEEP_S = 8 * HOUR_S
FAULTS = (
    "duration=lognormal:60:0.8,latency=lognormal:0.3:1,lag=2,missing_s=1,429=0.05,retry_after_s=20,"
    "503=0.08,drop_after=0.02,status_error=0.05,status_throttle=0.01,hollow=0.1,rejected=0.05"
)

Jumps = Callable[[float], float]  # from seconds of a run to the error of its wall clock

JUMPS: dict[str, Jumps] = {
    "ahead-by-a-day": lambda s: DAY_S if s > 20 else 0.0,
    "back-by-a-day": lambda s: -DAY_S if s > 20 else 0.0,
    "back-to-1970": lambda s: -1.6e9 if s > 20 else 0.0,
    "an-hour-to-and-fro": lambda s: HOUR_S * (-1) ** int(s / 7),
    "wrong-and-then-set": lambda s: 0.0 if s > 20 else -DAY_S,
    "creeping": lambda s: s / 2,
}


class JumpingClock(LoopClock):
    """A wall clock with an error; timers are the loop's, as ever."""

    def __init__(self, error: Jumps) -> None:
        super().__init__()
        self._error = error

    def wall(self) -> float:
        """Return the wrong time."""
        return super().wall() + self._error(self.now() - START_S)


class Noting:
    """A transport that notes when each request starts, on the loop's time.

    What is open at `breaks_at` is lost: no connection outlives hours of sleep.
    """

    def __init__(self, inner: Transport, breaks_at: float = math.inf) -> None:
        self._inner = inner
        self._breaks_at = breaks_at
        self.started: list[tuple[float, str]] = []
        self.broken = 0  # submits

    async def send(self, request: Request, *, timeout_s: float) -> Response:
        """Note it and carry it."""
        now = anyio.current_time()
        self.started.append((round(now, 3), f"{request.method} {request.path}"))
        left_s = self._breaks_at - now if now < self._breaks_at else math.inf
        with anyio.move_on_after(left_s):
            return await self._inner.send(request, timeout_s=timeout_s)

        self.broken += request.method == "POST"
        raise Lost("connection reset by peer")

    def submits_at(self) -> list[float]:
        """Return when submits started."""
        return [at for at, what in self.started if what.startswith("POST")]


def night_with(clock: LoopClock, folder: Path, **more: Any) -> tuple[Night, Noting]:
    """Return a run that looks at *clock*; its API looks at a right one."""
    folder.mkdir(exist_ok=True)
    night = Night(folder, **more)
    api = SimulatedTransport(night.simulation, AUTH[night.provider], clock=LoopClock().wall)
    noting = Noting(api)
    night.clock, night.transport = clock, noting
    return night, noting


async def whole_run(
    folder: Path, jumps: Jumps, **settings: Any
) -> tuple[Night, list[tuple[float, str]]]:
    """Bring a run to its end under a wrong clock."""
    night, noting = night_with(JumpingClock(jumps), folder, faults=FAULTS, seed=3)
    night.write_urls(ROWS)
    assert await night.process(rate="5/s", **settings) is None
    return night, noting.started


def busiest(times: list[float], window_s: float) -> int:
    """Return the most requests that started within any such window."""
    most = first = 0
    for last, at in enumerate(times):
        while times[first] <= at - window_s:
            first += 1

        most = max(most, last - first + 1)

    return most


def test_a_jump_changes_nothing_that_is_sent(tmp_path: Path, figures: Figures) -> None:
    """Each request starts when it would have started, and each row ends as it would have."""
    calm, expected = run_virtual(lambda: whole_run(tmp_path / "calm", lambda _: 0.0))
    for name, jumps in JUMPS.items():
        night, started = run_virtual(partial(whole_run, tmp_path / name, jumps))
        moved = sum(one != other for one, other in zip(started, expected, strict=False))
        moved += abs(len(started) - len(expected))
        twice = night.simulation.ledger.duplicates()
        figures.add(
            "clock jumps",
            {"runs": 1, "requests": len(started), "moved": moved, "paid twice": len(twice)},
        )
        assert started == expected, name
        assert night.outcomes() == calm.outcomes()
        assert not twice
        night.assert_every_paid_job_is_known()


@pytest.mark.soak  # each virtual day is 86,400 looks at the time
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("name", ["ahead-by-a-day", "back-by-a-day"])
def test_a_limit_of_a_day_is_one_period_off_at_most(name: str, tmp_path: Path) -> None:
    """In no 24 hours more than two days' worth is sent, and a clock set back costs one day."""
    rows, limit = 30, 20

    async def limited() -> tuple[Night, Noting]:
        night, noting = night_with(JumpingClock(JUMPS[name]), tmp_path, seed=3)
        night.write_urls(rows)
        assert await night.process(rate=f"5/s,{limit}/d", max_wait_s=1e9) is None
        return night, noting

    night, noting = run_virtual(limited)
    submits = noting.submits_at()
    assert len(submits) == rows
    assert busiest(submits, DAY_S) <= 2 * limit
    assert submits[-1] - START_S < 2 * DAY_S + 60
    assert night.counts() == {"succeeded": rows}


@pytest.mark.parametrize("name", ["ahead-by-a-day", "back-to-1970", "an-hour-to-and-fro"])
def test_limits_that_the_api_tells_by_the_clock(name: str, tmp_path: Path) -> None:
    """Headers name the second at which a window opens: a wrong clock costs no more than windows."""
    rows, a_minute = 30, 10

    async def limited() -> tuple[Night, Noting]:
        night, noting = night_with(
            JumpingClock(JUMPS[name]),
            tmp_path,
            provider="deapi",
            params=FLUX,
            faults=f"duration=5,submits_per_minute={a_minute}",
            seed=3,
        )
        night.write_rows([prompt(n) for n in range(rows)])
        assert await night.process(rate="1000/s", max_wait_s=1e9) is None
        return night, noting

    night, noting = run_virtual(limited)
    assert night.counts() == {"succeeded": rows}
    assert noting.submits_at()[-1] - START_S < 2 * (rows / a_minute + 1) * 60
    night.assert_no_row_paid_twice()


# --- A machine that sleeps -----------------------------------------------------------------------


async def fall_asleep(_: Run) -> None:
    """Stop the process for hours, with requests open: all its timers are due when it wakes."""
    await anyio.sleep(ASLEEP_AT_S)
    loop = cast("VirtualClockLoop", asyncio.get_running_loop())
    loop._virtual.now_s += ASLEEP_S


def judge_sleep(night: Night, submits: list[float], broken: int, figures: Figures) -> None:
    """No paid job is given up or forgotten, nothing is paid twice, and waking is no burst."""
    burst, twice = busiest(submits, 1.0), night.simulation.ledger.duplicates()
    counts = night.counts()
    figures.add(
        "machines that slept",
        {
            "runs": 1,
            "open submits broken": broken,
            "paid twice": len(twice),
            "paid jobs given up": counts.get("exhausted", 0),
        },
    )
    figures.most("machines that slept", {"submits in a second, of 5,": burst})
    assert burst <= 6
    assert not twice
    assert counts.keys() <= {"succeeded", "failed", "in_doubt"}
    assert counts.get("in_doubt", 0) <= broken + night.simulation.ledger.tally["submit drop_after"]
    night.assert_every_paid_job_is_known()


@pytest.mark.virtual
async def test_a_process_that_was_stopped_goes_on(tmp_path: Path, figures: Figures) -> None:
    """The loop's own clock jumps by hours: jobs past their time are looked at, not given up."""
    night, noting = night_with(LoopClock(), tmp_path, faults=FAULTS, seed=3)
    night.write_urls(ROWS)
    assert await night.process(fall_asleep, rate="5/s", max_outage_s=1e6) is None
    judge_sleep(night, noting.submits_at(), 0, figures)


@pytest.mark.virtual
async def test_a_machine_that_slept_goes_on(tmp_path: Path, figures: Figures) -> None:
    """Hours pass for all the world but our timers (as on Linux), and every connection is gone."""

    def asleep_s(at_s: float) -> float:
        return ASLEEP_S if at_s > ASLEEP_AT_S else 0.0

    clock = JumpingClock(asleep_s)
    night = Night(tmp_path, faults=FAULTS, seed=3)
    api = SimulatedTransport(night.simulation, AUTH["removit"], clock=clock.wall)
    noting = Noting(api, breaks_at=anyio.current_time() + ASLEEP_AT_S)
    night.clock, night.transport = clock, noting
    night.write_urls(ROWS)
    assert await night.process(rate="5/s", max_outage_s=1e6) is None
    assert noting.broken
    judge_sleep(night, noting.submits_at(), noting.broken, figures)


# --- `--finish-by` -------------------------------------------------------------------------------


@pytest.mark.virtual
@pytest.mark.parametrize("error_s", [600.0, -600.0])
async def test_finish_by_is_what_the_clock_on_the_wall_says(error_s: float, tmp_path: Path) -> None:
    """Set ahead it comes sooner, set back later; never before its time by the clock, nor missed."""
    clock = JumpingClock(lambda s: error_s if s > 30 else 0.0)
    night, _ = night_with(clock, tmp_path, faults="duration=lognormal:20:0.5", seed=3)
    night.write_urls(200)
    at = clock.wall() + 300.0
    stop = await night.process(rate="5/m", finish_by=at)

    assert stop is not None
    assert stop.reason is StopReason.DEADLINE
    late_s = clock.wall() - at
    assert -120.0 < late_s < max(error_s, 0.0) + 60.0
    assert night.counters()["pending"] + len(night.outcomes()) + night.counters()["accepted"] == 200
    night.assert_no_row_paid_twice()


NIGHTS = (  # Europe/Paris: summer time begins and ends in the small hours of these Sundays
    ("2026-03-28T22:00:00+01:00", "06:00", "2026-03-29T06:00:00+02:00"),
    ("2026-03-29T01:30:00+01:00", "06:00", "2026-03-29T06:00:00+02:00"),
    ("2026-03-29T03:30:00+02:00", "02:30", "2026-03-30T02:30:00+02:00"),
    ("2026-03-28T22:00:00+01:00", "22:00", "2026-03-29T22:00:00+02:00"),
    ("2026-10-24T22:00:00+02:00", "06:00", "2026-10-25T06:00:00+01:00"),
    ("2026-10-25T02:45:00+01:00", "06:00", "2026-10-25T06:00:00+01:00"),
    ("2026-10-24T22:00:00+02:00", "02:30", "2026-10-25T02:30:00+02:00"),
    ("2026-10-25T02:15:00+01:00", "02:30", "2026-10-25T02:30:00+01:00"),
    ("2026-10-24T22:00:00+02:00", "22:00", "2026-10-25T22:00:00+01:00"),
)


@pytest.mark.parametrize(("now", "text", "expected"), NIGHTS)
def test_a_time_of_day_is_that_of_the_wall_clock(
    now: str, text: str, expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In nights of 23 and 25 hours too, `--finish-by 06:00` is when it is six here."""
    monkeypatch.setenv("TZ", "Europe/Paris")
    time.tzset()
    try:
        at = datetime.fromisoformat(now).timestamp()
        assert instant(text, lambda: at) == datetime.fromisoformat(expected).timestamp()
    finally:
        monkeypatch.undo()
        time.tzset()
