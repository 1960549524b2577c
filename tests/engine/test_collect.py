"""Collecting result files: what can be had is fetched, and nothing that was paid is given up."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import anyio
import orjson
import pytest

from batcher.core.exchange import Response
from batcher.core.names import ending_of
from batcher.engine.books import decide
from batcher.engine.files.collect import FetchFailed, Stored, Wanted
from tests.engine.harness import Death, Night, row

pytestmark = pytest.mark.virtual


class FakeStore:
    """A folder that takes what a rule lets through."""

    def __init__(
        self, rule: Callable[[int, str], FetchFailed | None], *, ending: str = "png"
    ) -> None:
        self.wanted: list[Wanted] = []
        self._rule = rule
        self._ending = ending

    async def fetch(self, wanted: Wanted) -> Stored:
        """Take a file, or fail as the rule says."""
        self.wanted.append(wanted)
        await anyio.sleep(0.05)
        failure = self._rule(len(self.wanted), wanted.url)
        if failure is not None:
            raise failure

        path = f"downloads/{wanted.row_id}.{wanted.variant}.{self._ending}"
        return Stored(path, self._ending, 5, "abc")


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


async def test_the_store_is_told_what_was_asked_for(tmp_path: Path) -> None:
    """The row's own format, else the run's; its number says where the file goes; it is logged."""
    night = Night(tmp_path, params={"output_format": "webp"})
    night.store = store = FakeStore(always(None), ending="webp")
    night.write_rows([row(0), {**row(1), "output_format": "jpeg"}])
    await night.process()

    told = {w.row_id: (w.n, ending_of(w.expected or "")) for w in store.wanted}
    assert told == {"sku-0": (1, "webp"), "sku-1": (2, "jpg")}
    stored = [values for _, event, values in night.log.seen if event == "download.stored"]
    assert {values["id"] for values in stored} == {"sku-0", "sku-1"}
    assert {(values["bytes"], values["sha256"]) for values in stored} == {(5, "abc")}


@pytest.mark.parametrize(
    ("asked", "got", "warned"),
    [
        ("png", "png", False),
        ("png", "webp", True),
        ("jpeg", "jpg", False),
        ("tiff", "tiff", False),
        ("psd", "zip", True),
    ],
)
async def test_another_format_is_kept_and_told(
    asked: str, got: str, warned: bool, tmp_path: Path
) -> None:
    """It was paid for: the row succeeds with the file, and says that it is not what was asked."""
    night = Night(tmp_path, params={"output_format": asked, "mode": "clipping"})
    night.store = FakeStore(always(None), ending=got)
    night.write_urls(1)
    await night.process()

    (record,) = night.records("succeeded")
    assert record["result"]["files"]["clipping"].endswith(f".{got}")
    texts = record["result"]["warnings"].get("clipping", [])
    assert [text.partition(", ")[2] for text in texts] == [f"got {got}; kept as it is"] * warned


async def test_only_chosen_variants_are_fetched(tmp_path: Path) -> None:
    """The URLs of the others stay in the record; what the job did not make is told as ignored."""
    night = Night(tmp_path, params={"mode": "params", "params": "Test-Api"})
    night.store = store = FakeStore(always(None))
    night.write_urls(3)
    await night.process(variants=("clipping", "hologram"))

    assert {wanted.variant for wanted in store.wanted} == {"clipping"}
    assert len(store.wanted) == 3
    for record in night.records("succeeded"):
        assert set(record["result"]["files"]) == {"clipping"}
        assert len(record["result"]["urls"]) > 1
        ignored = record["result"]["ignored"]
        assert ignored.count("hologram") == 1
        assert not set(ignored) & set(record["result"]["urls"])


async def test_without_any_chosen_variant_the_row_succeeds(tmp_path: Path) -> None:
    """Nothing is fetched, and a person is told once, with the names that there are."""
    night = Night(tmp_path, params={"mode": "clipping"})
    night.store = store = FakeStore(always(None))
    night.write_urls(3)
    await night.process(variants=("final",))

    assert store.wanted == []
    assert night.counts() == {"succeeded": 3}
    assert night.records("succeeded")[0]["result"]["ignored"] == ["final"]
    told = [values for _, event, values in night.log.seen if event == "download.no_variant"]
    assert len(told) == 1
    assert "made clipping" in str(told[0])


async def test_what_was_fetched_is_not_fetched_again(tmp_path: Path) -> None:
    """Of several files only the missing one is tried again, in this process and in a retry."""
    night = Night(tmp_path, params={"mode": "params", "params": "Test-Api"})
    night.store = store = FakeStore(
        lambda _count, url: FetchFailed("503") if "/clipping" in url else None, ending="webp"
    )
    night.write_urls(1)
    await night.process()
    names = [wanted.variant for wanted in store.wanted]
    others = set(names) - {"clipping"}
    assert others
    assert all(names.count(name) == 1 for name in others)

    with night.books() as (journal, outcomes):
        decide.retry(journal, outcomes, kind=None, at=night.clock.wall())

    night.store = again = FakeStore(always(None), ending="webp")
    await night.process()
    assert [wanted.variant for wanted in again.wanted] == ["clipping"]
    (record,) = night.records("succeeded")
    assert set(record["result"]["files"]) == others | {"clipping"}
    warnings = record["result"]["warnings"]
    assert all(len(warnings[name]) == 1 for name in others), "told once, and kept over a retry"


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


async def test_urls_that_live_shorter_than_the_queue_is_long_are_fetched(tmp_path: Path) -> None:
    """A URL that was read anew is used at once; else every one would be too old at its turn."""
    night = Night(tmp_path, faults="duration=1,url_expires_s=2", settings={"rate": "1000/s"})

    def rule(_count: int, url: str) -> FetchFailed | None:
        until = float(parse_qs(urlsplit(url).query)["expires"][0])
        return FetchFailed("403", expired=True) if night.clock.wall() > until else None

    night.store = store = FakeStore(rule)
    night.write_urls(300)
    await night.process(connections=4, in_flight=300)

    assert night.counts() == {"succeeded": 300}
    assert len(store.wanted) < 2.5 * 300


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
