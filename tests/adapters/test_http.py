"""The transport against real sockets: what is an answer, what never left, and what is lost."""

from __future__ import annotations

import contextlib
import gzip
import os
import resource
import ssl
import threading
import time
import tracemalloc
import zlib
from collections.abc import Callable, Iterator
from email import message_from_bytes
from email.message import Message
from pathlib import Path

import anyio
import anyio.lowlevel
import anyio.to_thread
import pytest
from yarl import URL

from batcher.adapters.http import HttpTransport
from batcher.adapters.http.body import NOTHING
from batcher.adapters.http.conversation import converse
from batcher.adapters.http.heads import Heads
from batcher.adapters.http.origin import checked_base
from batcher.adapters.http.pool import Pool
from batcher.core.errors import Lost, NotSent, TransportError, UsageError
from batcher.core.exchange import FilePart, Request, Response
from batcher.core.secret import Secret
from batcher.providers.base import Callback
from tests.support.hostile import PATIENCE_S, Peer, Script, closed_port, hostile, open_files

KEY = "canary-key"
SUBMIT = Request("POST", "/api/v1/upload", json=b'{"mode":"clipping"}')
STATUS = Request("GET", "/api/v1/status?job_id=canary-job")
NEVER_S = 1.0  # time-out of a request that is never answered: no test depends on its length


def transport_to(
    url: str,
    *,
    connections: int = 4,
    body_bytes_max: int = 4_096,
    key: str = KEY,
    user_agent: str = "batcher/test",
) -> HttpTransport:
    """Return a transport for a test server."""
    return HttpTransport(
        url,
        "X-API-Key",
        "",
        lambda: Secret(key, "a test"),
        connections=connections,
        user_agent=user_agent,
        body_bytes_max=body_bytes_max,
        wall=lambda: 1234.5,
    )


async def send(
    url: str,
    request: Request = SUBMIT,
    *,
    timeout_s: float = PATIENCE_S,
    body_bytes_max: int = 4_096,
) -> Response:
    """Send one request with a transport of its own."""
    async with transport_to(url, body_bytes_max=body_bytes_max) as transport:
        return await transport.send(request, timeout_s=timeout_s)


async def failure(url: str, request: Request = SUBMIT, **options: float) -> TransportError:
    """Send a request that gets no answer, and return what was raised, checked for leaks."""
    with pytest.raises(TransportError) as caught:
        await send(url, request, **options)  # type: ignore[arg-type]  # the options are numbers

    error = caught.value
    assert error.__cause__ is None or isinstance(error.__cause__, OSError | ValueError)
    assert len(error.reason) <= 200
    assert error.reason.isprintable()
    assert "canary" not in f"{error.reason} {error!r} {error.__cause__!r} {error.__context__!r}"
    return error


def multipart(content_type: str, body: bytes) -> list[Message]:
    """Read a multipart body with the standard library's parser."""
    message = message_from_bytes(b"Content-Type: " + content_type.encode() + b"\r\n\r\n" + body)
    return [part for part in message.walk() if not part.is_multipart()]


# --- An answer -----------------------------------------------------------------------------------


async def test_answer_is_returned_whole() -> None:
    """An answer keeps its status, body, time and headers; names are lower, repeats are joined."""

    def script(peer: Peer) -> None:
        peer.request()
        peer.answer(202, b'{"job_id":"1"}', "X-Request-ID: r", "RateLimit: a", "RateLimit: b\xff")

    with hostile(script) as server:
        answer = await send(server.url)

    assert (answer.status, answer.body, answer.received_at) == (202, b'{"job_id":"1"}', 1234.5)
    assert answer.headers["x-request-id"] == "r"
    assert answer.headers["ratelimit"].startswith("a, b")
    assert "".join(answer.headers.values()).encode()  # no lone surrogates: they break every encoder


async def test_a_request_sends_its_own_headers_beside_the_key() -> None:
    """A mark that travels in a header arrives, and no request can put another key in its place."""

    def script(peer: Peer) -> None:
        peer.request()
        peer.answer(202)

    marks = (("Idempotency-Key", "row 1 try 1"), ("X-API-Key", "another"))
    with hostile(script) as server:
        await send(server.url, Request("POST", "/jobs", json=b"{}", headers=marks))

    assert server.requests[0].headers["idempotency-key"] == "row 1 try 1"
    assert server.requests[0].headers["x-api-key"] == KEY


async def test_an_echoed_key_is_not_passed_on() -> None:
    """An API that says which key it refused does not bring it into a record or a log."""

    def script(peer: Peer) -> None:
        peer.request()
        peer.answer(401, f'{{"message":"{KEY} is invalid"}}'.encode())

    with hostile(script) as server:
        answer = await send(server.url)

    assert answer.body == b'{"message":"*** is invalid"}'


