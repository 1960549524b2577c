"""Whole runs over a network that breaks: engine, transport, downloads and server, a proxy between.

All of it is in one process, on real sockets and virtual time, so that a run with time-outs of
minutes takes none, and a busy machine changes nothing. `BATCHER_PROXY_SEEDS=100` tries more;
`make soak` does.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from random import Random

import anyio
import pytest
from anyio.abc import SocketAttribute, SocketStream

from batcher.adapters.http import HttpTransport
from batcher.core.lifecycle import OUTCOMES
from batcher.core.secret import Secret
from batcher.core.settings import Settings
from batcher.engine.files.store import open_store
from batcher.providers import PROVIDERS
from batcher.simulator import serve
from tests.engine.harness import FLUX, Night, prompt
from tests.proofs.proxy import CLEAN, ENDS, Draw, End, Proxy, Toxic, drawn, proxied

pytestmark = [pytest.mark.virtual, pytest.mark.timeout(3600)]

SEEDS = int(os.environ.get("BATCHER_PROXY_SEEDS", "3"))
ROWS = 40
CONNECTIONS = 8
LONGEST_S = 4 * 3_600.0  # on virtual time: every row has its deadlines, and none is that long


class Network:
    """A run, and the proxy that everything goes through: its API and its files."""

    def __init__(self, night: Night, proxy: Proxy) -> None:
        self.night = night
        self.proxy = proxy

    async def go(self) -> None:
        """Run one process, with the transport and the downloads of a real one."""
        night = self.night
        facts = PROVIDERS[night.provider].facts
        settings = Settings(allow_private=True, download_stall_s=30.0)
        async with AsyncExitStack() as stack:
            night.transport = await stack.enter_async_context(
                HttpTransport(
                    self.proxy.url,
                    facts.auth_header,
                    facts.auth_scheme,
                    lambda: Secret("test-key", "a test"),
                    connections=CONNECTIONS,
                    user_agent="batcher/test",
                    wall=night.clock.wall,
                )
            )
            folder = night.folder / "downloads"
            night.store = await stack.enter_async_context(
                open_store(folder, settings, night.directory)
            )
            with anyio.fail_after(LONGEST_S):
                await night.process()

    def assert_the_promise(self) -> None:
        """One job a row at most, none forgotten, and in doubt only what a broken link can be."""
        night = self.night
        traces = night.simulation.ledger.references.values()
        assert max(trace.jobs for trace in traces) == 1
        assert max(trace.submits for trace in traces) == 1  # what arrived is never sent again
        known = {record["job_id"] for name in OUTCOMES for record in night.records(name)}
        forgotten = [job for job in night.simulation.ledger.jobs if job not in known]
        doubts = night.records("in_doubt")
        assert len(forgotten) <= len(doubts) <= self.proxy.broken
        succeeded = [record["result"]["files"] for record in night.records("succeeded")]
        assert all(succeeded)  # each has its files, and they were looked at when they came


@asynccontextmanager
async def network(folder: Path, seed: int, draw: Draw = drawn) -> AsyncIterator[Network]:
    """Serve an API behind a proxy, and yield a run that goes through it."""
    api = ("removit", "deapi")[seed % 2]
    night = Night(
        folder,
        provider=api,
        seed=seed,
        params=FLUX if api == "deapi" else {},
        settings={"connections": CONNECTIONS, "job_timeout_s": 600.0, "status_rate": "100/s"},
    )
    if api == "deapi":
        night.write_rows([prompt(n) for n in range(ROWS)])
    else:
        night.write_urls(ROWS)

    urls: list[str] = []
    ready = anyio.Event()

    def on_ready(url: str) -> None:
        urls.append(url)
        ready.set()

    async def run_server() -> None:
        await serve(night.simulation, on_ready=on_ready)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(run_server)
        await ready.wait()
        async with proxied(int(urls[0].rpartition(":")[2]), seed=seed, draw=draw) as proxy:
            night.simulation.files.origin = proxy.url
            yield Network(night, proxy)

        tasks.cancel_scope.cancel()


def healthy(rng: Random) -> tuple[Toxic, Toxic]:
    """Return the fate of a link that nothing happens to."""
    return CLEAN, CLEAN


@pytest.mark.parametrize("seed", range(SEEDS))
async def test_a_network_that_breaks_costs_nothing(seed: int, tmp_path: Path) -> None:
    """However links break: nothing is paid twice or forgotten, and each row comes to its end."""
    async with network(tmp_path, seed) as here:
        await here.go()
        here.assert_the_promise()

        here.proxy.draw = healthy
        await here.go()
        here.assert_the_promise()
        assert len(here.night.outcomes()) == ROWS


async def test_a_healthy_network_leaves_no_doubt(tmp_path: Path) -> None:
    """Through the same proxy, unbroken, every row succeeds: the doubts above are the links'."""
    async with network(tmp_path, 0, healthy) as here:
        await here.go()
        here.assert_the_promise()
        assert here.night.counts() == {"succeeded": ROWS}


