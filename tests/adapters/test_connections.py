"""Deadlines: kept in every phase of a request against everybody, and never against an answer."""

from __future__ import annotations

import asyncio
import os
import socket
import ssl
import sys
import threading
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, cast

import aiohttp
import anyio
import pytest
from aiohttp.connector import Connection
from hypothesis import given
from hypothesis import strategies as st

from batcher.adapters import connections
from batcher.adapters.connections import GRACE_S, TICK_S, Connector, Deadlines
from batcher.core.errors import Lost, NotSent
from batcher.core.exchange import FilePart, Request
from tests.adapters.test_http import NEVER_S, STATUS, SUBMIT, transport_to
from tests.support.clock import run_virtual
from tests.support.hostile import PATIENCE_S, Peer, Script, closed_port, hostile, open_files

INTERIM = b"HTTP/1.1 100 Continue\r\n\r\n" * 2_600
HEAD = b"HTTP/1.1 202 Accepted\r\n"
SHORT_S = 0.3  # of requests that are never answered: no test depends on its length


def _silent(peer: Peer) -> None:
    peer.request()
    peer.wait_gone()


def _flood(peer: Peer) -> None:
    peer.request()
    while not peer.ended.is_set():
        peer.send(INTERIM)


def _drips(*head: bytes) -> Script:
    """Return a script that answers a byte at a time, and never ends."""

    def script(peer: Peer) -> None:
        peer.request()
        peer.send(HEAD, *head, b"\r\n")
        while not peer.ended.wait(0.02):
            peer.send(b" ")

    return script


@pytest.fixture(params=["asyncio", "uvloop"])
def on_loop(request: pytest.FixtureRequest) -> Callable[[Coroutine[Any, Any, None]], None]:
    """Return what runs a coroutine on one kind of event loop: each aborts in its own way."""
    if request.param == "uvloop":
        pytest.importorskip("uvloop")

    def run(main: Coroutine[Any, Any, None]) -> None:
        uvloop = sys.modules.get("uvloop")
        factory = asyncio.new_event_loop if request.param == "asyncio" else uvloop.new_event_loop  # type: ignore[union-attr]  # imported above
        with asyncio.Runner(loop_factory=factory) as runner:
            runner.run(main)

    return run


def _interim(peer: Peer) -> None:
    peer.request()
    while not peer.ended.wait(0.02):
        peer.send(b"HTTP/1.1 102 Processing\r\n\r\n")


# --- In every phase of a request -----------------------------------------------------------------

ENDLESS: dict[str, Script] = {
    "waiting for the head": _silent,
    "an interim answer now and then": _interim,
    "in a body": _drips(b"Content-Length: 4000\r\n"),
    # The cut is what ends such a body: it must not look as if the server had.
    "in a body of no length": _drips(),
}


@pytest.mark.parametrize("phase", ENDLESS)
def test_a_request_ends_in_time_whatever_the_peer_does(
    phase: str, on_loop: Callable[[Coroutine[Any, Any, None]], None]
) -> None:
    """Nothing that a peer sends, or does not, keeps a request beyond its time: it is lost then."""

    async def send() -> None:
        with hostile(ENDLESS[phase]) as server:
            async with transport_to(server.url) as transport:
                with pytest.raises(Lost, match=r"no whole answer from .* in 0\.3 s"):
                    await transport.send(SUBMIT, timeout_s=SHORT_S)

    on_loop(send())


def test_a_flood_of_interim_answers_is_not_heard_to_its_end(
    on_loop: Callable[[Coroutine[Any, Any, None]], None],
) -> None:
    """A hundred are enough: no processor time is spent on more, and the deadline is not needed."""

    async def send() -> None:
        with hostile(_flood) as server:
            async with transport_to(server.url) as transport:
                with pytest.raises(Lost, match="interim"):
                    await transport.send(SUBMIT, timeout_s=PATIENCE_S)

    on_loop(send())


def test_an_upload_that_nobody_takes_ends_in_time(
    tmp_path: Path, on_loop: Callable[[Coroutine[Any, Any, None]], None]
) -> None:
    """A server that stops to read keeps no request, and no file open."""
    path = tmp_path / "large"
    path.touch()
    os.truncate(path, 48_000_000)

    def script(peer: Peer) -> None:
        peer.head()
        peer.ended.wait(PATIENCE_S)

    async def send() -> None:
        part = FilePart("file", str(path), "a.png", "image/png")
        with hostile(script) as server:
            async with transport_to(server.url) as transport:
                with pytest.raises(Lost, match="no whole answer"):
                    await transport.send(
                        Request("POST", "/upload", files=(part,)), timeout_s=SHORT_S
                    )

        assert open_files(tmp_path) == []

    on_loop(send())


def test_a_connection_that_is_never_made_ends_in_time(
    on_loop: Callable[[Coroutine[Any, Any, None]], None],
) -> None:
    """Where packets are dropped nothing left: the time-out to connect ends before the request's."""

    async def send(port: int) -> None:
        async with transport_to(f"http://127.0.0.1:{port}") as transport:
            with pytest.raises(NotSent, match="in time"):
                await transport.send(SUBMIT, timeout_s=SHORT_S)

    with socket.create_server(("127.0.0.1", 0), backlog=0) as listener:
        address = listener.getsockname()
        waiting = []
        for _ in range(4):  # Linux drops what comes to a full line
            waiting.append(socket.socket())
            waiting[-1].setblocking(False)
            waiting[-1].connect_ex(address)

        on_loop(send(address[1]))
        for one in waiting:
            one.close()