async def test_an_echoed_key_is_known_in_other_spellings() -> None:
    """JSON may escape its slash or any letter, a URL its bar, and a header may carry it too."""

    def script(peer: Peer) -> None:
        peer.request()
        peer.answer(
            401,
            rb'{"message":"7|a\/b, 7|a/b, \u0037|\u0061\u002Fb, \\u0037 \u0022"}',
            "Location: https://x.example/?k=7%7Ca%2Fb",
        )

    with hostile(script) as server:
        async with transport_to(server.url, key="7|a/b") as transport:
            answer = await transport.send(SUBMIT, timeout_s=PATIENCE_S)

    assert answer.body == rb'{"message":"***, ***, ***, \\u0037 \u0022"}'
    assert answer.headers["location"] == "https://x.example/?k=***"


@pytest.mark.parametrize(
    "said", ["HTTP/1.1 4x1 {key}", "XX {key}", "HTTP/1.1 401 X\r\nYour {key}: no"]
)
async def test_a_key_in_what_is_not_http_is_not_passed_on(said: str) -> None:
    """The reason of a lost answer says what kind of nonsense it was, and quotes none of it."""

    def script(peer: Peer) -> None:
        peer.request()
        peer.send(said.format(key=KEY).encode(), b"\r\n\r\n")

    with hostile(script) as server:
        error = await failure(server.url)

    assert isinstance(error, Lost)
    assert KEY not in error.reason


async def test_an_echo_of_what_was_secret_in_the_request_is_not_passed_on() -> None:
    """An error that quotes the whole request brings no webhook's secret or address into a log."""
    callback = Callback("https://hooks.example/b/17-1-f00d", Secret("5ec2e7", "the run"))
    said = f'{{"url":"{callback.url}","secret":"{callback.secret.reveal()}"}}'.encode()

    def script(peer: Peer) -> None:
        peer.request()
        peer.answer(422, said.replace(b"/", b"\\/"), "X-Debug: 5ec2e7")

    request = Request("POST", "/x", json=said, secrets=callback.secrets)
    with hostile(script) as server:
        async with transport_to(server.url) as transport:
            answer = await transport.send(request, timeout_s=PATIENCE_S)

    assert answer.body == b'{"url":"https:\\/\\/hooks.example\\/b\\/***","secret":"***"}'
    assert answer.headers["x-debug"] == "***"
    assert server.requests[0].body == said


async def test_request_carries_what_it_must_and_no_more() -> None:
    """The key, an own user agent and the body go out; cookies never do, not even those set."""

    def script(peer: Peer) -> None:
        for _ in range(2):
            peer.request()
            peer.answer(200, b"{}", "Set-Cookie: a=b")

    with hostile(script) as server:
        # By name: aiohttp's own jar takes no cookies from bare addresses.
        async with transport_to(f"http://localhost:{server.port}/prefix/") as transport:
            await transport.send(SUBMIT, timeout_s=PATIENCE_S)
            await transport.send(STATUS, timeout_s=PATIENCE_S)

    submit, status = server.requests
    assert submit.line == "POST /prefix/api/v1/upload HTTP/1.1"
    assert submit.body == SUBMIT.json
    assert submit.headers["content-type"] == "application/json"
    assert submit.headers["x-api-key"] == KEY
    assert submit.headers["user-agent"] == "batcher/test"
    assert submit.headers["accept-encoding"] == "identity"
    assert status.line == "GET /prefix/api/v1/status?job_id=canary-job HTTP/1.1"
    assert "cookie" not in status.headers


@pytest.mark.parametrize(
    ("method", "length"), [("GET", None), ("HEAD", None), ("DELETE", "0"), ("POST", "0")]
)
async def test_a_request_without_a_body_says_so_where_it_could_have_one(
    method: str, length: str | None
) -> None:
    """RFC 9110, 8.6; and the answer to a HEAD has no body, whatever length it tells."""

    def script(peer: Peer) -> None:
        for _ in range(2):
            peer.request()
            peer.send(b"HTTP/1.1 200 X\r\nContent-Length: 2\r\n\r\n")
            peer.send(b"" if method == "HEAD" else b"{}")

    with hostile(script) as server:
        async with transport_to(server.url) as transport:
            for _ in range(2):
                answer = await transport.send(Request(method, "/x"), timeout_s=PATIENCE_S)
                assert answer.body == (b"" if method == "HEAD" else b"{}")

    assert [request.headers.get("content-length") for request in server.requests] == [length] * 2
    assert "content-type" not in server.requests[0].headers


