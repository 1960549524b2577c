"""One scarce total for several lanes: served in turns, and what was paid for comes first."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import anyio
import pytest

from batcher.adapters.pacing import Pacer
from batcher.core.exchange import Request, Response
from batcher.core.pacing.rates import parse_rate
from batcher.engine.lanes.caps import DailyCaps
from batcher.engine.lanes.total import READS_KEPT, Total, TotalCaps, reads_kept
from batcher.engine.parts import Parts
from batcher.engine.run import Run
from batcher.providers.base import Limits
from batcher.providers.removit.dialect import Removit
from tests.engine.bed import sliding, worst
from tests.engine.harness import Night

pytestmark = pytest.mark.virtual


async def share(
    rate: str, wanted: dict[str, tuple[float, float]], seconds: float
) -> dict[str, list[float]]:
    """Let lanes ask for a total, each from its time on and with its pause; return their starts."""
    total, times = Total(parse_rate(rate)), dict[str, list[float]]()
    begin = anyio.current_time()

    async def ask(lane: str, begin_s: float, pause_s: float) -> None:
        pacer = Pacer(None, total.claim(lane))
        times[lane] = []
        await anyio.sleep(begin_s)
        while True:
            assert await pacer.permits(5) == 1
            times[lane].append(anyio.current_time() - begin)
            await anyio.sleep(pause_s)

    with anyio.move_on_after(seconds):
        async with anyio.create_task_group() as group:
            for lane, (begin_s, pause_s) in wanted.items():
                group.start_soon(ask, lane, begin_s, pause_s)

    return times


async def test_reads_of_paid_jobs_are_not_starved_by_submits() -> None:
    """Both want all of it: reads get two of three, submits the third, and no window is exceeded."""
    times = await share("60/m", {"submit": (0.0, 0.0), "status": (0.0, 0.0)}, 600.0)

    assert len(times["status"]) == pytest.approx(400, rel=0.05)
    assert len(times["submit"]) == pytest.approx(200, rel=0.05)
    assert worst(sorted([*times["status"], *times["submit"]]), 60.0) <= 60


async def test_what_one_does_not_want_is_the_others() -> None:
    """A read in ten seconds leaves nearly all of it to the submits."""
    times = await share("60/m", {"submit": (0.0, 0.0), "status": (0.0, 10.0)}, 600.0)

    assert len(times["status"]) >= 50
    assert len(times["submit"]) + len(times["status"]) >= 0.96 * 600


async def test_nobody_saves_up_turns() -> None:
    """A lane that comes late does not shut the other out until it has caught up."""
    times = await share("60/m", {"submit": (0.0, 0.0), "status": (300.0, 0.0)}, 600.0)

    assert len([at for at in times["submit"] if at >= 300.0]) == pytest.approx(100, rel=0.1)


class Wall:
    """A wall clock that a test moves."""

    at = 1_700_000_000.0

    def __call__(self) -> float:
        """Return the time."""
        return self.at


def test_of_a_days_total_submits_leave_the_reads_of_paid_jobs() -> None:
    """30 requests a day for all: new jobs are made as long as all of them can be looked at."""
    wall, rate = Wall(), parse_rate("30/d")
    shared, jobs = DailyCaps(rate, [], wall), 0
    submit = TotalCaps(DailyCaps(None, [], wall), shared, reads_kept(lambda: jobs))
    status = TotalCaps(DailyCaps(None, [], wall), shared)
    while submit.wait_s() == 0:
        submit.spend()
        jobs += 1

    reads = 0
    while status.wait_s() == 0:
        status.spend()
        reads += 1

    assert reads >= READS_KEPT * jobs
    assert jobs + reads == 30
    assert jobs >= 9


class Counted(Removit):
    """An API that counts submits and reads together."""

    def limits(self) -> Limits:
        """Return its limits."""
        return Limits(total="120/m")


async def test_a_run_keeps_within_a_total_and_gets_its_results(tmp_path: Path) -> None:
    """Two a second for submits and reads together, enforced: hardly a 429, and every row comes."""
    night = Night(tmp_path, faults="latency=0.1,duration=4", settings={"rate": "100/s"})
    night.write_urls(60)
    inner, server, refused = night.transport, sliding(120, 60.0), list[float]()

    class Enforced:
        async def send(self, request: Request, *, timeout_s: float) -> Response:
            wait_s = server(night.clock.now())
            if wait_s is None:
                return await inner.send(request, timeout_s=timeout_s)

            refused.append(night.clock.now())
            headers = {"retry-after": str(int(wait_s) + 1)}
            return Response(429, b"{}", headers, night.clock.wall())

    night.transport = Enforced()
    with night.books() as (journal, outcomes):
        parts: Parts = replace(night.parts(journal, outcomes), provider=Counted({}))
        assert await Run(parts).execute() is None

    sent: Any = sorted([*night.simulation.ledger.submits_at, *night.simulation.ledger.reads_at])
    assert night.counts() == {"succeeded": 60}
    assert refused == []
    assert worst(sent, 60.0) <= 120
