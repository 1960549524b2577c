"""Stray 429s cost little, and a limit is respected as if nobody had ever doubted one."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import anyio
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from batcher.core.errors import Lost
from batcher.core.exchange import Request, Response, Transport
from batcher.core.pacing.gate import FAILURES_MAX
from batcher.core.pacing.rates import parse_rate
from tests.engine.bed import (
    Bed,
    Server,
    bucket,
    calm,
    fixed,
    in_seconds,
    sliding,
    spiteful,
    storm,
    stray,
)
from tests.engine.harness import Night
from tests.support.clock import run_virtual

RATE = 40
EXTRA = 12  # refusals that it may cost to find out that there is a limit, in two minutes


def served(server: Server, latency_s: float, seconds: float = 120.0, *, doubts: bool = True) -> Bed:
    """Let a lane at 40/s work before *server*, and return what was seen."""

    async def main() -> Bed:
        bed = Bed(parse_rate(f"{RATE}/s"), server, latency_s=latency_s)
        bed.gate.doubts_throttles = doubts
        await bed.serve(seconds)
        return bed

    return run_virtual(main)


@pytest.mark.parametrize("latency_s", [0.02, 0.3])
@pytest.mark.parametrize(("share", "least"), [(0.01, 0.95), (0.02, 0.9), (0.05, 0.8)])
def test_stray_refusals_leave_the_pace_nearly_as_it_is(
    share: float, least: float, latency_s: float
) -> None:
    """One in a hundred, in fifty, in twenty: nearly all that would be taken without is taken."""
    bed = served(stray(share, 1.0, calm), latency_s)

    assert len(bed.taken) >= least * 120 * RATE / 1.011
    assert bed.early == []  # each refused row waits as long as it was asked to
    assert len(bed.taken) >= 1.5 * len(served(stray(share, 1.0, calm), 0.3, doubts=False).taken)


# LIMITS

LIMITS: dict[str, Callable[[], Server]] = {
    "bucket": lambda: bucket(36, 20),
    "bucket, half": lambda: bucket(20, 20),
    "bucket, nearly": lambda: bucket(39, 20),
    "sliding": lambda: in_seconds(sliding(36, 1.0)),
    "sliding, long": lambda: in_seconds(sliding(300, 10.0)),
    "fixed": lambda: in_seconds(fixed(36, 1.0)),
    "fixed, long": lambda: in_seconds(fixed(300, 10.0)),
    "minute": lambda: in_seconds(fixed(1_200, 60.0)),
    "storms": lambda: storm(1_020.0, 1_030.0, 1.0, storm(1_070.0, 1_080.0, None, calm)),
    "spiteful": lambda: spiteful(600, 20.0, 5.0),
}


@pytest.mark.parametrize("latency_s", [0.02, 0.3])
@pytest.mark.parametrize("name", LIMITS)
def test_a_limit_is_met_hardly_more_often_than_without_any_doubt(
    name: str, latency_s: float
) -> None:
    """Buckets, windows, storms, bans: a handful of refusals more, and no less is taken."""
    bed = served(LIMITS[name](), latency_s)
    strict = served(LIMITS[name](), latency_s, doubts=False)

    assert len(bed.refused) <= len(strict.refused) + EXTRA
    assert len(bed.taken) >= 0.95 * len(strict.taken)
    assert bed.early == []


@settings(max_examples=12, deadline=None)
@given(
    kind=st.sampled_from([bucket, sliding, fixed]),
    per_s=st.integers(8, 36),
    length_s=st.integers(1, 20),
    latency_s=st.sampled_from([0.01, 0.1, 0.5]),
    share=st.sampled_from([0.0, 0.0, 0.01, 0.03]),
)
def test_whatever_the_limit_refusals_stay_bounded(
    kind: Callable[..., Server], per_s: int, length_s: int, latency_s: float, share: float
) -> None:
    """Any limit below the pace, with and without strays: three times as many as held, and few."""

    def server() -> Server:
        limit = (
            bucket(per_s, per_s * length_s) if kind is bucket else kind(per_s * length_s, length_s)
        )
        return stray(share, 1.0, in_seconds(limit))

    bed, strict = (served(server(), latency_s, 60.0, doubts=doubts) for doubts in (True, False))

    extra = EXTRA + 0.1 * len(bed.taken) if share else EXTRA
    assert len(bed.refused) <= 3 * len(strict.refused) + extra
    assert len(bed.taken) >= 0.9 * len(strict.taken)
    assert bed.early == []


@pytest.mark.parametrize("told_s", [5.0, 59.0])
def test_a_wall_sees_two_trials_and_then_nothing_until_the_time_it_named(told_s: float) -> None:
    """Refused by all until Retry-After: those in flight, two more at the most, then silence."""
    latency_s = 0.02
    bed = served(storm(1_020.0, 1_020.0 + told_s, told_s, calm), latency_s, 100.0)

    assert len(bed.refused) <= 1 + RATE * 2 * latency_s + 2
    first, last = min(bed.refused), max(bed.refused)
    assert last <= first + 0.2
    assert [at for at in bed.arrivals if last + latency_s < at < last + told_s] == []


def test_after_a_minutes_wait_nothing_is_tried() -> None:
    """Retry-After of a minute holds the lane, however clean its record is."""
    bed = served(storm(1_020.0, 1_080.0, 60.0, calm), 0.02, 100.0)

    assert len(bed.refused) <= 2
    held = [at for at in bed.arrivals if min(bed.refused) + 0.05 < at < min(bed.refused) + 60.0]
    assert held == []


# WHOLE RUNS


def test_a_run_with_stray_429s_takes_hardly_longer(tmp_path: Path) -> None:
    """Three in a hundred submits and reads refused for a second: a third more time at the most."""

    async def run(folder: Path, faults: str) -> tuple[float, Night]:
        night = Night(folder, faults=f"duration=4,latency=0.05{faults}")
        night.write_urls(1_000)
        begin = anyio.current_time()
        assert await night.process(rate="40/s", status_rate="100/s", in_flight=1_000) is None
        assert night.counts() == {"succeeded": 1_000}
        night.assert_no_row_paid_twice()
        return anyio.current_time() - begin, night

    folders = tmp_path / "calm", tmp_path / "rough"
    for folder in folders:
        folder.mkdir()

    calm_s, _ = run_virtual(run, folders[0], "")
    rough_s, night = run_virtual(run, folders[1], ",429=0.03,status_throttle=0.03,retry_after_s=1")

    tally = night.simulation.ledger.tally
    assert tally["submit 429"] >= 15
    assert rough_s <= 1.33 * calm_s  # 2.4 times without any doubt
    most = max(fields["attempts"]["submit"] for fields in night.records("succeeded"))
    assert most <= 1 + tally["submit 429"]


class Failing:
    """An API that refuses one submit and then answers none any more."""

    def __init__(self, inner: Transport, taken: int) -> None:
        self._inner = inner
        self._left = taken
        self.lost = 0

    async def send(self, request: Request, *, timeout_s: float) -> Response:
        """Answer, or lose it."""
        await anyio.sleep(0.05)
        if request.method == "GET" or self._left > 0:
            self._left -= request.method == "POST"
            return await self._inner.send(request, timeout_s=timeout_s)

        self._left -= 1
        if self._left == -1:
            return Response(429, b"{}", {"retry-after": "1"})

        self.lost += 1
        raise Lost("reset")


def test_an_outage_behind_a_429_puts_few_rows_in_doubt(tmp_path: Path) -> None:
    """Each is money: an outage is met by a few probes, whatever was doubted before it."""

    async def main() -> None:
        night = Night(tmp_path, faults="duration=4")
        night.write_urls(1_000)
        api = night.transport = Failing(night.transport, taken=60)
        stop = await night.process(rate="40/s", in_flight=1_000, max_outage_s=300.0)
        assert stop is not None
        assert night.counts() == {"in_doubt": api.lost, "succeeded": 60}
        assert api.lost <= 2 * FAILURES_MAX + 8

    run_virtual(main)