@pytest.mark.parametrize(
    ("base_url", "host"),
    [
        ("https://api.example.com", "api.example.com"),
        ("https://api.example.com:443/v1", "api.example.com"),
        ("https://api.example.com:8443", "api.example.com:8443"),
        ("http://[::1]:8080", "[::1]:8080"),
        ("https://bücher.example", "xn--bcher-kva.example"),
    ],
)
def test_the_host_is_told_as_it_is_called(base_url: str, host: str) -> None:
    """Without a usual port, an address in brackets, a name in its encoded form (RFC 9112, 3.2)."""
    heads = Heads(checked_base(base_url), "x", "X-API-Key", "")
    heads.use_key("k")
    lines = heads.rest(STATUS, NOTHING).decode().split("\r\n")
    assert lines == [
        f"Host: {host}",
        *("Accept: application/json", "Accept-Encoding: identity", "User-Agent: x"),
        *("X-API-Key: k", "", ""),
    ]


@pytest.mark.parametrize(
    "header",
    [("X-Mark", "a\r\nX-Evil: b"), ("X-Mark", "a\0"), ("X Mark", "a"), ("", "a"), ("é", "a")],
)
async def test_a_header_that_would_be_two_is_a_bug(header: tuple[str, str]) -> None:
    """Nothing that is put into a header can end it."""
    with hostile(lambda peer: None) as server, pytest.raises(ValueError, match="header"):
        await send(server.url, Request("GET", "/x", headers=(header,)))

    assert server.connections == 0


async def test_each_request_has_the_key_of_its_time() -> None:
    """A replaced key goes out with the next request; an answer hides the one it was asked by."""
    keys = ["first-key", "second-key", "third key"]

    def script(peer: Peer) -> None:
        while True:
            said = peer.request().headers["authorization"]
            peer.answer(200, said.encode())

    with hostile(script) as server:
        async with HttpTransport(
            server.url, "Authorization", "Bearer ", lambda: Secret(keys[0], "HERE"),
            connections=1, user_agent="x", wall=lambda: 0.0,
        ) as transport:  # fmt: skip
            for _ in range(2):
                assert (await transport.send(STATUS, timeout_s=PATIENCE_S)).body == b"Bearer ***"
                keys.pop(0)

            # It is found out before anything is sent, and does not leave a row in doubt.
            with pytest.raises(NotSent, match="HERE") as caught:
                await transport.send(SUBMIT, timeout_s=PATIENCE_S)

    assert caught.value.local
    assert "third key" not in str(caught.value)
    sent = [request.headers["authorization"] for request in server.requests]
    assert sent == ["Bearer first-key", "Bearer second-key"]


async def test_an_answer_may_end_with_its_connection() -> None:
    """Without a length a body is what came until the server closed (RFC 9112, 6.3)."""

    def script(peer: Peer) -> None:
        peer.request()
        peer.send(b"HTTP/1.1 200 X\r\n\r\n", b'{"a":')
        peer.ended.wait(0.05)
        peer.send(b"1}")

    with hostile(script) as server:
        assert (await send(server.url)).body == b'{"a":1}'


@pytest.mark.parametrize("code", [301, 302, 303, 307, 308])
@pytest.mark.parametrize("request_", [SUBMIT, STATUS], ids=["submit", "status"])
async def test_redirect_is_an_answer(code: int, request_: Request) -> None:
    """A redirect is returned as it is: neither key nor body goes anywhere else."""
    with hostile(lambda peer: None) as other:

        def script(peer: Peer) -> None:
            peer.request()
            peer.answer(code, b"", f"Location: {other.url}/elsewhere")

        with hostile(script) as server:
            answer = await send(server.url, request_)

        assert answer.status == code
        assert (len(server.requests), other.connections) == (1, 0)


@pytest.mark.parametrize("encoding", ["gzip", "deflate"])
async def test_compressed_answer_is_unpacked(encoding: str) -> None:
    """A server that compresses although nobody asked for it is understood."""
    body = (gzip if encoding == "gzip" else zlib).compress(b'{"a":1}')

    def script(peer: Peer) -> None:
        peer.request()
        peer.answer(200, body, f"Content-Encoding: {encoding}")

    with hostile(script) as server:
        assert (await send(server.url)).body == b'{"a":1}'


# --- Nothing was sent ----------------------------------------------------------------------------


async def test_refused_connection_is_not_sent() -> None:
    """Nobody listens: nothing left."""
    error = await failure(f"http://127.0.0.1:{closed_port()}")
    assert isinstance(error, NotSent)


async def test_unknown_name_is_not_sent() -> None:
    """A name that cannot be resolved (RFC 6761 reserves .invalid): nothing left."""
    error = await failure("https://batcher-test.invalid")
    assert isinstance(error, NotSent)
    assert "resolved" in error.reason


