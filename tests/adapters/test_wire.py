"""One connection and those that wait: the short way to an answer, idleness and limits."""

from __future__ import annotations

import asyncio
import gzip
import socket
import threading
from collections.abc import Awaitable, Callable

import anyio
import anyio.lowlevel
import anyio.to_thread
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from batcher.adapters.http import pool
from batcher.adapters.http.wire import Answer, Wire
from tests.adapters.test_http import STATUS, SUBMIT, transport_to
from tests.support.hostile import PATIENCE_S, Peer, hostile

Read = Callable[[Wire, bytes], Awaitable[Answer | None]]
Heard = tuple[int, tuple[tuple[bytes, bytes], ...], bytes, bool]

STATUS_LINES = [
    *(b"HTTP/1.1 200 OK", b"HTTP/1.1 202", b"HTTP/1.0 200 OK", b"HTTP/1.1 204 X"),
    *(b"HTTP/1.1 304 X", b"HTTP/1.1 100 X", b"HTTP/1.1 101 X", b"HTTP/2.0 200 OK"),
    *(b"\r\nHTTP/1.1 200 OK", b"HTTP/1.1 999 X", b"HTTP/1.1  200 X", b"XX"),
]
LINES = [
    *(b"Content-Length: %d", b"content-length: %d", b"Content-Length:%d ", b"Content-Length: 0%d"),
    *(b"Content-Length: +%d", b"X-Length: %d", b"Transfer-Encoding: chunked", b"A: b", b"X:"),
    *(b"Transfer-Encoding: gzip", b"Content-Encoding: gzip", b"Content-Encoding: odd"),
    *(b"Connection: close", b"Connection: keep-alive", b"Connection: upgrade", b"Upgrade: x"),
    *(b" folded", b"\tfolded", b": b", b"A : b", b"A: \xff", b"A: \0", b"", b"HTTP/1.1 200 OK"),
]
ENDS = [b"\n", b"\r", b"\n\n", b"\r\r\n", b"\r\n\r\n"]
BODIES = [
    *(b"", b'{"a":1}', b"\r\n\r\n", b"2\r\n{}\r\n0\r\n\r\n", gzip.compress(b"{}")),
    b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
]


@st.composite
def answers(draw: st.DrawFn) -> bytes:
    """Return what is nearly an answer."""
    body = draw(st.sampled_from(BODIES))
    length = max(0, len(body) + draw(st.sampled_from([0, 0, 0, -1, 1])))
    lines = [*draw(st.lists(st.sampled_from(LINES), max_size=3)), b"Content-Length: %d"]
    lines = [draw(st.sampled_from(STATUS_LINES)), *draw(st.permutations(lines)), b""]
    ends = draw(st.lists(st.just(b"\r\n"), min_size=len(lines), max_size=len(lines)))
    if draw(st.booleans()):
        ends[draw(st.integers(0, len(ends) - 1))] = draw(st.sampled_from(ENDS))

    head = b"".join(line + end for line, end in zip(lines, ends, strict=True))
    return head.replace(b"%d", b"%d" % length) + body


async def short(wire: Wire, data: bytes) -> Answer | None:
    """Return what a connection takes as it came."""
    first = wire.next_answer()
    wire.data_received(data)
    return await first


async def long(wire: Wire, data: bytes) -> Answer | None:
    """Return what aiohttp reads, if that is an answer."""
    wire.listen()
    wire.data_received(data)
    if not len(wire):
        return None

    message, content = await wire.read()
    return (message, content.read_nowait()) if content.is_eof() else None


async def early(wire: Wire, data: bytes) -> Answer | None:
    """Return what was there before it was asked for."""
    wire.data_received(data)
    first = wire.next_answer()
    assert first.done()
    assert first.result() is None
    message, content = await wire.read()
    return message, content.read_nowait()


async def heard(read: Read, data: bytes) -> Heard | None:
    """Return an answer as one way reads it, and whether its connection is of no more use."""
    here, there = socket.socketpair()
    here.setblocking(False)
    loop = asyncio.get_running_loop()
    transport, wire = await loop.create_connection(lambda: Wire(loop), sock=here)
    try:
        if (answer := await read(wire, data)) is None:
            return None

        message, body = answer
        return message.code, message.raw_headers, body, wire.should_close
    finally:
        transport.abort()
        there.close()


@given(answers())
@example(b"HTTP/1.1 200 OK\nContent-Length: 2\r\nX:\r\r\n\r\n{}")
@example(b"HTTP/1.1 200 OK\r\nX: 2\r\nContent-Length: 9\r\n\r\n{}")
@example(b"HTTP/1.1 100 X\r\nContent-Length: 2\r\n\r\n{}")
@example(b"HTTP/1.1 200 X\r\nContent-Length: 0\n\n\r\n\r\n")
def test_the_short_way_says_what_the_long_one_says(data: bytes) -> None:
    """An answer that is taken as it came is the one that aiohttp reads, to the byte."""
    taken = asyncio.run(heard(short, data))
    assert taken is None or taken == asyncio.run(heard(long, data))


