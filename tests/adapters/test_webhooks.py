"""The receiver of webhooks, on real sockets: what strangers can send, and what they hear."""

from __future__ import annotations

import gc
import re
import socket
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import anyio
import anyio.abc
import pytest

from batcher.adapters import webhooks
from batcher.adapters.webhooks import Answer, receiving
from batcher.core.errors import UsageError

pytestmark = pytest.mark.virtual

CANARY = "canary-7c1e"


class Desk:
    """Takes calls and keeps them."""

    def __init__(self, answer: Answer = Answer.TAKEN) -> None:
        self.calls: list[tuple[str, Mapping[str, str], bytes]] = []
        self.answer = answer
        self.wait_s = 0.0
        self.failure: Exception | None = None

    async def take(self, path: str, headers: Mapping[str, str], body: bytes) -> Answer:
        """Keep a call."""
        self.calls.append((path, headers, body))
        await anyio.sleep(self.wait_s)
        if self.failure is not None:
            raise self.failure

        return self.answer


@asynccontextmanager
async def served(desk: Desk) -> AsyncIterator[int]:
    """Serve on a free port."""
    async with receiving("127.0.0.1:0", desk.take) as address:
        yield int(address.rpartition(":")[2])


async def said(port: int, *parts: bytes, ends: bool = False) -> bytes:
    """Send *parts* over one connection and return everything that comes back until it closes."""
    async with await anyio.connect_tcp("127.0.0.1", port) as stream:
        return await heard(stream, *parts, ends=ends)


async def heard(stream: anyio.abc.SocketStream, *parts: bytes, ends: bool = False) -> bytes:
    """Send *parts* and return what comes back; with `ends` send nothing more after it."""
    answer = b""
    try:
        for part in parts:
            await stream.send(part)

        if ends:
            await stream.send_eof()

        while True:
            answer += await stream.receive()
    except (anyio.EndOfStream, anyio.BrokenResourceError):
        return answer


def post(path: str = "/1-1-ab", body: bytes = b"{}", *headers: str) -> bytes:
    """Return a POST."""
    lines = [f"POST {path} HTTP/1.1", "Host: x", f"Content-Length: {len(body)}", *headers]
    return "\r\n".join([*lines, "", ""]).encode() + body


def status(answer: bytes) -> int:
    """Return the status of an answer."""
    return int(answer.split(b" ", 2)[1])


@pytest.mark.parametrize("verdict", list(Answer))
async def test_the_verdict_becomes_the_status(verdict: Answer) -> None:
    """200 taken, 401 not proved, 404 no such address, 503 again later: and nothing but that."""
    desk = Desk(verdict)
    async with served(desk) as port:
        answer = await said(port, post("/b/1-1-ab?x=1", b'{"a":1}', "X-DeAPI-Event: job.completed"))

    assert status(answer) == verdict
    head, _, body = answer.partition(b"\r\n\r\n")
    assert body == b""
    assert b"server: batcher\r\n" in head.lower() + b"\r\n"
    (call,) = desk.calls
    assert call[0] == "/b/1-1-ab"
    assert call[1]["x-deapi-event"] == "job.completed"
    assert call[2] == b'{"a":1}'


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "DELETE", "OPTIONS", "CONNECT", "TRACE"])
async def test_only_post_is_received(method: str) -> None:
    """Whatever the path, and without a look at it."""
    desk = Desk()
    async with served(desk) as port:
        answer = await said(port, f"{method} /{CANARY} HTTP/1.1\r\nHost: x\r\n\r\n".encode())

    assert status(answer) == 405
    assert b"\r\nallow: post\r\n" in answer.lower()
    assert CANARY.encode() not in answer
    assert desk.calls == []


@pytest.mark.parametrize(
    "request_bytes",
    [
        f"{CANARY}\r\n\r\n".encode(),
        f"POST /{CANARY}\r\n\r\n".encode(),
        f"POST / HTTP/1.1\r\nHost: x\r\n{CANARY}\r\n\r\n".encode(),
        f"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: {CANARY}\r\n\r\n".encode(),
        b"POST / HTTP/1.1\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
        f"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n{CANARY}\r\n".encode(),
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + CANARY.encode() + b"\r\n\r\n",
    ],
    ids=["noise", "no-version", "bad-header", "bad-length", "two-lengths", "bad-chunk", "tls"],
)
async def test_what_cannot_be_read_is_400_and_not_quoted(
    request_bytes: bytes, capfd: pytest.CaptureFixture[str]
) -> None:
    """Nothing that was sent comes back, nor does anything about the software or onto the screen."""
    desk = Desk()
    async with served(desk) as port:
        answer = await said(port, request_bytes)

    assert status(answer) == 400
    assert CANARY.encode() not in answer
    assert b"aiohttp" not in answer.lower()
    assert desk.calls == []
    assert capfd.readouterr() == ("", "")


