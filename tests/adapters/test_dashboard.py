"""The dashboard's server: who may look, what is told, and that nobody who looks is waited for."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio
import anyio.abc
import pytest

from batcher.adapters import dashboard
from batcher.adapters.dashboard import BEAT_S, SEND_S, Events, Shown, Site, showing
from batcher.core.errors import UsageError
from batcher.core.secret import Secret
from tests.support.clock import run_virtual

pytestmark = pytest.mark.virtual

TOKEN = "0123456789abcdef0123456789abcdef"
CANARY = "canary-7c1e"
PAGE = Shown("text/html", b"the page", "default-src 'none'")


async def hello() -> bytes:
    """Return everything so far."""
    return b'"hello"'


async def report() -> Shown:
    """Return another page."""
    return Shown("text/html", b"the report")


@asynccontextmanager
async def shown(events: Events | None = None) -> AsyncIterator[int]:
    """Show a page at a free port."""
    site = Site(PAGE, events or Events(hello), {"report.html": report})
    async with showing("127.0.0.1:0", Secret(TOKEN, "test"), site, "--dashboard") as address:
        yield int(address.rpartition(":")[2])


async def said(port: int, request: bytes) -> bytes:
    """Send a request and return everything that comes back until the connection closes."""
    answer = b""
    try:
        async with await anyio.connect_tcp("127.0.0.1", port) as stream:
            await stream.send(request)
            while True:
                answer += await stream.receive()
    except (anyio.EndOfStream, anyio.BrokenResourceError):
        return answer


def get(path: str = f"/{TOKEN}/", method: str = "GET", host: str = "127.0.0.1:8787") -> bytes:
    """Return a request."""
    return f"{method} {path} HTTP/1.1\r\nHost: {host}\r\n\r\n".encode()


@pytest.mark.parametrize(
    ("request_", "status", "body"),
    [
        (get(), 200, b"the page"),
        (get(host="localhost"), 200, b"the page"),
        (get(host="LOCALHOST:9000"), 200, b"the page"),  # a tunnel's port
        (get(host="[::1]:8787"), 200, b"the page"),
        (get(f"/{TOKEN}/report.html"), 200, b"the report"),
        (get(f"/{TOKEN}/report.html?{CANARY}"), 200, b"the report"),
        (get(f"/{TOKEN}"), 404, b""),
        (get(f"/{TOKEN}/{CANARY}"), 404, b""),
        (get(f"/{TOKEN}/../run.toml"), 404, b""),
        (get("/"), 404, b""),
        (get(f"/{TOKEN[:-1]}/"), 404, b""),
        (get(f"/{TOKEN[:-1]}g/"), 404, b""),
        (get(f"/?token={TOKEN}"), 404, b""),
        (get(f"/%C3%A9{CANARY}/"), 404, b""),
        (get(host=f"{CANARY}.example"), 421, b""),
        (get(host=f"127.0.0.1.{CANARY}.example:8787"), 421, b""),
        (get(host=""), 421, b""),
        (get(method="HEAD"), 405, b""),
        (get(method="POST"), 405, b""),
        (get(method="DELETE"), 405, b""),
        (f"GET /{TOKEN}/ HTTP/0.9\r\n\r\n".encode(), 400, b""),
        (f"{CANARY}\r\n\r\n".encode(), 400, b""),
        (f"GET /{'x' * 2_000}{CANARY} HTTP/1.1\r\n\r\n".encode(), 400, b""),
        (b"GET / HTTP/1.1\r\n" + b"a: b\r\n" * 100 + b"\r\n", 400, b""),
        (b"GET / HTTP/1.1\r\na: " + b"x" * 9_000 + b"\r\n\r\n", 400, b""),
    ],
)
async def test_who_gets_what(request_: bytes, status: int, body: bytes) -> None:
    """Only a GET with the token, to this machine's own name or address, gets anything.

    All else is refused in silence, and the next one is served.
    """
    async with shown() as port:
        answer = await said(port, request_)
        after = await said(port, get())

    head, _, got = answer.partition(b"\r\n\r\n")
    assert int(head.split(b" ", 2)[1]) == status
    assert got == body
    assert CANARY.encode() not in answer
    assert TOKEN.encode() not in answer
    assert b"set-cookie" not in head.lower()
    assert after.endswith(b"the page")


async def test_a_page_says_what_it_may_do() -> None:
    """Its policy, no referrer with the token in it, no copy in a cache."""
    async with shown() as port:
        head, _, _ = (await said(port, get())).partition(b"\r\n\r\n")

    assert b"\r\nContent-Security-Policy: default-src 'none'\r\n" in head + b"\r\n"
    assert b"\r\nReferrer-Policy: no-referrer\r\n" in head + b"\r\n"
    assert b"\r\nCache-Control: no-store\r\n" in head + b"\r\n"


async def test_a_viewer_is_told_everything_once_and_let_go_at_the_end() -> None:
    """First what was, then each event; the last one arrives although the server closes."""
    events = Events(hello)
    async with shown(events) as port, anyio.create_task_group() as group:
        told: list[bytes] = []

        async def look() -> None:
            told.append(await said(port, get(f"/{TOKEN}/events")))

        group.start_soon(look)
        await anyio.sleep(1)
        events.send("frame", b'{"n":1}')
        await anyio.sleep(1)
        events.send("end", b"{}")
        events.close()

    head, _, body = told[0].partition(b"\r\n\r\n")
    assert b"\r\nContent-Type: text/event-stream\r\n" in head + b"\r\n"
    lines = [line for line in body.split(b"\n") if line.startswith((b"event:", b"data:"))]
    assert lines == [
        *(b"event: hello", b'data: "hello"'),
        *(b"event: frame", b'data: {"n":1}'),
        *(b"event: end", b"data: {}"),
    ]
    assert events.viewers == 0


async def test_a_quiet_stream_shows_that_it_lives() -> None:
    """Without news there is a line without meaning now and then: proxies and browsers wait."""
    events = Events(hello)
    async with shown(events) as port, await anyio.connect_tcp("127.0.0.1", port) as stream:
        await stream.send(get(f"/{TOKEN}/events"))
        seen = b""
        with anyio.move_on_after(2 * BEAT_S + 1):
            while True:
                seen += await stream.receive()

    assert seen.count(b"\n:\n\n") == 2


async def test_who_does_not_read_is_cut_off_and_nobody_waits() -> None:
    """Sending takes no time whoever looks; the others get the newest, who stands still is gone."""
    events = Events(hello)
    async with shown(events) as port:
        slow = socket.socket()
        slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
        slow.connect(("127.0.0.1", port))
        slow.sendall(get(f"/{TOKEN}/events"))
        async with await anyio.connect_tcp("127.0.0.1", port) as quick:
            await quick.send(get(f"/{TOKEN}/events"))
            await anyio.sleep(1)
            assert events.viewers == 2
            sent = 0
            while events.viewers == 2:
                events.send("frame", b"%d" % sent + b"x" * 30_000)
                sent += 1
                assert sent < 2_000, "a viewer that takes nothing is kept"
                await _drained(quick)

            events.send("frame", b"the-newest")
            assert b"the-newest" in await quick.receive()
            assert events.viewers == 1

        slow.close()


async def _drained(stream: anyio.abc.ByteReceiveStream) -> None:
    """Read what has come."""
    with anyio.move_on_after(0.5):
        while True:
            await stream.receive()


async def test_a_head_that_never_ends_is_cut_off() -> None:
    """A connection that says nothing is closed within seconds."""
    async with shown() as port:
        begin = anyio.current_time()
        async with await anyio.connect_tcp("127.0.0.1", port) as stream:
            await stream.send(b"GET /")
            with pytest.raises((anyio.EndOfStream, anyio.BrokenResourceError)):
                await stream.receive()

        assert anyio.current_time() - begin <= SEND_S + 1


async def test_one_too_many_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only so many connections are open at a time, streams among them."""
    monkeypatch.setattr(dashboard, "CONNECTIONS_MAX", 1)
    async with shown() as port, await anyio.connect_tcp("127.0.0.1", port) as first:
        await first.send(get(f"/{TOKEN}/events"))
        assert (await first.receive()).startswith(b"HTTP/1.1 200")
        assert await said(port, get()) == b""


async def test_a_page_that_fails_is_told_to_nobody_outside() -> None:
    """A bug behind a page is a bare 500, and the others are served."""

    async def broken() -> bytes:
        raise RuntimeError(CANARY)

    async with shown(Events(broken)) as port:
        answer = await said(port, get(f"/{TOKEN}/events"))
        after = await said(port, get())

    assert CANARY.encode() not in answer
    assert after.endswith(b"the page")


def test_a_port_in_use_is_the_users_to_mend() -> None:
    """It is refused with what to do, before anything goes on, and without the token."""

    async def main() -> None:
        async with shown() as port:
            site = Site(PAGE, Events(hello))
            with pytest.raises(UsageError, match=f"--listen 127.0.0.1:{port}: cannot listen") as e:
                async with showing(f"127.0.0.1:{port}", Secret(TOKEN, "test"), site, "--listen"):
                    pass

            assert TOKEN not in str(e.value)

    run_virtual(main)
