"""What answers say of limits: they lower a lane's rate, hold it for a window, and never more."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from random import Random
from types import SimpleNamespace
from typing import Any, cast

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st

from batcher.adapters.pacing import Pacer
from batcher.core.exchange import Request, Response
from batcher.core.model import StopReason
from batcher.core.pacing.gate import Gate
from batcher.core.pacing.rates import DAY_S, Rate, WindowSeen, parse_rate
from batcher.engine.lanes.headroom import MEMORY_WINDOWS, PERIOD_S_MAX, Headroom
from batcher.engine.notices import Notices
from tests.engine.harness import FLUX, Night, prompt
from tests.support.logs import Events

pytestmark = pytest.mark.virtual


@dataclass
class Moved:
    """A clock that a test moves; the wall clock is ahead of it."""

    at: float = 1_000.0

    def now(self) -> float:
        """Return the loop's time."""
        return self.at

    def wall(self) -> float:
        """Return epoch seconds."""
        return self.at + 1_700_000_000.0


@dataclass
class Recorded(Pacer):
    """A pacer that notes its changes."""

    rates: list[str] = field(default_factory=list)

    def change(self, rate: Rate | None) -> None:
        """Note it."""
        self.rates.append(str(rate))


class Lane:
    """A headroom with everything around it in reach."""

    def __init__(self, own: str | None = "60/m") -> None:
        self.clock, self.log, self.gate, self.pacer = Moved(), Events(), Gate(Random(1)), Recorded()
        self.notices = Notices(Events())
        context = cast(
            "Any",
            SimpleNamespace(clock=self.clock, log=self.log, rng=Random(1), notices=self.notices),
        )
        rate = None if own is None else parse_rate(own)
        self.room = Headroom("submit", rate, self.pacer, self.gate, context)

    def tell(self, **window: Any) -> None:
        """Let an answer tell of one window."""
        self.room.note([WindowSeen(**{"period_s": 60.0, **window})])

    def wait_s(self) -> float:
        """Return for how long the gate is held now."""
        return self.gate.wait_s(self.clock.at)


# RATES


def test_a_lower_limit_lowers_the_lane_and_is_told_once() -> None:
    """The account's true limit counts; the same answer a hundred times is one change."""
    lane = Lane("60/m")
    for _ in range(100):
        lane.tell(count=5)

    assert str(lane.room.rate) == "5/m"
    assert lane.pacer.rates == ["5/m"]
    assert lane.log.seen == [
        (
            "info",
            "limit.changed",
            {
                "lane": "submit",
                "rate": "5/m",
                "before": "60/m",
                "reason": "an answer tells of 5 requests in 60 s",
            },
        )
    ]


def test_a_lane_that_is_slowed_far_down_is_told_of_once() -> None:
    """`1;w=3600` slows a night for hours: a person hears of it, not only the log."""
    lane = Lane("300/m")
    lane.tell(period_s=3_600.0, count=1)
    lane.tell(period_s=3_600.0, count=1)

    told = [notice for notice in lane.notices.told if notice.urgent]
    assert len(told) == 1
    assert "1/h" in told[0].text
    assert "300/m" in told[0].text


@pytest.mark.parametrize(("own", "count", "is_told"), [("60/m", 40, False), (None, 30, False)])
def test_a_lane_that_is_hardly_slowed_is_not_told_of(
    own: str | None, count: int, is_told: bool
) -> None:
    """What a person would not notice is in the log."""
    lane = Lane(own)
    lane.tell(count=count)

    assert bool(lane.notices.told) is is_told


def test_a_higher_limit_changes_nothing() -> None:
    """Headers can only lower: what the user or the provider's page says is the most."""
    lane = Lane("60/m")
    lane.tell(count=300)

    assert str(lane.room.rate) == "60/m"
    assert lane.pacer.rates == []
    assert lane.log.seen == []


def test_a_lane_without_a_rate_takes_the_one_that_it_is_told() -> None:
    """Where nothing is published the answers are all there is."""
    lane = Lane(None)
    lane.tell(count=300)

    assert lane.pacer.rates == ["300/m"]


def test_rows_of_several_tasks_go_at_the_slowest_ones_rate() -> None:
    """Answers of two tasks come in any order: the lane does not follow the last one."""
    lane = Lane("300/m")
    for count in [300, 60, 2, 60, 300, 2, 300] * 20:
        lane.tell(count=count)
        lane.clock.at += 20.0

    assert lane.pacer.rates == ["60/m", "2/m"]


def test_a_lower_limit_that_nobody_repeats_is_forgotten() -> None:
    """After a better plan was bought in the middle of a run it goes faster again, up to its own."""
    lane = Lane("60/m")
    lane.tell(count=5)
    lane.clock.at += MEMORY_WINDOWS * 60.0 - 1
    lane.tell(count=300)
    assert str(lane.room.rate) == "5/m"

    lane.clock.at += 2
    lane.tell(count=300)
    assert str(lane.room.rate) == "60/m"


def test_a_days_count_is_not_spread() -> None:
    """A hundred a day is no request in fourteen minutes: the end of it is told by what is left."""
    lane = Lane("60/m")
    lane.tell(period_s=DAY_S, count=100, left=50)

    assert lane.pacer.rates == []
    assert lane.wait_s() == 0


# WINDOWS