async def test_a_body_at_the_limit_is_taken_and_one_above_is_not() -> None:
    """64 KiB, whether its length is told or it comes in chunks; what is told is not waited for."""
    desk = Desk()
    most = b"x" * webhooks.BODY_BYTES_MAX
    chunked = b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
    async with served(desk) as port:
        assert status(await said(port, post(body=most))) == 200
        told = f"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: {len(most) + 1}\r\n\r\n".encode()
        assert status(await said(port, told)) == 413
        assert status(await said(port, chunked, b"10001\r\n" + most + b"x\r\n0\r\n\r\n")) == 413
        endless = [b"4000\r\n" + b"x" * 0x4000 + b"\r\n" for _ in range(8)]
        assert status(await said(port, chunked, *endless)) == 413

    assert [len(body) for _, _, body in desk.calls] == [len(most)]


async def test_the_body_is_handed_over_as_it_was_sent() -> None:
    """A signature is over bytes: nothing is decoded, and nothing unpacked."""
    desk = Desk()
    body = b'{"url":"https:\\/\\/x"}\xff\x00'
    async with served(desk) as port:
        await said(port, post("/a", body, "Content-Encoding: gzip"))

    assert desk.calls[0][2] == body


@pytest.mark.parametrize(
    "head",
    [
        b"POST /" + b"a" * 5_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: x\r\nX-A: " + b"a" * 5_000 + b"\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: x\r\n" + b"a" * 5_000 + b": 1\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: x\r\n" + b"X-A: b\r\n" * 100 + b"\r\n",
    ],
    ids=["path", "value", "name", "number"],
)
async def test_a_huge_head_is_refused(head: bytes) -> None:
    """Neither one field nor all of them can fill the memory."""
    desk = Desk()
    async with served(desk) as port:
        assert status(await said(port, head)) == 400

    assert desk.calls == []


async def test_a_head_that_never_ends_is_cut_off() -> None:
    """Megabytes of one header are not gathered: the connection is gone long before."""
    desk = Desk()
    pieces = [b"a" * 60_000] * 100
    async with served(desk) as port:
        begin = anyio.current_time()
        answer = await said(port, b"POST / HTTP/1.1\r\nHost: x\r\nX-A: ", *pieces)
        assert not answer or status(answer) == 400
        assert anyio.current_time() - begin < webhooks.SEND_S

    assert desk.calls == []


@pytest.mark.parametrize(
    "begun",
    [b"", b"POST / HT", b"POST / HTTP/1.1\r\nHost: x\r\nX-A: b\r\n", post(body=b"12345")[:-2]],
    ids=["nothing", "line", "head", "body"],
)
async def test_a_slow_sender_is_cut_off(begun: bytes) -> None:
    """Who opens a connection must send its request; drop by drop does not count as sending."""
    desk = Desk()
    async with served(desk) as port:
        begin = anyio.current_time()
        async with await anyio.connect_tcp("127.0.0.1", port) as stream:
            if begun:
                await stream.send(begun)

            answer = await heard(stream)

        assert anyio.current_time() - begin <= 2 * webhooks.SEND_S + 1
        assert not answer or status(answer) == 408

    assert desk.calls == []


async def test_a_header_that_drips_does_not_keep_the_connection() -> None:
    """A byte each second is a slow loris, not a client."""
    desk = Desk()
    async with served(desk) as port:
        begin = anyio.current_time()
        async with await anyio.connect_tcp("127.0.0.1", port) as stream:
            with suppress(anyio.BrokenResourceError, anyio.EndOfStream):
                for byte in b"POST / HTTP/1.1\r\nX-A: " + b"b" * 100:
                    await stream.send(bytes([byte]))
                    with anyio.move_on_after(1.0):
                        await stream.receive()

        assert anyio.current_time() - begin < webhooks.SEND_S + 3

    assert desk.calls == []


