"""The port that shows how a run stands: it only reads, and bad requests cost nothing."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio
import pytest

from batcher.adapters import scrape
from batcher.adapters.scrape import Page, showing
from batcher.core.errors import UsageError
from tests.support.clock import run_virtual

pytestmark = pytest.mark.virtual

CANARY = "canary-7c1e"
PAGES = {
    "/metrics": lambda: Page(200, "text/plain", b"x 1\n"),
    "/health": lambda: Page(503, "application/json", b"{}\n"),
}


@asynccontextmanager
async def shown() -> AsyncIterator[int]:
    """Show the pages at a free port."""
    async with showing("127.0.0.1:0", PAGES) as address:
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


def get(path: str, method: str = "GET") -> bytes:
    """Return a request."""
    return f"{method} {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode()


@pytest.mark.parametrize(
    ("request_", "status", "body"),
    [
        (get("/metrics"), 200, b"x 1\n"),
        (get("/metrics?a=b"), 200, b"x 1\n"),
        (get("/metrics", "HEAD"), 200, b""),
        (get("/health"), 503, b"{}\n"),
        (get(f"/{CANARY}"), 404, b""),
        (get("/metrics", "POST"), 405, b""),
        (get("/metrics", "DELETE"), 405, b""),
        (f"{CANARY}\r\n\r\n".encode(), 400, b""),
        (f"GET /{'x' * 2_000}{CANARY} HTTP/1.1\r\n\r\n".encode(), 400, b""),
        (b"GET / HTTP/1.1\r\n" + b"a: b\r\n" * 100 + b"\r\n", 400, b""),
        (b"GET / HTTP/1.1\r\na: " + b"x" * 9_000 + b"\r\n\r\n", 400, b""),
    ],
)
async def test_what_is_answered(request_: bytes, status: int, body: bytes) -> None:
    """Two pages, read only; all else is refused in silence, and the next one is served."""
    async with shown() as port:
        answer = await said(port, request_)
        after = await said(port, get("/metrics"))

    head, _, got = answer.partition(b"\r\n\r\n")
    assert int(head.split(b" ", 2)[1]) == status
    assert got == body
    assert CANARY.encode() not in answer
    assert b"server: batcher\r\n" in head.lower() + b"\r\n"
    assert after.endswith(b"x 1\n")


async def test_a_head_that_never_ends_is_cut_off() -> None:
    """A connection that says nothing is closed within seconds."""
    async with shown() as port:
        begin = anyio.current_time()
        async with await anyio.connect_tcp("127.0.0.1", port) as stream:
            await stream.send(b"GET /metr")
            with pytest.raises((anyio.EndOfStream, anyio.BrokenResourceError)):
                await stream.receive()

        assert anyio.current_time() - begin <= scrape.SEND_S + 1


async def test_one_too_many_is_cut_off_and_the_others_are_served(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Only so many connections are open at a time; when they are gone there is room again."""
    monkeypatch.setattr(scrape, "CONNECTIONS_MAX", 1)
    async with shown() as port:
        async with await anyio.connect_tcp("127.0.0.1", port) as first:
            await first.send(b"GET /metr")
            assert await said(port, get("/metrics")) == b""
            await first.send(b"ics HTTP/1.1\r\nHost: x\r\n\r\n")
            assert (await first.receive()).startswith(b"HTTP/1.1 200")

        await anyio.sleep(scrape.SEND_S)
        assert (await said(port, get("/metrics"))).endswith(b"x 1\n")


async def test_a_page_that_fails_is_told_to_nobody_outside() -> None:
    """A bug behind a page is a bare 500, and the port stays open."""

    def broken() -> Page:
        raise RuntimeError(CANARY)

    async with showing("127.0.0.1:0", {**PAGES, "/broken": broken}) as address:
        port = int(address.rpartition(":")[2])
        answer = await said(port, get("/broken"))
        after = await said(port, get("/metrics"))

    assert answer.startswith(b"HTTP/1.1 500")
    assert CANARY.encode() not in answer
    assert after.endswith(b"x 1\n")


def test_a_port_in_use_is_the_users_to_mend() -> None:
    """It is refused with what to do, before anything goes on."""

    async def main() -> None:
        async with shown() as port:
            with pytest.raises(UsageError, match=f"--metrics-port 127.0.0.1:{port}: cannot listen"):
                async with showing(f"127.0.0.1:{port}", PAGES):
                    pass

    run_virtual(main)