async def test_waiting_for_a_connection_is_not_sent() -> None:
    """A request that never got one of the few connections did not leave."""
    asked = threading.Event()

    def script(peer: Peer) -> None:
        peer.request()
        asked.set()
        peer.wait_gone()

    with hostile(script) as server:
        async with (
            transport_to(server.url, connections=1) as transport,
            anyio.create_task_group() as g,
        ):

            async def hang() -> None:
                await transport.send(SUBMIT, timeout_s=PATIENCE_S)

            g.start_soon(hang)
            await anyio.to_thread.run_sync(asked.wait, PATIENCE_S)
            with pytest.raises(NotSent):
                await transport.send(SUBMIT, timeout_s=0.1)

            g.cancel_scope.cancel()

    assert len(server.requests) == 1


async def test_untrusted_certificate_is_not_sent(self_signed: ssl.SSLContext) -> None:
    """TLS is verified: a certificate that nobody vouches for gets no request."""

    def script(peer: Peer) -> None:
        peer.request()

    with hostile(script, tls=self_signed) as server:
        error = await failure(server.url)

    assert isinstance(error, NotSent)
    assert "certificate" in error.reason
    assert server.requests == []


async def test_a_whole_answer_over_tls_counts_whatever_follows_it(
    self_signed: ssl.SSLContext,
) -> None:
    """The job id is in hand: how its connection ends does not put it in doubt."""
    body = b"x" * 2_000_000  # more than is read at a time: its end comes with the surplus

    def script(peer: Peer) -> None:
        peer.head()
        head = f"HTTP/1.1 202 X\r\nContent-Length: {len(body)}\r\n\r\n"
        peer.send(head.encode(), body, b"surplus")
        peer.wait_gone()

    trusting = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    trusting.check_hostname, trusting.verify_mode = False, ssl.CERT_NONE
    with hostile(script, tls=self_signed) as server:
        pool = Pool(URL(server.url), ssl=trusting)
        with pool.deadlines.way(PATIENCE_S) as way:
            wire = await pool.wire(way, PATIENCE_S)
            said = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"
            message, content = await converse(wire, said, bytes_max=len(body))

        await pool.close()

    assert (message.code, content) == (202, body)


@pytest.mark.parametrize(
    "script",
    [
        pytest.param(lambda peer: peer.send(b"HTTP/1.1 200 OK\r\n\r\n"), id="plain"),
        pytest.param(lambda peer: peer.reset(), id="reset"),
        pytest.param(lambda peer: peer.wait_gone(), id="silent"),
    ],
)
async def test_failed_handshake_is_not_sent(script: Script) -> None:
    """No TLS, no request, however the handshake ends."""
    with hostile(script) as server:
        error = await failure(server.url.replace("http:", "https:"), timeout_s=NEVER_S)

    assert isinstance(error, NotSent)


# --- Nobody knows --------------------------------------------------------------------------------

HEAD = b"HTTP/1.1 202 Accepted\r\n"


def _drip(peer: Peer) -> None:
    peer.send(HEAD, b"Content-Length: 4000\r\n\r\n")
    while not peer.ended.wait(0.02):
        peer.send(b" ")


def _flood(peer: Peer) -> None:
    peer.send(HEAD, b"Transfer-Encoding: chunked\r\n\r\n")
    while True:
        peer.send(b"1000\r\n", bytes(4_096), b"\r\n")


def _answers(*pieces: bytes) -> Script:
    """Return a script that sends bytes and ends the connection in good order."""
    return lambda peer: peer.send(*pieces)


LOST: dict[str, Script] = {
    "closed": lambda peer: None,
    "reset": lambda peer: peer.reset(),
    "silent": lambda peer: peer.wait_gone(),
    "drip": _drip,
    "endless": _flood,
    "cut in the headers": _answers(HEAD, b"Content-Le"),
    "cut in the body": _answers(HEAD, b"Content-Length: 20\r\n\r\n{"),
    "cut in a chunk": _answers(HEAD, b'Transfer-Encoding: chunked\r\n\r\n8\r\n{"id'),
    "no last chunk": _answers(HEAD, b"Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n"),
    "no HTTP": _answers(b"SSH-2.0-OpenSSH\r\n\r\n"),
    "a strange version": _answers(b"HTTP/9 202 Accepted\r\n\r\n{}"),
    "two lengths": _answers(HEAD, b"Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}"),
    "a long header": _answers(HEAD, b"A: " + b"a" * 100_000 + b"\r\n\r\n"),
    "20,000 headers": _answers(HEAD, b"A: a\r\n" * 20_000, b"\r\n"),
    "broken gzip": _answers(
        HEAD, b"Content-Encoding: gzip\r\nContent-Length: 12\r\n\r\n", b"not gzip at all"
    ),
    "a gzip bomb": _answers(HEAD, b"Content-Encoding: gzip\r\n\r\n", gzip.compress(bytes(10**7))),
    "only 1xx": _answers(b"HTTP/1.1 100 Continue\r\n\r\n" * 3),
}


