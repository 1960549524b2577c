"""`--rate auto` and `--connections auto`: what nobody told is found, kept to, and never passed."""

from __future__ import annotations

from math import inf
from pathlib import Path

import anyio
import pytest

from batcher.core.pacing.rates import parse_rate
from batcher.engine.lanes.seeking import seek_connections, seek_rate
from tests.engine.bed import Bed, Server, fixed, sliding, worst
from tests.engine.harness import FLUX, Night, prompt

pytestmark = pytest.mark.virtual


def seeking(server: Server, start_per_s: float, rate: str | None = None) -> Bed:
    """Return a lane that seeks its rate from *start_per_s* on."""
    bed = Bed(None if rate is None else parse_rate(rate), server)
    ceiling = inf if bed.rate is None else 1 / bed.rate.interval_s
    seek_rate(bed.lane, bed.room, start_per_s, ceiling, bed.context)
    return bed


@pytest.mark.parametrize(
    ("server", "limit", "start"),
    [
        (sliding(8, 1.0), 8.0, 2.0),
        (fixed(480, 60.0), 8.0, 2.0),
        (fixed(120, 60.0), 2.0, 5.0),
        (sliding(10, 10.0), 1.0, 20.0),
    ],
    ids=["8 a second", "480 a minute", "120 a minute", "10 in 10 s"],
)
async def test_a_hidden_limit_is_found_and_kept_to(
    server: Server, limit: float, start: float
) -> None:
    """After five minutes: within 15 % of it, and refused in no more than two minutes of five."""
    bed = seeking(server, start)
    begin = bed.clock.now()
    await bed.serve(900.0)

    late = [at for at in bed.taken if at >= begin + 300.0]
    assert len(late) / 600.0 >= 0.85 * limit
    assert bed.room.rate is not None
    assert 0.85 * limit <= 1 / bed.room.rate.interval_s <= 1.15 * limit
    refused = [at for at in bed.refused if at >= begin + 300.0]
    events = {at // 60 for at in refused}
    assert len(events) <= 4
    assert len(refused) <= 10 * max(1, len(events))


async def test_a_published_limit_is_never_passed() -> None:
    """`auto` under 300 a minute against an API that would take anything: 300 a minute."""
    bed = seeking(lambda _now: None, 5.0, rate="300/m")
    await bed.serve(240.0)

    assert worst(bed.arrivals, 60.0) <= 300
    assert len(bed.arrivals) >= 0.97 * 240 * 5


async def test_every_change_is_logged_with_its_reason() -> None:
    """Who wonders about the pace of last night finds out from the log."""
    bed = seeking(sliding(20, 1.0), 5.0)
    await bed.serve(120.0)

    told = [fields for _, name, fields in bed.log.seen if name == "limit.changed"]
    assert len(told) >= 5
    assert all(fields["reason"] and fields["rate"] for fields in told)
    assert any("refused at" in str(fields["reason"]) for fields in told)


async def test_connections_grow_where_they_help() -> None:
    """A quick rate and slow answers need many requests at once: from 16 up to what is needed."""
    bed = Bed(parse_rate("20/s"), lambda _now: None, places=128, latency_s=2.0)
    seek_connections(bed.lane, 8, bed.context)
    begin = bed.clock.now()
    await bed.serve(150.0)

    late = [at for at in bed.taken if at >= begin + 90.0]
    assert len(late) / 60.0 >= 0.95 * 20
    assert 40 <= bed.lane.places.most <= 64  # as many as are needed, not as many as there may be


async def test_connections_stay_few_where_they_only_queue() -> None:
    """A service that works on ten at a time answers the slower the more there are."""
    bed = Bed(None, lambda _now: None, places=128, latency_s=1.0)
    seek_connections(bed.lane, 8, bed.context)
    turns = anyio.CapacityLimiter(10)
    send = bed._send

    async def queued(item: object) -> None:
        async with turns:
            await send(item)

    bed._send = queued  # type: ignore[method-assign]  # the service of this test has a queue
    await bed.serve(600.0)

    assert bed.lane.places.most <= 64


# WHOLE RUNS


async def test_a_run_finds_what_removit_does_not_publish(tmp_path: Path) -> None:
    """`--rate auto --connections auto`: every row is paid once, and few requests are refused."""
    night = Night(tmp_path, faults="submits_per_minute=120,latency=0.1,duration=1")
    night.write_urls(300)
    begin = anyio.current_time()
    await night.process(rate="auto", connections="auto")

    assert night.counts() == {"succeeded": 300}
    night.assert_no_row_paid_twice()
    assert night.simulation.ledger.tally["submit 429"] <= 40
    assert anyio.current_time() - begin <= 1.3 * 150
    assert {fields["attempts"]["submit"] for fields in night.records("succeeded")} <= {1, 2, 3, 4}


async def test_auto_begins_at_the_published_limit(tmp_path: Path) -> None:
    """deAPI publishes 45 a minute for this model: `auto` goes at that, and not above."""
    faults = "tier=premium,latency=0.2"
    night = Night(tmp_path, provider="deapi", params=FLUX, faults=faults)
    night.write_rows([prompt(n) for n in range(40)])
    await night.process(rate="auto")

    assert night.counts() == {"succeeded": 40}
    assert night.simulation.ledger.tally["submit 429"] == 0
    assert worst(list(night.simulation.ledger.submits_at), 60.0) <= 45