def test_an_empty_window_holds_the_lane_until_it_opens() -> None:
    """Nothing left is no failure: no probing, no outage, and on at once when it opens."""
    lane = Lane()
    lane.tell(left=0, opens_at=lane.clock.wall() + 20.0)

    assert 20.0 <= lane.wait_s() <= 22.0
    assert not lane.gate.is_probing
    assert lane.gate.outage_s(lane.clock.at) == 0
    lane.clock.at += 22.0
    assert lane.wait_s() == 0
    assert lane.log.names() == ["limit.reached"]


def test_what_is_left_does_not_hold() -> None:
    """Only nothing is nothing."""
    lane = Lane()
    lane.tell(left=1, opens_at=lane.clock.wall() + 20.0)
    lane.tell(left=0)
    lane.tell(left=0, opens_at=lane.clock.wall() - 5.0)

    assert lane.wait_s() == 0


def test_an_older_answer_does_not_open_a_window() -> None:
    """Answers come out of order: one from before the end of it says nothing new."""
    lane = Lane()
    opens_at = lane.clock.wall() + 20.0
    lane.tell(left=0, opens_at=opens_at)
    held = lane.wait_s()
    lane.tell(left=3, opens_at=opens_at)
    for _ in range(50):
        lane.tell(left=0, opens_at=opens_at)

    assert lane.wait_s() == held
    assert lane.log.names() == ["limit.reached"]


def test_a_skewed_clock_costs_no_more_than_a_window() -> None:
    """An API whose clock is an hour ahead of ours holds a minute's window for a minute."""
    lane = Lane()
    lane.tell(left=0, opens_at=lane.clock.wall() + 3_600.0)

    assert 60.0 <= lane.wait_s() <= 66.0


numbers = st.floats() | st.integers(-(10**18), 10**18) | st.none()


@given(
    period_s=st.floats(),
    count=st.integers(-(10**12), 10**12) | st.none(),
    left=st.integers(-5, 5) | st.none(),
    opens_at=numbers,
)
def test_no_header_stops_a_lane(
    period_s: float, count: int | None, left: int | None, opens_at: float | None
) -> None:
    """Whatever is told: the rate stays above nothing, and no hold is longer than its window."""
    lane = Lane()
    lane.tell(period_s=period_s, count=count, left=left, opens_at=opens_at)

    assert lane.room.rate is not None
    assert lane.room.rate.interval_s <= 3_600.0
    assert 0.0 <= lane.wait_s() <= 1.1 * min(max(period_s, 1.0), PERIOD_S_MAX) + 1


# WHOLE RUNS


def deapi(folder: Path, faults: str, rows: int, **settings: Any) -> Night:
    """Return a night with an API whose answers tell its limits."""
    night = Night(folder, provider="deapi", params=FLUX, faults=faults, settings=settings)
    night.write_rows([prompt(n) for n in range(rows)])
    return night


async def test_a_rate_flag_above_the_accounts_limit_meets_hardly_a_429(tmp_path: Path) -> None:
    """`--rate 600/m` on an account of 3 a minute: the first answers set the pace."""
    night = deapi(tmp_path, "tier=basic,latency=0.2", 20, rate="600/m", status_rate="600/m")
    begin = anyio.current_time()
    await night.process()

    assert night.counts() == {"succeeded": 20}
    assert anyio.current_time() - begin <= 20 / 3 * 60 * 1.25
    assert night.simulation.ledger.tally["submit 429"] <= 6
    starts = list(night.simulation.ledger.submits_at)[12:]
    assert min(b - a for a, b in pairwise(starts)) >= 15


async def test_a_day_that_others_used_up_ends_the_run_with_the_time(tmp_path: Path) -> None:
    """The API says that nothing is left of the day, whatever we count ourselves."""
    night = deapi(tmp_path, "", 30)
    inner, opens_at = night.transport, night.clock.wall() + 30_000.0

    class UsedUp:
        async def send(self, request: Request, *, timeout_s: float) -> Response:
            answer = await inner.send(request, timeout_s=timeout_s)
            if request.method != "POST":
                return answer

            day = {"limit": "100", "remaining": "0", "reset": str(int(opens_at))}
            told = {f"x-ratelimit-daily-{name}": value for name, value in day.items()}
            return Response(
                answer.status, answer.body, {**answer.headers, **told}, answer.received_at
            )

    night.transport = UsedUp()
    stop = await night.process(connections=2, rate="60/m")

    assert stop is not None
    assert stop.reason is StopReason.THROTTLED
    assert "the day's limit" in stop.message
    assert stop.resume_at is not None
    assert 0 <= stop.resume_at - opens_at <= 3_000 + 1
    assert "throttled" not in night.counters()
    assert night.counts() == {"succeeded": night.simulation.ledger.counts()["jobs"]}
    assert 0 < night.simulation.ledger.counts()["jobs"] <= 2


async def test_status_reads_keep_within_what_their_answers_tell(tmp_path: Path) -> None:
    """50 a minute on a small account: the reads slow down, and hardly one is refused."""
    night = deapi(tmp_path, "tier=basic,duration=40", 3, rate="600/m", status_rate="6000/m")
    night.settings["connections"] = 8
    await night.process()

    reads = list(night.simulation.ledger.reads_at)
    assert max(sum(at <= read < at + 60 for read in reads) for at in reads) <= 51
    assert night.counts() == {"succeeded": 3}