@pytest.mark.parametrize("kind", LOST)
async def test_no_whole_answer_is_lost(kind: str) -> None:
    """Whatever follows a request that was sent, if it is no whole answer, the request is lost."""

    def script(peer: Peer) -> None:
        peer.request()
        LOST[kind](peer)

    with hostile(script) as server:
        error = await failure(server.url, timeout_s=NEVER_S)

    assert isinstance(error, Lost)
    assert len(server.requests) == 1


async def test_reset_before_the_request_is_told() -> None:
    """A connection that breaks at once was not made, or is lost: there is no third."""
    with hostile(lambda peer: peer.reset()) as server:
        for _ in range(5):
            assert isinstance(await failure(server.url), NotSent | Lost)

    assert server.requests == []


async def test_bomb_is_not_unpacked() -> None:
    """A small answer that would unpack to 50 MB is given up after a few of them."""
    bomb = gzip.compress(bytes(50_000_000))

    def script(peer: Peer) -> None:
        peer.request()
        peer.answer(200, bomb, "Content-Encoding: gzip")

    with hostile(script) as server:
        tracemalloc.start()
        try:
            error = await failure(server.url)
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    assert isinstance(error, Lost)
    assert peak < 8_000_000


@pytest.mark.parametrize("when", ["at once", "while idle"])
async def test_surplus_bytes_do_not_answer_the_next_request(when: str) -> None:
    """An answer that nobody asked for is thrown away, together with its connection."""
    leave, left = threading.Event(), threading.Event()
    surplus = b'HTTP/1.1 202 X\r\nContent-Length: 14\r\n\r\n{"job_id":"9"}'

    def talkative(peer: Peer) -> None:
        peer.request()
        if when == "at once":
            peer.send(b"HTTP/1.1 200 X\r\nContent-Length: 2\r\n\r\n{}", surplus)
        else:
            peer.answer(200)
            leave.wait(PATIENCE_S)
            peer.send(surplus)

        left.set()
        peer.wait_gone()

    def honest(peer: Peer) -> None:
        peer.request()
        peer.answer(200, b'{"honest":1}')

    with hostile(talkative, honest) as server:
        async with transport_to(server.url) as transport:
            await transport.send(STATUS, timeout_s=PATIENCE_S)
            leave.set()
            await anyio.to_thread.run_sync(left.wait, PATIENCE_S)
            for _ in range(5):  # the loop reads what has come
                await anyio.lowlevel.checkpoint()

            second = await transport.send(SUBMIT, timeout_s=PATIENCE_S)

    assert second.body == b'{"honest":1}'


async def test_an_answer_that_came_while_the_process_slept_is_read() -> None:
    """A process that was stopped beyond the time-out finds its answer, and no doubt."""
    arrived, asleep, answered = threading.Event(), threading.Event(), threading.Event()

    def script(peer: Peer) -> None:
        peer.request()
        arrived.set()
        asleep.wait(PATIENCE_S)
        peer.answer(202, b'{"job_id":"1"}')
        answered.set()

    async def sleep_beyond_the_time_out() -> None:
        await anyio.to_thread.run_sync(arrived.wait, PATIENCE_S)
        asleep.set()
        answered.wait(PATIENCE_S)  # blocks the loop, as SIGSTOP would
        time.sleep(0.5)  # noqa: ASYNC251  # that is the point

    with hostile(script) as server:
        async with anyio.create_task_group() as group:
            group.start_soon(sleep_beyond_the_time_out)
            answer = await send(server.url, timeout_s=0.3)

    assert answer.status == 202


async def test_cancelled_send_is_cancelled() -> None:
    """A cancelled request says nothing at all: who cancels knows that it is in doubt."""
    asked = threading.Event()
    ended: list[str] = []

    def script(peer: Peer) -> None:
        peer.request()
        asked.set()
        peer.wait_gone()

    async def submit() -> None:
        try:
            await send(server.url)
        except BaseException as error:
            ended.append(type(error).__name__)
            raise

    with hostile(script) as server:
        async with anyio.create_task_group() as group:
            group.start_soon(submit)
            await anyio.to_thread.run_sync(asked.wait, PATIENCE_S)
            group.cancel_scope.cancel()

    assert ended == ["CancelledError"]


