"""Collecting result files: what can be had is fetched, and nothing that was paid is given up."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import anyio
import orjson
import pytest

from batcher.core.exchange import Response
from batcher.engine import decide
from batcher.engine.collect import FetchFailed
from tests.engine.harness import Death, Night

pytestmark = pytest.mark.virtual


class FakeStore:
    """A folder that takes what a rule lets through."""

    def __init__(self, rule: Callable[[int, str], FetchFailed | None]) -> None:
        self.urls: list[str] = []
        self._rule = rule

    async def fetch(self, url: str, row_id: str, variant: str) -> str:
        """Take a file, or fail as the rule says."""
        self.urls.append(url)
        await anyio.sleep(0.05)
        failure = self._rule(len(self.urls), url)
        if failure is not None:
            raise failure

        return f"downloads/{row_id}.{variant}.png"


def always(failure: FetchFailed | None) -> Callable[[int, str], FetchFailed | None]:
    """Return a rule that says the same of every file."""
    return lambda _count, _url: failure


async def test_every_variant_is_fetched(tmp_path: Path) -> None:
    """The record names a file for each URL."""
    night = Night(tmp_path)
    night.store = FakeStore(always(None))
    night.write_urls(5)
    await night.process()

    for record in night.records("succeeded"):
        assert set(record["result"]["files"]) == set(record["result"]["urls"])


async def test_a_file_that_cannot_be_had_makes_the_row_exhausted(tmp_path: Path) -> None:
    """The job is paid: `retry` fetches only what is missing, and submits nothing."""
    night = Night(tmp_path)
    night.store = FakeStore(always(FetchFailed("503")))
    night.write_urls(2)
    await night.process()
    assert night.counts() == {"exhausted": 2}
    assert night.records("exhausted")[0]["error"]["kind"] == "download"

    with night.books() as (journal, outcomes):
        decide.retry(journal, outcomes, kind=None, at=night.clock.wall())

    night.store = FakeStore(always(None))
    await night.process()
    assert night.counts() == {"succeeded": 2}
    assert night.simulation.ledger.counts()["submits"] == 2


@pytest.mark.parametrize("max_attempts", [1, 5])
async def test_an_expired_url_is_refreshed(max_attempts: int, tmp_path: Path) -> None:
    """The job is read once more, and that is no attempt of the download."""
    night = Night(tmp_path, settings={"max_attempts": max_attempts})
    night.store = FakeStore(
        lambda count, _: FetchFailed("403", expired=True) if count == 1 else None
    )
    night.write_urls(1)
    await night.process()

    assert night.counts() == {"succeeded": 1}
    assert len(night.simulation.ledger.reads_at) == 2


async def test_refreshing_obeys_the_limits_of_status_reads(tmp_path: Path) -> None:
    """Forty expired URLs are no reason to read faster than the API allows."""
    night = Night(tmp_path, faults="duration=1", settings={"status_rate": "1/s"})
    night.store = FakeStore(always(FetchFailed("403", expired=True)))
    night.write_urls(40)
    await night.process(connections=64)

    reads = sorted(night.simulation.ledger.reads_at)
    assert min(later - earlier for earlier, later in pairwise(reads)) >= 0.7
    assert night.counts() == {"exhausted": 40}


async def test_a_full_download_disk_costs_no_job_and_no_doubt(tmp_path: Path) -> None:
    """It is waited for: open submits are answered, and what was fetched stays fetched."""
    night = Night(tmp_path, faults="duration=1,latency=3", settings={"rate": "10/s"})
    full_until = anyio.current_time() + 60.0
    night.store = FakeStore(
        lambda _count, _url: (
            FetchFailed("no space left", disk=True) if anyio.current_time() < full_until else None
        )
    )
    night.write_urls(100)
    assert await night.process(connections=64) is None

    assert night.counts() == {"succeeded": 100}
    assert "download.disk" in night.log.names("warning")


async def test_a_crash_between_file_and_outcome_fetches_again_and_pays_nothing(
    tmp_path: Path,
) -> None:
    """A row that was ready is fetched by the next process."""
    night = Night(tmp_path)
    night.store = FakeStore(always(None))
    night.write_urls(10)
    await night.doomed_process(Death(at_write=12))
    await night.process()

    assert night.counts() == {"succeeded": 10}
    night.assert_no_row_paid_twice()


async def test_what_a_job_cost_survives_its_download(tmp_path: Path) -> None:
    """The price stands in the record also when the file came with a later try."""
    params = {"task": "generations", "tier": "premium", "model": "Flux1schnell"}
    night = Night(tmp_path, provider="deapi", params=dict(params))
    inner = night.transport

    class Priced:
        async def send(self, request: Any, *, timeout_s: float) -> Response:
            answer = await inner.send(request, timeout_s=timeout_s)
            if request.method == "POST":
                return answer

            body = orjson.loads(answer.body)
            body["data"]["price"] = {"amount": 0.05}
            return Response(200, orjson.dumps(body), answer.headers)

    night.transport = Priced()
    size = {"width": 512, "height": 512, "steps": 4, "guidance": 0}
    night.write_rows([{"id": "a", "prompt": "a cat", "seed": 1, **size}])
    night.store = FakeStore(always(FetchFailed("503")))
    await night.process()
    assert night.records("exhausted")[0]["cost"] == 0.05

    with night.books() as (journal, outcomes):
        decide.retry(journal, outcomes, kind=None, at=night.clock.wall())

    night.store = FakeStore(always(None))
    await night.process()
    assert night.records("succeeded")[0]["cost"] == 0.05