@pytest.mark.parametrize("line", [b"HTTP/1.1 200 OK", b"HTTP/1.0 200 OK", b"HTTP/1.1 503 X"])
def test_a_plain_answer_goes_the_short_way(line: bytes) -> None:
    """Else nothing would be proved here."""
    data = line + b"\r\nA: b\r\nContent-Length: 2\r\n\r\n{}"
    taken = asyncio.run(heard(short, data))
    assert taken is not None
    assert taken == asyncio.run(heard(long, data))


def test_a_server_that_speaks_first_is_heard() -> None:
    """One that has no room says so to whoever connects."""
    data = b"HTTP/1.1 503 X\r\nContent-Length: 2\r\n\r\n{}"
    told = asyncio.run(heard(early, data))
    assert told is not None
    assert told == asyncio.run(heard(long, data))


async def test_a_connection_that_was_idle_for_long_is_not_used(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It is closed before the server does so, whether anything is asked after it or not."""
    monkeypatch.setattr(pool, "KEEPALIVE_S", 0.0)
    gone = threading.Semaphore(0)

    def script(peer: Peer) -> None:
        peer.request()
        peer.answer(200)
        peer.wait_gone()
        gone.release()

    with hostile(script) as server:
        async with transport_to(server.url) as transport:
            for _ in range(2):
                await transport.send(STATUS, timeout_s=PATIENCE_S)

            for _ in range(2):
                assert await anyio.to_thread.run_sync(gone.acquire, True, PATIENCE_S / 2)

    assert server.connections == 2


async def test_requests_share_few_connections() -> None:
    """Who waits for a connection gets the next that is free."""

    def script(peer: Peer) -> None:
        while True:
            peer.request()
            peer.answer(200)

    with hostile(script) as server:
        async with (
            transport_to(server.url, connections=2) as transport,
            anyio.create_task_group() as group,
        ):

            async def send() -> None:
                for _ in range(3):
                    assert (await transport.send(STATUS, timeout_s=PATIENCE_S)).status == 200

            for _ in range(7):
                group.start_soon(send)

    assert (len(server.requests), server.connections) == (21, 2)


async def test_a_connection_that_ended_leaves_its_place() -> None:
    """One that the server closed after its answer does not count any more."""
    left = threading.Semaphore(0)

    def script(peer: Peer) -> None:
        peer.request()
        peer.answer(200)
        peer.socket.close()
        left.release()

    with hostile(script) as server:
        async with transport_to(server.url, connections=1) as transport:
            for request in (STATUS, SUBMIT, STATUS):
                await transport.send(request, timeout_s=PATIENCE_S)
                await anyio.to_thread.run_sync(left.acquire, True, PATIENCE_S)

    assert server.connections == 3


async def test_a_connection_that_is_told_to_end_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    """At once, and not when it has been idle for long (RFC 9112, 9.6)."""
    monkeypatch.setattr(pool, "KEEPALIVE_S", 10 * PATIENCE_S)
    gone = threading.Semaphore(0)

    def script(peer: Peer) -> None:
        peer.request()
        peer.answer(200, b"{}", "Connection: close")
        peer.wait_gone()
        gone.release()

    with hostile(script) as server:
        async with transport_to(server.url) as transport:
            await transport.send(STATUS, timeout_s=PATIENCE_S)
            assert await anyio.to_thread.run_sync(gone.acquire, True, PATIENCE_S / 2)


@pytest.mark.parametrize("when", ["at once", "while idle"])
@pytest.mark.parametrize("surplus", [b"H", b"HTTP/1.1 2", b"HTTP/1.1 202 X\r\nX: "])
async def test_a_part_of_an_answer_that_nobody_asked_for_ends_its_connection(
    surplus: bytes, when: str
) -> None:
    """Also behind an answer that aiohttp has read: its parser would keep that part to itself."""
    leave, left = threading.Event(), threading.Event()
    packed = b"HTTP/1.1 200 X\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n"

    def talkative(peer: Peer) -> None:
        peer.request()
        if when == "at once":
            peer.send(packed, surplus)
        else:
            peer.send(packed)
            leave.wait(PATIENCE_S)
            peer.send(surplus)

        left.set()
        peer.request()  # it never comes
        peer.answer(200, b'{"honest":0}')

    def honest(peer: Peer) -> None:
        peer.request()
        peer.answer(200, b'{"honest":1}')

    with hostile(talkative, honest) as server:
        async with transport_to(server.url) as transport:
            await transport.send(STATUS, timeout_s=PATIENCE_S)
            leave.set()
            assert await anyio.to_thread.run_sync(left.wait, PATIENCE_S)
            for _ in range(10):  # what has come is read meanwhile
                await anyio.lowlevel.checkpoint()

            answer = await transport.send(STATUS, timeout_s=PATIENCE_S)

    assert (server.connections, answer.body) == (2, b'{"honest":1}')