# --- Reused connections --------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "POST"])
async def test_nothing_is_sent_twice(method: str) -> None:
    """A reused connection that dies on a request does not send it again behind our back."""

    def script(peer: Peer) -> None:
        peer.request()
        peer.answer(200)
        peer.request()

    with hostile(script) as server:
        async with transport_to(server.url) as transport:
            await transport.send(STATUS, timeout_s=PATIENCE_S)
            with pytest.raises(Lost):
                await transport.send(Request(method, "/x", json=b"{}"), timeout_s=PATIENCE_S)

    assert [request.line.split()[0] for request in server.requests] == ["GET", method]


@pytest.mark.parametrize("end", ["close", "reset", "stray"])
async def test_connection_closed_while_idle_is_not_reused(end: str) -> None:
    """A close that has reached this machine costs nothing, although the loop has not seen it."""
    leave, left = threading.Event(), threading.Event()

    def first(peer: Peer) -> None:
        peer.request()
        peer.answer(200)
        leave.wait(PATIENCE_S)
        if end == "stray":
            peer.send(b"HTTP/1.1 408 Request Timeout\r\n\r\n")
        elif end == "reset":
            peer.reset()
        else:
            peer.socket.close()

        left.set()
        peer.ended.wait(PATIENCE_S)

    def second(peer: Peer) -> None:
        peer.request()
        peer.answer(202)

    with hostile(first, second) as server:
        async with transport_to(server.url) as transport:
            await transport.send(STATUS, timeout_s=PATIENCE_S)
            leave.set()
            left.wait(PATIENCE_S)  # blocks the loop on purpose: it cannot have seen the end
            answer = await transport.send(SUBMIT, timeout_s=PATIENCE_S)

        assert answer.status == 202
        assert server.connections == 2


async def test_connections_are_reused() -> None:
    """Requests in a row share a connection."""

    def script(peer: Peer) -> None:
        while True:
            peer.request()
            peer.answer(200)

    with hostile(script) as server:
        async with transport_to(server.url) as transport:
            for request in (SUBMIT, STATUS, SUBMIT):
                await transport.send(request, timeout_s=PATIENCE_S)

    assert server.connections == 1


# --- Uploads -------------------------------------------------------------------------------------


def upload(*paths: Path, filename: str = "a.png") -> Request:
    """Return a submit that uploads files."""
    parts = tuple(FilePart("file", str(path), filename, "image/png") for path in paths)
    return Request("POST", "/upload", form=(("mode", "cut\r\nout"), ("ü", "ß")), files=parts)


@pytest.mark.parametrize("size", [0, 100, 65_536, 1_000_000])
async def test_upload_arrives(tmp_path: Path, size: int) -> None:
    """Fields and files arrive byte for byte, of a length that was told in advance."""
    content = os.urandom(size)
    (tmp_path / "a").write_bytes(content)
    (tmp_path / "b").write_bytes(b"second")

    def script(peer: Peer) -> None:
        peer.request()
        peer.answer(202)

    with hostile(script) as server:
        request = upload(tmp_path / "a", tmp_path / "b", filename='q"u\r\no;té.png')
        assert (await send(server.url, request)).status == 202

    received = server.requests[0]
    assert int(received.headers["content-length"]) == len(received.body)
    boundary = received.headers["content-type"].split("boundary=")[1].encode()
    pieces = received.body.split(b"--" + boundary)
    bodies = [piece.split(b"\r\n\r\n", 1)[1][:-2] for piece in pieces[1:-1]]
    assert bodies == [b"cut\r\nout", "ß".encode(), content, b"second"]
    assert 'filename="q%22u%0D%0Ao;té.png"\r\n'.encode() in pieces[3]
    assert len(multipart(received.headers["content-type"], received.body)) == 4


async def test_several_files_under_one_name_arrive(tmp_path: Path) -> None:
    """A repeated field is sent as often as there are files, in their order, streamed or not."""
    for size in (10, 200_000):
        contents = [os.urandom(size) for _ in range(3)]
        parts = []
        for number, content in enumerate(contents):
            path = tmp_path / f"{number}.png"
            path.write_bytes(content)
            parts.append(FilePart("images[]", str(path), path.name, "image/png", size))

        def script(peer: Peer) -> None:
            peer.request()
            peer.answer(202)

        request = Request("POST", "/edits", form=(("prompt", "x"),), files=tuple(parts))
        with hostile(script) as server:
            await send(server.url, request)

        received = server.requests[0]
        said = multipart(received.headers["content-type"], received.body)
        assert [part.get_param("name", header="content-disposition") for part in said] == [
            *("prompt", "images[]", "images[]", "images[]")
        ]
        assert [part.get_payload(decode=True) for part in said[1:]] == contents