def test_tls_is_cut_off_too(
    self_signed: ssl.SSLContext, on_loop: Callable[[Coroutine[Any, Any, None]], None]
) -> None:
    """A connection under TLS is aborted, not closed in good order with a peer that is silent."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE

    async def get() -> None:
        with hostile(_silent, tls=self_signed) as server, anyio.fail_after(PATIENCE_S):
            connector = Connector(ssl=context)
            async with aiohttp.ClientSession(connector=connector) as session:
                with connector.deadlines.way(SHORT_S) as way:
                    with pytest.raises(aiohttp.ClientConnectionError):
                        await session.get(server.url)

                    assert way.is_over

    on_loop(get())


def test_an_answer_that_came_while_the_process_slept_is_read(
    on_loop: Callable[[Coroutine[Any, Any, None]], None],
) -> None:
    """On every loop: where a stopped process wakes, timers are due, and what has come is read."""
    asked, answered = threading.Event(), threading.Event()

    def script(peer: Peer) -> None:
        peer.request()
        asked.set()
        peer.ended.wait(0.1)
        peer.answer(202, b"x" * 900_000)  # in several pieces
        answered.set()

    async def stop() -> None:
        await anyio.to_thread.run_sync(asked.wait, PATIENCE_S)
        threading.Event().wait(2 * SHORT_S)  # blocks the loop, as SIGSTOP would
        answered.wait(PATIENCE_S)

    async def send() -> None:
        with hostile(script) as server:
            async with (
                transport_to(server.url, body_bytes_max=1_000_000) as transport,
                anyio.create_task_group() as group,
            ):
                group.start_soon(stop)
                answer = await transport.send(SUBMIT, timeout_s=SHORT_S)

        assert (answer.status, len(answer.body)) == (202, 900_000)

    on_loop(send())


# --- Of one connection ---------------------------------------------------------------------------


@pytest.mark.parametrize("listens", [True, False])
async def test_a_way_is_missing_until_there_is_a_connection(listens: bool) -> None:
    """Before one is looked for nothing is proved; refused is proof; given is none, for ever."""
    with hostile(_silent) as server:
        port = server.port if listens else closed_port()
        connector = Connector()
        async with aiohttp.ClientSession(connector=connector) as session:
            with connector.deadlines.way(PATIENCE_S) as way, anyio.move_on_after(NEVER_S):
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
        connector = Connector()
        async with aiohttp.ClientSession(connector=connector) as session:
            with (
                connector.deadlines.way(SHORT_S),
                pytest.raises(aiohttp.ClientConnectionError),
            ):
                await session.get(server.url)


async def test_a_request_in_time_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """The cut is for one request: the connection that it used serves the next."""
    monkeypatch.setattr(connections, "GRACE_S", 0.0)

    def script(peer: Peer) -> None:
        for _ in range(2):
            peer.request()
            peer.answer(200)

    with hostile(script) as server:
        async with transport_to(server.url) as transport:
            await transport.send(STATUS, timeout_s=0.05)
            await anyio.sleep(0.1)
            await transport.send(STATUS, timeout_s=PATIENCE_S)

        assert server.connections == 1


# --- Of many: one timer --------------------------------------------------------------------------


class _Line:
    """A connection that notes when it was aborted, by the loop's clock."""

    def __init__(self) -> None:
        self.aborted_at: float | None = None

    @property
    def transport(self) -> _Line:
        return self

    def abort(self) -> None:
        self.aborted_at = asyncio.get_running_loop().time()


@given(
    st.lists(
        st.tuples(
            st.floats(0.0, 50.0),  # when it begins
            st.sampled_from([0.5, 3.0, 30.0, 120.0]),  # its time-out
            st.floats(0.0, 200.0),  # how long it takes
        ),
        min_size=1,
        max_size=12,
    )
)
def test_every_deadline_is_kept_by_one_timer(plan: list[tuple[float, float, float]]) -> None:
    """Whatever requests come and go: who is late is cut off just then, who is not never is."""

    async def request(deadlines: Deadlines, at_s: float, timeout_s: float, takes_s: float) -> None:
        await anyio.sleep(at_s)
        line = _Line()
        began = anyio.current_time()
        with deadlines.way(timeout_s) as way:
            way.found(cast("Connection", line))
            await anyio.sleep(takes_s)

        await anyio.sleep(GRACE_S + 1)
        late_s = timeout_s + GRACE_S
        if line.aborted_at is None:
            assert takes_s <= late_s + 2 * TICK_S
        else:
            assert late_s - 1e-6 <= line.aborted_at - began <= late_s + 2 * TICK_S
            assert way.is_over

    async def main() -> None:
        deadlines = Deadlines(asyncio.get_running_loop())
        async with anyio.create_task_group() as group:
            for one in plan:
                group.start_soon(request, deadlines, *one)

    run_virtual(main)


async def test_a_connection_that_comes_after_the_deadline_is_cut_off() -> None:
    """Who is given a connection too late does not begin to use it."""
    deadlines = Deadlines(asyncio.get_running_loop())
    line = _Line()
    with deadlines.way(0.0) as way:
        await anyio.sleep(2 * GRACE_S)
        assert way.is_over
        way.found(cast("Connection", line))

    assert line.aborted_at is not None
