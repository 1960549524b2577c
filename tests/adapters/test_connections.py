"""What a request knows of its connection, and the end that comes to whoever never lets it go."""

from __future__ import annotations

import asyncio
import sys

import aiohttp
import anyio
import pytest

from batcher.adapters import connections
from batcher.adapters.connections import Connector, Way
from batcher.core.errors import Lost
from tests.adapters.test_http import NEVER_S, SUBMIT, transport_to
from tests.support.hostile import PATIENCE_S, Peer, closed_port, hostile

INTERIM = b"HTTP/1.1 100 Continue\r\n\r\n" * 2_600


def _silent(peer: Peer) -> None:
    peer.request()
    peer.wait_gone()


def _flood(peer: Peer) -> None:
    peer.request()
    while not peer.ended.is_set():
        peer.send(INTERIM)


@pytest.mark.parametrize("listens", [True, False])
async def test_a_way_is_missing_until_there_is_a_connection(listens: bool) -> None:
    """Before one is looked for nothing is proved; refused is proof; given is none, for ever."""
    with hostile(_silent) as server:
        port = server.port if listens else closed_port()
        async with aiohttp.ClientSession(connector=Connector()) as session:
            with Way(PATIENCE_S) as way, anyio.move_on_after(NEVER_S):
                assert not way.is_missing
                with pytest.raises(aiohttp.ClientConnectorError):
                    await session.get(f"http://127.0.0.1:{port}/")

    assert way.is_missing is not listens


async def test_a_request_that_nothing_else_ends_is_cut_off(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """After its time and the grace its connection is aborted, whatever the peer does."""
    monkeypatch.setattr(connections, "GRACE_S", 0.01)
    with hostile(_silent) as server, anyio.fail_after(PATIENCE_S):
        async with aiohttp.ClientSession(connector=Connector()) as session:
            with Way(0.3), pytest.raises(aiohttp.ClientConnectionError):
                await session.get(server.url)


async def test_a_request_in_time_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """The cut is for one request: the connection that it used serves the next."""
    monkeypatch.setattr(connections, "GRACE_S", 0.0)

    def script(peer: Peer) -> None:
        for _ in range(2):
            peer.request()
            peer.answer(200)

    with hostile(script) as server:
        async with aiohttp.ClientSession(connector=Connector()) as session:
            with Way(0.01):
                assert (await session.get(server.url)).status == 200

            await anyio.sleep(0.05)
            assert (await session.get(server.url)).status == 200

        assert server.connections == 1


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
def test_interim_answers_without_end_are_ended(loop: str) -> None:
    """They leave a cancelled task something to go on with, again and again."""
    if loop not in sys.modules and loop == "uvloop":
        pytest.importorskip("uvloop")

    async def send() -> None:
        with hostile(_flood) as server:
            async with transport_to(server.url) as transport:
                with pytest.raises(Lost):
                    await transport.send(SUBMIT, timeout_s=NEVER_S)

    factory = asyncio.new_event_loop if loop == "asyncio" else sys.modules["uvloop"].new_event_loop
    with asyncio.Runner(loop_factory=factory) as runner:
        runner.run(send())