async def test_form_without_files_is_multipart() -> None:
    """Fields alone are multipart too."""

    def script(peer: Peer) -> None:
        peer.request()
        peer.answer(202)

    with hostile(script) as server:
        await send(server.url, upload())

    names = [
        part["Content-Disposition"]
        for part in multipart(server.requests[0].headers["content-type"], server.requests[0].body)
    ]
    assert names[0] == 'form-data; name="mode"'


async def test_large_upload_is_streamed(tmp_path: Path) -> None:
    """A file of 48 MB goes out in flat memory."""
    path = tmp_path / "large"
    path.touch()
    os.truncate(path, 48_000_000)

    def script(peer: Peer) -> None:
        head = peer.head()
        assert sum(map(len, peer.body(int(head.headers["content-length"])))) > 48_000_000
        peer.answer(202)

    with hostile(script) as server:
        tracemalloc.start()
        try:
            answer = await send(server.url, upload(path))
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    assert answer.status == 202
    assert peak < 4_000_000


def _missing(folder: Path) -> Path:
    return folder / "missing"


def _folder(folder: Path) -> Path:
    return folder


def _pipe(folder: Path) -> Path:
    os.mkfifo(folder / "pipe")
    return folder / "pipe"


def _odd_name(folder: Path) -> Path:
    return folder / "a\0b"


@pytest.mark.parametrize("bad", [_missing, _folder, _pipe, _odd_name])
async def test_unreadable_file_is_not_sent(tmp_path: Path, bad: Callable[[Path], Path]) -> None:
    """A file that cannot be sent is found out before anything is."""
    good = tmp_path / "good"
    good.write_bytes(b"x")
    with hostile(lambda peer: None) as server:
        error = await failure(server.url, upload(good, bad(tmp_path)))

    assert isinstance(error, NotSent)
    assert error.local
    assert str(tmp_path) in error.reason
    assert server.connections == 0
    assert open_files(tmp_path) == []


@pytest.mark.parametrize("size", [10, 1_000_000])
@pytest.mark.parametrize("more", [-1, 1])
async def test_file_of_another_size_is_not_sent(tmp_path: Path, size: int, more: int) -> None:
    """What was checked is what is sent: a change is found before the first byte."""
    path = tmp_path / "a.png"
    path.write_bytes(bytes(size + more))
    part = FilePart("file", str(path), "a.png", "image/png", size)
    with hostile(lambda peer: None) as server:
        error = await failure(server.url, Request("POST", "/upload", files=(part,)))

    assert isinstance(error, NotSent)
    assert error.local
    assert f"{size:,} bytes, now {size + more:,}" in error.reason
    assert server.connections == 0
    assert open_files(tmp_path) == []


@pytest.fixture
def few_descriptors() -> Iterator[Callable[[int], None]]:
    """Return what leaves this process so many descriptors and no more."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)

    def leave(count: int) -> None:
        used = max(int(link.name) for link in Path("/proc/self/fd").iterdir())
        resource.setrlimit(resource.RLIMIT_NOFILE, (used + count, hard))

    yield leave
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


async def test_no_descriptor_left_is_not_the_api_s_fault(
    tmp_path: Path, few_descriptors: Callable[[int], None]
) -> None:
    """Neither a socket nor a file: nothing was sent, and it says nothing of the network."""
    path = tmp_path / "a.png"
    path.write_bytes(b"x")
    with hostile(lambda peer: None) as server:
        async with transport_to(server.url) as transport:
            await anyio.to_thread.run_sync(path.stat)  # the thread is there
            for request in (SUBMIT, upload(path)):
                fillers: list[int] = []
                few_descriptors(4)
                try:
                    with contextlib.suppress(OSError):
                        while True:
                            fillers.append(os.open("/dev/null", os.O_RDONLY))

                    with pytest.raises(NotSent, match="Too many open files") as caught:
                        await transport.send(request, timeout_s=PATIENCE_S)
                finally:
                    for number in fillers:
                        os.close(number)

                assert caught.value.local


async def test_network_s_failure_is_not_local() -> None:
    """A refused connection is the network's word."""
    error = await failure(f"http://127.0.0.1:{closed_port()}")
    assert isinstance(error, NotSent)
    assert not error.local


def _shorten(path: Path) -> None:
    os.truncate(path, 0)


def _lengthen(path: Path) -> None:
    os.truncate(path, 48_000_001)


def _overwrite(path: Path) -> None:
    with path.open("r+b") as file:
        file.write(b"another picture")


