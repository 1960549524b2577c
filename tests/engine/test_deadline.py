"""The time of a run: rows are submitted only while their jobs can still be collected."""

from __future__ import annotations

from pathlib import Path

import anyio
import pytest

from batcher.core.model import StopReason
from batcher.core.polling.durations import Durations, Look
from batcher.core.settings import Settings
from batcher.core.stays import STAYS_MIN, Stays
from batcher.engine.deadline import Step, step_of, time_left_s
from tests.engine.harness import Night

pytestmark = pytest.mark.virtual


@pytest.fixture
def night(tmp_path: Path) -> Night:
    """A run against a simulated Removit."""
    return Night(tmp_path)


@pytest.mark.parametrize(
    ("settings", "elapsed_s", "now", "left_s"),
    [
        (Settings(), 1e9, 1e9, None),
        (Settings(max_duration_s=60), 20, 0, 40),
        (Settings(max_duration_s=60), 61, 0, 0),
        (Settings(finish_by=1_000), 0, 990, 10),
        (Settings(finish_by=1_000), 0, 1_001, 0),
        (Settings(max_duration_s=60, finish_by=1_000), 20, 990, 10),
        (Settings(max_duration_s=60, finish_by=1_000), 55, 990, 5),
    ],
)
def test_the_earlier_end_counts(
    settings: Settings, elapsed_s: float, now: float, left_s: float | None
) -> None:
    """Duration and time of day both hold; without either there is no end."""
    assert time_left_s(settings, elapsed_s, now) == left_s


@pytest.mark.parametrize(
    ("left_s", "finish_s", "step"),
    [
        (None, 1e9, Step.GO_ON),
        (61.0, 60.0, Step.GO_ON),
        (60.0, 60.0, Step.SUBMIT_NO_MORE),
        (0.1, 60.0, Step.SUBMIT_NO_MORE),
        (0.0, 0.0, Step.END),
    ],
)
def test_what_the_time_that_is_left_means(
    left_s: float | None, finish_s: float, step: Step
) -> None:
    """Nothing more is submitted once a job would not be collected in time, and then it ends."""
    assert step_of(left_s, finish_s) is step


def test_only_this_process_knows_how_long_its_jobs_stayed() -> None:
    """A job of last night does not make tonight's look as if they took a day."""
    stays = Stays(began=100.0)
    for born in (-86_000.0, 99.0):
        stays.note(born, 200.0)

    assert stays.longest_s == 0.0
    for n in range(STAYS_MIN):
        assert stays.by_s(0.95) is None
        stays.note(150.0, 160.0 + n)

    assert stays.by_s(0.95) == stays.longest_s == 15.0
    assert stays.by_s(0.1) == 10.0


@pytest.mark.parametrize("faults", ["duration=20", "duration=lognormal:15:0.4"])
async def test_what_is_paid_for_is_collected_in_time(night: Night, faults: str) -> None:
    """Far more rows than time: it stops submitting early, and no accepted job is left behind."""
    night = Night(night.folder, faults=faults)
    night.write_urls(500)
    began = night.clock.now()
    stop = await night.process(max_duration_s=180.0, rate="2/s")

    assert stop is not None
    assert stop.reason is StopReason.DEADLINE
    assert night.clock.now() - began <= 180.0
    counts, made = night.counts(), len(night.simulation.ledger.jobs)
    assert counts == {"succeeded": made}
    assert 2 * (180 - 3 * 20) < made < 2 * (180 - 20)  # and the time was used


async def test_the_rest_is_done_the_next_night(night: Night) -> None:
    """Rows that were not submitted stay pending, and another process goes on with them."""
    night = Night(night.folder, faults="duration=5")
    night.write_urls(150)
    await night.process(max_duration_s=60.0, rate="2/s")
    first = night.counts()["succeeded"]
    assert 0 < first < 150
    assert await night.process(rate="5/s") is None

    assert night.counts() == {"succeeded": 150}
    night.assert_no_row_paid_twice()