async def test_one_connection_carries_one_call() -> None:
    """Keep-alive is declined, and what was sent behind the first request is not looked at."""
    desk = Desk()
    async with served(desk) as port:
        answer = await said(port, post("/1", b"{}", "Connection: keep-alive") + post("/2"))

    assert answer.lower().count(b"http/1.1 200") == 1
    assert b"connection: close" in answer.lower()
    assert [path for path, _, _ in desk.calls] == ["/1"]


async def test_so_many_connections_are_open_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """One too many is cut off at once; when another one has gone, there is room again."""
    monkeypatch.setattr(webhooks, "CONNECTIONS_MAX", 3)
    desk = Desk()
    async with served(desk) as port:
        streams = [await anyio.connect_tcp("127.0.0.1", port) for _ in range(3)]
        begin = anyio.current_time()
        assert await said(port, post()) == b""
        assert anyio.current_time() - begin < 1.0
        await streams.pop().aclose()
        await anyio.sleep(0.1)
        assert status(await said(port, post())) == 200
        for stream in streams:
            await stream.aclose()


async def test_a_crowd_at_the_door_leaves_nothing_behind(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Connections that are too many cost no line each: a pipe that nobody reads would fill up."""
    monkeypatch.setattr(webhooks, "CONNECTIONS_MAX", 0)
    async with served(Desk()) as port:
        for _ in range(20):
            assert await said(port, post()) == b""

    gc.collect()  # only then is it told what a task has failed at
    assert caplog.records == []


@pytest.mark.parametrize("uvloop", [False, True])
def test_one_too_many_is_cut_off_on_every_loop(
    uvloop: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run is on uvloop where that is installed: there, too, nobody is left hanging."""
    if uvloop:
        pytest.importorskip("uvloop")

    monkeypatch.setattr(webhooks, "CONNECTIONS_MAX", 0)

    async def knock() -> bytes:
        with anyio.fail_after(5.0):
            async with served(Desk()) as port:
                return await said(port, post())

    assert anyio.run(knock, backend_options={"use_uvloop": uvloop}) == b""


async def test_who_is_not_answered_in_time_hears_busy() -> None:
    """The API gives a receiver ten seconds; what takes longer is to be sent again."""
    desk = Desk()
    desk.wait_s = 60.0
    async with served(desk) as port:
        begin = anyio.current_time()
        assert status(await said(port, post())) == 503
        assert anyio.current_time() - begin < 8.0


async def test_a_failure_behind_the_receiver_is_told_to_nobody_outside(
    capfd: pytest.CaptureFixture[str],
) -> None:
    """A bug is a bare 500, and the receiver goes on."""
    desk = Desk()
    desk.failure = RuntimeError(CANARY)
    async with served(desk) as port:
        answer = await said(port, post())
        desk.failure = None
        assert status(await said(port, post())) == 200

    assert status(answer) == 500
    assert CANARY.encode() not in answer
    assert capfd.readouterr() == ("", "")


async def test_the_end_waits_for_nobody() -> None:
    """A connection that is open, or a call that is being looked at, does not hold up the end."""
    desk = Desk()
    desk.wait_s = 5.0
    async with anyio.create_task_group() as group:
        async with served(desk) as port:
            group.start_soon(said, port, b"POST / HTTP")
            group.start_soon(said, port, post())
            await anyio.sleep(0.5)
            begin = anyio.current_time()

        assert anyio.current_time() - begin < 3.0
        group.cancel_scope.cancel()


async def test_a_port_in_use_is_the_users_to_mend() -> None:
    """One line that names the flag and the address."""
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        with pytest.raises(UsageError, match=f"--webhook-listen 127.0.0.1:{port}: cannot listen"):
            async with receiving(f"127.0.0.1:{port}", Desk().take):
                pass


@pytest.mark.parametrize("listen", ["192.0.2.1:0", "127.0.0.1:99999", "127.0.0.1", "x:y", ""])
async def test_an_address_that_cannot_be_had_is_the_users_to_mend(listen: str) -> None:
    """No address of this machine, no port, no address at all: one line, no traceback."""
    with pytest.raises(UsageError, match=f"--webhook-listen {re.escape(listen)}: cannot listen"):
        async with receiving(listen, Desk().take):
            pass


@pytest.mark.skipif(not Path("/proc/net/if_inet6").exists(), reason="this machine has no IPv6")
async def test_an_ipv6_address_stands_in_brackets() -> None:
    """As in a URL."""
    async with receiving("[::1]:0", Desk().take) as address:
        port = int(address.removeprefix("[::1]:"))
        async with await anyio.connect_tcp("::1", port) as stream:
            assert status(await heard(stream, post())) == 200