@pytest.mark.parametrize("change", [_shorten, _lengthen, _overwrite])
async def test_file_changed_while_it_is_sent_is_lost(
    tmp_path: Path, change: Callable[[Path], None]
) -> None:
    """A file that changes is lost, with a reason, and never looks complete."""
    path = tmp_path / "changes"
    path.touch()
    os.truncate(path, 48_000_000)
    os.utime(path, ns=(0, 0))
    began, changed = threading.Event(), threading.Event()
    seen: list[int] = []

    def script(peer: Peer) -> None:
        head = peer.head()
        began.set()
        changed.wait(PATIENCE_S)
        left = int(head.headers["content-length"])
        try:
            for piece in peer.body(left):
                left -= len(piece)
        finally:
            seen.append(left)

    async def spoil() -> None:
        await anyio.to_thread.run_sync(began.wait, PATIENCE_S)
        change(path)
        changed.set()

    with hostile(script) as server:
        async with anyio.create_task_group() as group:
            group.start_soon(spoil)
            error = await failure(server.url, upload(path))

    assert isinstance(error, Lost)
    assert "while it was sent" in error.reason
    assert seen[0] > 1_000  # of what was promised


@pytest.mark.parametrize("end", ["close", "keep"])
async def test_early_answer_is_seen_or_lost(tmp_path: Path, end: str) -> None:
    """A 402 while the upload is still running is that answer, or at worst lost: it was sent."""
    path = tmp_path / "large"
    path.touch()
    os.truncate(path, 20_000_000)

    def script(peer: Peer) -> None:
        peer.head()
        peer.answer(402, b'{"error":"insufficient_credits"}', "Connection: close")
        if end == "keep":
            peer.wait_gone()

    with hostile(script) as server:
        for _ in range(5):
            try:
                answer = await send(server.url, upload(path))
            except Lost:
                continue

            assert answer.status == 402

    assert open_files(tmp_path) == []


@pytest.mark.parametrize("kind", ["file", "bytes"])
async def test_half_sent_connection_is_not_reused(tmp_path: Path, kind: str) -> None:
    """After an early answer the rest of the upload is not taken for the next request."""
    path = tmp_path / "large"
    path.touch()
    os.truncate(path, 20_000_000)
    request = upload(path) if kind == "file" else Request("POST", "/x", json=bytes(20_000_000))

    def early(peer: Peer) -> None:
        peer.head()
        peer.answer(202)
        peer.wait_gone()

    def honest(peer: Peer) -> None:
        peer.request()
        peer.answer(200)

    with hostile(early, honest) as server:
        async with transport_to(server.url) as transport:
            assert (await transport.send(request, timeout_s=PATIENCE_S)).status == 202
            assert (await transport.send(STATUS, timeout_s=PATIENCE_S)).status == 200

    assert server.connections == 2


# --- What can be called --------------------------------------------------------------------------


@pytest.mark.parametrize(
    "url",
    [
        "http://api.example.com",
        "http://10.0.0.1",
        "http://127.0.0.1.example.com",
        "ftp://127.0.0.1",
        "api.example.com",
        "",
        "https://",
        "https://user:pw@api.example.com",
        "https://api.example.com/?a=b",
        "https://api.example.com/#a",
    ],
)
def test_unsafe_base_url_is_refused(url: str) -> None:
    """The key never travels in the open but on this machine, and an origin is just that."""
    with pytest.raises(UsageError) as caught:
        transport_to(url)

    assert "pw" not in str(caught.value)


@pytest.mark.parametrize("url", ["http://[::1]:1/a/", "http://localhost:8080", "https://a.example"])
def test_safe_base_url_is_taken(url: str) -> None:
    """https anywhere, http on loopback."""
    transport_to(url)


@pytest.mark.parametrize("key", ["", "a\r\nX: y", "a b", "ä"])
def test_key_that_is_no_header_value_is_refused(key: str) -> None:
    """A key with control characters is refused without being shown."""
    with pytest.raises(UsageError) as caught:
        HttpTransport(
            "https://a.example", "X-API-Key", "", lambda: Secret(key, "HERE"),
            connections=1, user_agent="x", wall=lambda: 0.0,
        )  # fmt: skip

    assert "HERE" in str(caught.value)
    assert not key or key not in str(caught.value)


@pytest.mark.parametrize("path", ["", "x", "@evil.example", "/a b", "/a\r\nX: y", "/ä", "/a#b"])
async def test_path_that_is_not_encoded_is_a_bug(path: str) -> None:
    """A dialect that forgets to encode is found out, and nothing of it is sent."""
    with hostile(lambda peer: None) as server, pytest.raises(ValueError, match="path"):
        await send(server.url, Request("GET", path))

    assert server.connections == 0