async def test_jobs_that_nobody_knows_get_two_thirds_of_the_time(night: Night) -> None:
    """Nothing has ended yet: it waits with the rest of the rows, and collects what it paid for."""
    night = Night(night.folder, faults="duration=100")
    night.write_urls(300)
    stop = await night.process(max_duration_s=240.0, rate="1/s", in_flight=1_000)

    assert stop is not None
    assert stop.reason is StopReason.DEADLINE
    made = len(night.simulation.ledger.jobs)
    assert night.counts() == {"succeeded": made}
    assert 40 < made < 100


def learned(duration_s: float, count: int = 60) -> dict[str, Durations]:
    """Return what earlier runs learned of Removit's jobs: they take so long, a tenth up or down."""
    looks = [(Look(0.0, 0.9 * duration_s, False), Look(0.9 * duration_s, 1.1 * duration_s, True))]
    return {"clipping png": Durations(look for pair in looks * count for look in pair)}


async def test_a_time_shorter_than_one_job_submits_nothing(night: Night) -> None:
    """It is known from earlier runs that no job would be collected: none is paid for."""
    night = Night(night.folder, faults="duration=100", more={"past": learned(100.0)})
    night.write_urls(50)
    stop = await night.process(max_duration_s=90.0)

    assert stop is not None
    assert stop.reason is StopReason.DEADLINE
    assert (night.simulation.ledger.jobs, night.counts()) == ({}, {})


@pytest.mark.parametrize("seed", [1, 2])
@pytest.mark.parametrize("status_rate", ["none", "45/m"])
async def test_known_jobs_are_all_collected_in_time(
    night: Night, seed: int, status_rate: str
) -> None:
    """Jobs as they were learned: not one is paid for and left, also where reads are scarce."""
    faults = "duration=lognormal:40:0.1"
    night = Night(night.folder, faults=faults, seed=seed, more={"past": learned(40.0)})
    night.write_urls(500)
    rate = None if status_rate == "none" else status_rate
    await night.process(max_duration_s=300.0, rate="0.5/s", status_rate=rate)

    made = len(night.simulation.ledger.jobs)
    assert night.counts() == {"succeeded": made}
    assert 90 < made < 130


async def test_a_time_that_is_up_submits_nothing(night: Night) -> None:
    """A deadline in the past: no job is made, no row ends, and the next process goes on."""
    night.write_urls(20)
    stop = await night.process(finish_by=night.clock.wall() - 1.0)

    assert stop is not None
    assert stop.reason is StopReason.DEADLINE
    assert (night.simulation.ledger.jobs, night.counts()) == ({}, {})
    assert await night.process() is None
    assert night.counts() == {"succeeded": 20}


async def test_a_time_that_is_up_keeps_the_jobs_of_the_night_before(night: Night) -> None:
    """What an earlier process was accepted stays accepted, and is collected later."""
    night = Night(night.folder, faults="duration=50")
    night.write_urls(20)
    await night.process(max_duration_s=20.0)
    made = len(night.simulation.ledger.jobs)
    await night.process(finish_by=night.clock.wall())

    assert night.counts() == {}
    assert await night.process() is None
    assert night.counts() == {"succeeded": 20}
    assert len(night.simulation.ledger.jobs) == 20 >= made
    night.assert_no_row_paid_twice()


async def test_a_finished_run_is_not_stopped_by_a_short_time(night: Night) -> None:
    """There is nothing to submit: however little time is left, the run has come to its end."""
    night = Night(night.folder, faults="duration=1")
    night.write_urls(5)
    assert await night.process() is None
    assert await night.process(max_duration_s=0.5) is None
    night.write_urls(5)
    assert await night.process(max_duration_s=3.0) is None


async def test_the_clock_that_is_set_counts(night: Night) -> None:
    """A machine that slept, or whose clock was set: the wall clock is read again and again."""
    night = Night(night.folder, faults="duration=2")
    night.write_urls(100)
    began, by = night.clock.now(), night.clock.wall() + 3_600.0

    async def sleep_through(_run: object) -> None:
        await anyio.sleep(30.0)
        night.clock._start += 3_600.0

    stop = await night.process(sleep_through, finish_by=by, rate="1/s")

    assert stop is not None
    assert stop.reason is StopReason.DEADLINE
    assert night.clock.now() - began < 40.0
    assert 20 < len(night.simulation.ledger.jobs) < 40