async def test_links_that_die_at_once_end_the_run_and_not_the_rows(tmp_path: Path) -> None:
    """Where no byte ever passes, the run gives up for now; nothing arrived, nothing was paid."""

    def dead(rng: Random) -> tuple[Toxic, Toxic]:
        return Toxic(end=End.RESET), CLEAN

    async with network(tmp_path, 0, dead) as here:
        here.night.settings["max_outage_s"] = 60.0
        await here.go()
        assert here.night.simulation.ledger.counts()["submits"] == 0
        assert len(here.night.records("in_doubt")) <= here.proxy.broken
        assert here.night.records("failed") == []


# --- The proxy itself ----------------------------------------------------------------------------


def test_many_links_are_to_break() -> None:
    """The runs above meet what they are about: each way of an eighth of the links has an end."""
    drawings = [drawn(Random(f"{seed}:{n}")) for seed in range(20) for n in range(20)]
    for way in (0, 1):
        ends = [fates[way].end for fates in drawings]
        assert len([end for end in ends if end is not End.NONE]) > len(ends) // 8


SENT = bytes(range(256)) * 20
HARMLESS = (
    CLEAN,
    Toxic(latency_s=5.0, jitter_s=5.0),
    Toxic(bytes_per_s=100.0),
    Toxic(slice_bytes=7),
)


async def answered(toxic: Toxic, *, is_up: bool) -> tuple[bytes, bool, bool]:
    """Send bytes to an echo through a toxic: what came back, whether by a reset, is it broken."""

    async def echo(peer: SocketStream) -> None:
        with contextlib.suppress(OSError, anyio.BrokenResourceError):
            async with peer:
                async for piece in peer:
                    await peer.send(piece)

    def draw(rng: Random) -> tuple[Toxic, Toxic]:
        return (toxic, CLEAN) if is_up else (CLEAN, toxic)

    got, was_reset = b"", False
    async with (
        await anyio.create_tcp_listener(local_host="127.0.0.1") as listener,
        anyio.create_task_group() as tasks,
        proxied(listener.extra(SocketAttribute.local_port), draw=draw) as proxy,
    ):
        tasks.start_soon(listener.serve, echo)
        async with await anyio.connect_tcp("127.0.0.1", proxy.port) as stream:
            with anyio.move_on_after(600.0):
                try:
                    await stream.send(SENT)
                    await stream.send_eof()
                    async for piece in stream:
                        got += piece
                except (OSError, anyio.BrokenResourceError):
                    was_reset = True

        tasks.cancel_scope.cancel()

    return got, was_reset, proxy.broken == 1


@pytest.mark.parametrize("toxic", HARMLESS)
@pytest.mark.parametrize("is_up", [True, False])
async def test_late_slow_and_sliced_is_whole(toxic: Toxic, is_up: bool) -> None:
    """Every byte arrives, in order and unchanged, and the end of it is seen."""
    assert await answered(toxic, is_up=is_up) == (SENT, False, False)


@pytest.mark.parametrize("end", ENDS)
@pytest.mark.parametrize("is_up", [True, False])
@pytest.mark.parametrize("after", [0, 1, 1_000])
async def test_a_broken_link_passes_a_beginning(end: End, is_up: bool, after: int) -> None:
    """No byte behind the place where it breaks, none changed before it, and it is told of."""
    got, was_reset, is_broken = await answered(Toxic(end=end, after_bytes=after), is_up=is_up)
    assert SENT.startswith(got)
    assert len(got) <= after
    assert is_broken
    assert was_reset or end is not End.RESET
