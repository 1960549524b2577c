"""Rules that wrong versions showed to be unproved: each of these was green under its control."""

from __future__ import annotations

import os
from contextlib import closing
from pathlib import Path

import anyio
import pytest

from batcher.adapters.atomic import write_atomically
from batcher.adapters.http import HttpTransport
from batcher.adapters.outcomes import OutcomeFiles
from batcher.adapters.sqlite import SqliteJournal
from batcher.core.errors import Lost
from batcher.core.exchange import Request, Response, Transport
from batcher.core.model import Stop, StopReason
from batcher.core.secret import Secret
from batcher.engine.run import Run
from tests.engine.harness import Night, Scripted
from tests.support.hostile import PATIENCE_S, Peer, hostile

BODY_BYTES_MAX = 100_000
ASK = Request("GET", "/api/v1/status?job_id=1")


async def asked(url: str) -> Response:
    """Ask once, with a transport that takes so much and no more."""
    async with HttpTransport(
        url,
        "X-API-Key",
        "",
        lambda: Secret("key", "a test"),
        connections=1,
        user_agent="batcher/test",
        body_bytes_max=BODY_BYTES_MAX,
        wall=lambda: 0.0,
    ) as transport:
        return await transport.send(ASK, timeout_s=PATIENCE_S)


@pytest.mark.parametrize("over", [0, 1])
async def test_an_answer_is_bounded(over: int) -> None:
    """A plain body of the allowed length is read whole; one byte more, and it is lost."""

    def script(peer: Peer) -> None:
        peer.request()
        peer.answer(200, b"x" * (BODY_BYTES_MAX + over))

    with hostile(script) as server:
        if over:
            with pytest.raises(Lost, match="larger than"):
                await asked(server.url)
        else:
            assert len((await asked(server.url)).body) == BODY_BYTES_MAX


async def interrupt(run: Run) -> None:
    """Stop a run after a little while."""
    await anyio.sleep(2.0)
    run.control.interrupt(Stop(StopReason.INTERRUPTED, "signal"))


@pytest.mark.virtual
async def test_a_throttle_spends_no_attempt_in_the_next_process_either(tmp_path: Path) -> None:
    """However often a row meets a 429 and the run is started again, it keeps all its attempts."""
    night = Night(tmp_path, settings={"max_attempts": 3})
    throttled = Response(429, b"{}", {"retry-after": "60"})
    night.transport = Scripted([throttled] * 5, night.transport)
    night.write_urls(1)
    for _ in range(5):
        await night.process(interrupt)

    assert await night.process() is None
    assert night.counts() == {"succeeded": 1}


@pytest.mark.virtual
async def test_risked_duplicates_are_counted_over_restarts(tmp_path: Path) -> None:
    """`--max-duplicates` is for the run: the next process has no new ones."""
    settings = {"on_doubt": "resubmit", "max_duplicates": 2}
    night = Night(tmp_path, faults="drop_after=1", settings=settings)
    night.write_urls(3)
    await night.process()
    night.write_urls(6)
    await night.process()

    assert night.simulation.ledger.counts()["jobs"] == 6 + 2
    assert night.counts() == {"in_doubt": 6}


@pytest.mark.virtual
async def test_the_time_of_a_job_goes_on_between_processes(tmp_path: Path) -> None:
    """A job's time counts from its acceptance: runs that are started often cannot prolong it."""
    night = Night(tmp_path, faults="stuck=1", settings={"job_timeout_s": 1_000.0})
    night.write_urls(1)
    await night.process(interrupt)
    await anyio.sleep(900.0)
    begin = anyio.current_time()
    await night.process()

    assert night.counts() == {"exhausted": 1}
    assert anyio.current_time() - begin < 300.0


def noted_syncs(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return a list that grows by the name of each file or folder that is synced."""
    synced: list[str] = []
    sync = os.fsync

    def note(number: int) -> None:
        synced.append(Path(f"/proc/self/fd/{number}").readlink().name)
        sync(number)

    monkeypatch.setattr(os, "fsync", note)
    return synced


def test_a_file_is_replaced_durably(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its content is synced under the other name, and then the folder that has the new one."""
    synced = noted_syncs(monkeypatch)
    write_atomically(tmp_path / "summary.json", b"{}")
    assert synced == [".summary.json.tmp", tmp_path.name]


def test_a_new_journal_is_there_after_a_power_cut(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The folder that has its name is synced; SQLite syncs what is in it by itself."""
    synced = noted_syncs(monkeypatch)
    SqliteJournal.open(tmp_path / "journal.db").close()
    assert synced == [tmp_path.name]


def test_outcome_files_are_there_after_a_power_cut(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Their names are synced when they are made, and so is the cut that takes a torn line off."""
    synced = noted_syncs(monkeypatch)
    with closing(OutcomeFiles(tmp_path)):
        assert synced == [tmp_path.name]

    (tmp_path / "failed.jsonl").write_bytes(b"{}\n{")
    synced.clear()
    with closing(OutcomeFiles(tmp_path, sync=os.fsync)) as files:
        files.recover({"failed.jsonl": 3})
        assert synced == [tmp_path.name, "failed.jsonl"]


@pytest.mark.virtual
async def test_what_has_not_left_is_taken_back_at_the_end(tmp_path: Path) -> None:
    """Whenever a run is ended, in doubt are the rows that left, and no row whose intent is all."""
    left = set()
    for step in range(12):
        folder = tmp_path / str(step)
        folder.mkdir()
        night = Night(folder, faults="latency=30", settings={"rate": "1000/s"})
        night.write_urls(20)

        async def end(run: Run, after_s: float = 0.001 * step) -> None:
            await anyio.sleep(after_s)
            run.control.abort(Stop(StopReason.INTERRUPTED, "signal"))

        await night.process(end)
        counters, submits = night.counters(), night.simulation.ledger.counts()["submits"]
        assert (counters["intent"], counters["in_doubt"]) == (0, submits)
        left.add(submits)

    assert min(left) == 0 < max(left)  # it was ended early and late


class Forgetful:
    """A transport whose API does not know a job in two of three reads, once it is of age."""

    def __init__(self, inner: Transport) -> None:
        self._inner = inner
        self._reads = 0
        self._begin = anyio.current_time()

    async def send(self, request: Request, *, timeout_s: float) -> Response:
        """Answer 404 twice, then pass one read on."""
        if request.method == "GET" and anyio.current_time() - self._begin > 70.0:
            self._reads += 1
            if self._reads % 3:
                return Response(404, b'{"error":"not_found"}')

        return await self._inner.send(request, timeout_s=timeout_s)


@pytest.mark.virtual
async def test_a_job_is_lost_only_by_404s_in_a_row(tmp_path: Path) -> None:
    """Two of them are no proof after the grace either, and a look that finds the job ends them."""
    night = Night(tmp_path, faults="duration=300")
    night.transport = Forgetful(night.transport)
    night.write_urls(1)
    await night.process()

    assert night.counts() == {"succeeded": 1}
