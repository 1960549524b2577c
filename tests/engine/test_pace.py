"""Throttles, outages and days as a lane meets them: who waits, how it comes back, what it costs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import anyio
import pytest

from batcher.core.errors import NotSent
from batcher.core.exchange import Request, Response, Transport
from batcher.core.model import StopReason
from batcher.core.pacing.quota import RESERVE, RetryQuota
from batcher.core.pacing.rates import DAY_S, parse_rate
from batcher.engine.lanes.caps import DailyCaps
from batcher.engine.lanes.resets import SKEW_S, Resets
from batcher.engine.run import Run
from tests.engine.bed import Bed, Server, sliding, storm, worst
from tests.engine.harness import FLUX, Night, Scripted, prompt
from tests.support.pictures import png

pytestmark = pytest.mark.virtual

RATE = 40


def stormy(told_s: float | None, begin: float = 1_020.0) -> Bed:
    """Return a lane at 40/s before an API that refuses everything for half a minute."""
    calm: Server = lambda _now: None  # noqa: E731  # a server is a function
    return Bed(parse_rate(f"{RATE}/s"), storm(begin, begin + 30.0, told_s, calm))


# STORMS


@pytest.mark.parametrize("told_s", [30.0, 1.0, 0.0, None])
async def test_a_storm_costs_few_refusals_and_the_pace_comes_back(told_s: float | None) -> None:
    """Half a minute of 429: those in flight, fewer than ten more, and the pace is soon back."""
    bed = stormy(told_s)
    await bed.serve(68.0)

    in_flight = [at for at in bed.refused if at < 1_020.0 + 2 * bed.latency_s]
    assert len(in_flight) <= RATE * 2 * bed.latency_s
    assert len(bed.refused) - len(in_flight) < 10
    if told_s is not None:
        back = [at for at in bed.taken if 1_060.0 <= at < 1_065.0]
        assert len(back) >= 0.9 * RATE * 5 / 1.011


async def test_nothing_starts_before_the_time_that_a_429_names() -> None:
    """Everybody is held, and afterwards one tries, then a tenth of the pace, then all of it."""
    bed = stormy(30.0)
    await bed.serve(60.0)

    first = min(bed.refused)
    held = [at for at in bed.arrivals if first + bed.latency_s < at < first + bed.latency_s + 30.0]
    assert held == []
    after = [at for at in bed.arrivals if at >= first + 30.0]
    probe = after[0]
    assert [at for at in after if probe < at < probe + bed.latency_s] == []
    second = [at for at in after if probe + bed.latency_s <= at < probe + bed.latency_s + 1.0]
    assert 2 <= len(second) <= 0.45 * RATE
    assert worst(after, 1.0) <= RATE


async def test_a_limit_that_counts_with_us_is_met_without_a_refusal() -> None:
    """40 in any second, enforced: a lane that is told 40/s uses it and is never refused."""
    bed = Bed(parse_rate("40/s"), sliding(40, 1.0))
    await bed.serve(60.0)

    assert bed.refused == []
    assert len(bed.taken) >= 0.97 * 60 * 40


# OUTAGES


class Out:
    """A transport to an API that cannot be reached for a while; it notes who tries."""

    def __init__(self, night: Night, begin_s: float, end_s: float) -> None:
        self._inner, self._clock = night.transport, night.clock
        self._from, self._to = begin_s, end_s
        self.sent: list[tuple[float, str]] = []

    async def send(self, request: Request, *, timeout_s: float) -> Response:
        """Carry a request, or fail."""
        now = self._clock.now()
        if self._from <= now < self._to:
            self.sent.append((now, f"{request.method} {request.path.partition('?')[0]}"))
            await anyio.sleep(0.05)
            raise NotSent("connection refused")

        return await self._inner.send(request, timeout_s=timeout_s)


async def test_in_an_outage_the_balance_is_asked_before_a_row_may_try(tmp_path: Path) -> None:
    """Where a question costs nothing no row is spent on finding out that the API is still out."""
    faults = "latency=0.1"
    night = Night(tmp_path, provider="deapi", params=FLUX, faults=faults)
    night.write_rows([prompt(n) for n in range(150)])
    out = Out(night, anyio.current_time() + 5.0, anyio.current_time() + 305.0)
    night.transport = out
    await night.process(rate="10/s")

    assert night.counts() == {"succeeded": 150}
    tried = [at for at, what in out.sent if what.startswith("POST")]
    asked = [at for at, what in out.sent if what.endswith("/balance")]
    closed = tried[0] + 1.0
    assert len(tried) <= 8 + 16
    assert [at for at in tried if at > closed] == []
    assert 4 <= len(asked) <= 20
    most = max(fields["attempts"]["submit"] for fields in night.records("succeeded"))
    assert most <= 2


async def test_an_outage_of_a_lane_that_is_hardly_used_ends_the_run(tmp_path: Path) -> None:
    """One job, looked at once in five minutes: nobody sees that lane closed, and the run ends."""
    night = Night(tmp_path, faults="stuck=1", settings={"job_timeout_s": 86_400.0})
    night.write_urls(1)
    begin = anyio.current_time()
    out = Out(night, begin + 60.0, begin + 10**6)
    night.transport = out

    async def look_seldom(run: Run) -> None:
        lane = run._lanes.status  # the test's way to a look in five minutes
        add = lane.add
        seldom: Any = lane
        seldom.add = lambda item, due: add(item, max(due, anyio.current_time() + 300.0))
        seldom.hasten = lambda _item, _due: True

    stop = await night.process(look_seldom, max_outage_s=900.0)

    assert stop is not None
    assert stop.reason is StopReason.UNAVAILABLE
    assert "every status request has failed" in stop.message
    assert anyio.current_time() - begin <= 60.0 + 900.0 + 3 * 300.0


async def test_retries_are_few_beside_first_tries_where_all_fail() -> None:
    """Not one success, and the gate never closes: a tenth over the first tries, and a trickle."""
    bed = Bed(parse_rate("20/s"), lambda _now: None, latency_s=0.05)
    bed.gate.quota = RetryQuota(every_s=0.5)
    sent: dict[object, int] = {}
    bed.lane.starts.is_retry = sent.__contains__

    async def fail(item: object) -> None:
        sent[item] = sent.get(item, 0) + 1
        await anyio.sleep(bed.latency_s)
        bed.gate.answered(item)  # such as an answer that is no outage, among many that are
        bed.lane.add(item, bed.clock.now() + 1.0)

    for _ in range(2_000):
        bed.lane.add(object(), 0.0)

    with anyio.move_on_after(40.0):
        await bed.lane.run(fail)

    assert sum(sent.values()) <= 1.1 * len(sent) + RESERVE + 1
    assert sum(sent.values()) >= 0.97 * 40 * 20
    bed.gate.quota.tokens = 0.0
    for item in bed.lane.drain():
        if item in sent:
            bed.lane.add(item, 0.0)

    before = sum(sent.values())
    with anyio.move_on_after(50.0):
        await bed.lane.run(fail)  # nothing but retries is left: a trickle, and nobody is forgotten

    assert 95 <= sum(sent.values()) - before <= 105


# RETRY-AFTER


@pytest.mark.parametrize("status", [500, 502, 400])
async def test_any_error_that_says_how_long_holds_everybody(tmp_path: Path, status: int) -> None:
    """Retry-After counts under every error, not only under a 429."""
    night = Night(tmp_path, faults="latency=0.1")
    night.write_urls(40)
    answer = Response(status, b"{}", {"retry-after": "50"}, night.clock.wall())
    night.transport = Scripted([answer], night.transport)
    begin = night.clock.wall()
    await night.process(rate="5/s")

    submits = list(night.simulation.ledger.submits_at)
    assert [at for at in submits if begin + 1.0 < at < begin + 50.0] == []
    assert len(night.simulation.ledger.jobs) == 39


# DAYS


class Wall:
    """A wall clock that a test moves."""

    at = 1_700_000_000.0

    def __call__(self) -> float:
        """Return the time."""
        return self.at


def spent(rate: str, *, openings: Resets | None) -> tuple[Wall, DailyCaps]:
    """Return a day of which everything was spent at once."""
    wall = Wall()
    caps = DailyCaps(parse_rate(rate), [], wall, openings=openings)
    while caps.wait_s() == 0:
        caps.spend()

    return wall, caps


def test_a_day_that_the_api_begins_anew_is_used_from_then_on() -> None:
    """Midnight is four hours off: then the whole day is there again, not at six next evening."""
    wall, caps = spent("5/m,100/d", openings=Resets())
    caps.told(DAY_S, wall.at + 4 * 3_600.0)
    wall.at += 4 * 3_600.0
    assert caps.wait_s() > 0

    wall.at += SKEW_S + 1.0
    for _ in range(100):
        assert caps.wait_s() == 0
        caps.spend()

    assert caps.wait_s() > 0


def test_what_the_api_told_of_its_day_outlives_the_process() -> None:
    """A run that was parked until midnight goes on at midnight."""
    wall, first = spent("100/d", openings=(told := Resets()))
    first.told(DAY_S, wall.at + 3_600.0)
    wall.at += 3_600.0 + SKEW_S + 1.0
    past = [wall.at - 4_000.0] * 100
    second = DailyCaps(parse_rate("100/d"), past, wall, openings=Resets.of(told.as_fact()))

    assert second.wait_s() == 0
    assert DailyCaps(parse_rate("100/d"), past, wall).wait_s() > 80_000


def test_a_header_that_is_nonsense_does_not_do_away_with_the_day() -> None:
    """A window that opens every minute, or always in a day, is believed once a day."""
    for ahead_s in (1.0, 60.0, DAY_S, 5 * DAY_S, -5.0):
        wall, caps = spent("100/d", openings=Resets())
        sent = 0
        for _ in range(1_440):
            caps.told(DAY_S, wall.at + ahead_s)
            wall.at += 60.0
            while caps.wait_s() == 0:
                caps.spend()
                sent += 1

        assert sent <= 200


def test_the_users_own_day_slides_whatever_the_api_tells() -> None:
    """`--rate 100/d` is a hundred in any day."""
    wall, caps = spent("100/d", openings=None)
    caps.told(DAY_S, wall.at + 60.0)
    wall.at += 3_600.0

    assert caps.wait_s() == pytest.approx(DAY_S - 3_600.0)


def test_kept_openings_are_read_strictly() -> None:
    """What is not as it was written is damage, and told."""
    with pytest.raises(Exception, match="journal is corrupt"):
        Resets.of('{"a": 1}')


class Midnight:
    """A transport whose answers tell when the API's day begins anew: at midnight UTC."""

    def __init__(self, inner: Transport) -> None:
        self._inner = inner

    async def send(self, request: Request, *, timeout_s: float) -> Response:
        """Carry a request, and add what the API tells of its day."""
        answer = await self._inner.send(request, timeout_s=timeout_s)
        reset = str(int(answer.received_at // DAY_S * DAY_S + DAY_S))
        headers = {**answer.headers, "x-ratelimit-daily-reset": reset}
        return Response(answer.status, answer.body, headers, answer.received_at)


async def test_a_run_goes_on_when_the_apis_day_begins_anew(tmp_path: Path) -> None:
    """A day that is used up at eleven in the evening is parked until midnight, not for a day."""
    params: dict[str, object] = {"task": "edits", "tier": "basic", "steps": 20, "seed": 1}
    params["model"] = "QwenImageEdit_Plus_NF4"
    night = Night(tmp_path, provider="deapi", params=params, faults="tier=basic,era=e4,latency=0.1")
    picture = tmp_path / "a.png"
    picture.write_bytes(png(512, 512))
    night.write_rows([{"id": f"r{n}", "file": "a.png", "prompt": f"cat {n}"} for n in range(20)])
    night.transport = Midnight(night.transport)
    settings: dict[str, Any] = {"rate": None, "status_rate": "6000/m"}
    begin = night.clock.wall()
    stop = await night.process(**settings)

    assert stop is not None
    assert stop.reason is StopReason.THROTTLED
    assert stop.resume_at is not None
    midnight = begin // DAY_S * DAY_S + DAY_S
    assert midnight <= stop.resume_at <= midnight + 900.0
    assert night.counts() == {"succeeded": 15}
    await anyio.sleep(stop.resume_at - night.clock.wall() + SKEW_S)
    assert await night.process(**settings) is None
    assert night.counts() == {"succeeded": 20}
    assert night.clock.wall() <= midnight + 1_800.0
    assert night.simulation.ledger.tally["submit 429"] == 0
