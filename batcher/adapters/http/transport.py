"""HTTP: one request out, one whole answer back, and the truth about everything in between.

Rule: whatever happens is an answer, or `NotSent` (proof that no byte of the request left), or
`Lost`. Only failures to connect are such proof; every other failure is `Lost`, also where aiohttp
calls it a 400, as it does for an unreadable status line of a server that may have said 202.

Nothing is repeated here, no redirect is followed, no proxy, cookie or netrc is used. A session
calls one origin only: requests carry just a path, and the key goes into a header of each.
"""

from __future__ import annotations

import functools
import ipaddress
import re
import select
from collections.abc import Callable, Iterable
from types import TracebackType
from typing import Any, Self

import aiohttp
import anyio
from aiohttp.connector import Connection
from yarl import URL

from batcher.adapters.connections import Connector, Way
from batcher.adapters.http.body import Body
from batcher.adapters.http.echoes import without_secrets
from batcher.adapters.http.failure import failure_of
from batcher.core.errors import Lost, TransportError, UsageError
from batcher.core.exchange import Request, Response
from batcher.core.secret import Secret
from batcher.core.settings import STATUS_BYTES_MAX

CONNECT_S_MAX = 10.0  # name, connection and TLS together; what takes longer is tried again later
KEEPALIVE_S = 4.0  # many servers close an idle connection after 5 s: be gone before them
CHUNK_BYTES = 65_536

_PATH = re.compile(r'/[!"$-~]*')  # printable ASCII: anything else, and #, is percent-encoded


class HttpTransport:
    """The `Transport` of one API. Use as an async context manager, once for each run."""

    def __init__(  # noqa: PLR0913  what one origin needs, each of it named
        self,
        base_url: str,
        auth_header: str,
        auth_scheme: str,
        key: Callable[[], Secret],
        *,
        connections: int,
        user_agent: str,
        body_bytes_max: int = STATUS_BYTES_MAX,
        wall: Callable[[], float],
    ) -> None:
        self._base, self._host = _checked_base(base_url)
        self._connections = connections
        self._body_bytes_max = body_bytes_max
        self._wall = wall
        self._session: aiohttp.ClientSession | None = None
        self._key = key  # asked for with every request: a key may be replaced while a run goes on
        self._auth = (auth_header, auth_scheme)
        self._headers = {
            "Accept": "application/json",
            # Answers are a few hundred bytes. Compressed, they would bring bombs and broken streams
            # (a lost answer to a submit is money) and save nothing. Sent anyway, it is unpacked.
            "Accept-Encoding": "identity",
            "User-Agent": user_agent,
        }
        _checked_key(key())

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession(
            connector=_Connector(limit=self._connections, keepalive_timeout=KEEPALIVE_S),
            headers=self._headers,
            cookie_jar=aiohttp.DummyCookieJar(),
            trust_env=False,
        )
        # aiohttp sends a GET or PUT again, unasked, when a reused connection dies on it, and has
        # no public switch for that. Private, so a test guards it.
        self._session._retry_connection = False
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._session is not None:
            await self._session.close()

    async def send(self, request: Request, *, timeout_s: float) -> Response:
        """Send *request* and return its answer, whatever its status. See `Transport`."""
        if self._session is None or not _PATH.fullmatch(request.path):
            raise ValueError(
                "a transport is entered first, and a path is encoded and begins with /"
            )

        with await Body.of(request) as body, Way(timeout_s) as way:
            try:
                with anyio.fail_after(timeout_s):
                    return await self._exchange(self._session, request, body, timeout_s)
            except TransportError:
                raise
            except Exception as error:
                failure = body.problem or failure_of(
                    error, self._host, timeout_s, nothing_left=way.is_missing
                )

        # Not chained: aiohttp's errors carry the request's headers, and with them the key.
        raise failure

    async def _exchange(
        self, session: aiohttp.ClientSession, request: Request, body: Body, timeout_s: float
    ) -> Response:
        key, (header, scheme) = self._key(), self._auth
        answer = await session.request(
            request.method,
            URL(self._base + request.path, encoded=True),
            data=body.payload,
            headers={
                **dict(request.headers),
                **body.headers,
                header: scheme + _checked_key(key),
            },
            allow_redirects=False,
            timeout=_timeouts(timeout_s),
        )
        try:
            content = await self._read(answer)
        except BaseException:
            answer.close()
            raise

        headers = _headers(answer.raw_headers)
        response = Response(answer.status, bytes(content), headers, self._wall())
        return without_secrets((key, *request.secrets), response)

    async def _read(self, answer: aiohttp.ClientResponse) -> bytes:
        content = bytearray()
        async for chunk in answer.content.iter_chunked(CHUNK_BYTES):
            content += chunk
            if len(content) > self._body_bytes_max:
                raise Lost(f"the answer is larger than {self._body_bytes_max} bytes")

        return bytes(content)


class _Connector(Connector):
    """A pool that looks at an idle connection once more before it is used again.

    A server closes idle connections when it likes. aiohttp knows once its event loop has read of
    it; what the kernel knows already and the loop does not would lose the next request, and put a
    submit in doubt. What is left is a close that is still on the wire. And bytes that a server
    sends unasked must not be taken for the answer to the next request: they name another job.
    """

    async def _get(self, *args: Any) -> Connection | None:
        while (connection := await super()._get(*args)) is not None:
            if _is_quiet(connection):
                return connection

            connection.close()

        return None


def _is_quiet(connection: Connection) -> bool:
    """Return whether nothing has arrived unasked, in aiohttp or in the kernel: bytes or an end."""
    protocol, transport = connection.protocol, connection.transport
    socket = None if transport is None else transport.get_extra_info("socket")
    if protocol is None or protocol.should_close or socket is None or socket.fileno() < 0:
        return False

    poll = select.poll()
    poll.register(socket.fileno(), select.POLLIN)
    return not poll.poll(0)


@functools.lru_cache(maxsize=8)
def _timeouts(timeout_s: float) -> aiohttp.ClientTimeout:
    """Return aiohttp's timeouts. The one to connect ends first: only then is it `NotSent`.

    There is no total: aiohttp's fires first when a stopped process wakes, and throws away an answer
    that has long arrived. anyio's does not cancel a task that has something to go on with.
    """
    connect_s = min(CONNECT_S_MAX, timeout_s / 2)
    return aiohttp.ClientTimeout(total=None, connect=connect_s, sock_connect=connect_s)


def _headers(raw: Iterable[tuple[bytes, bytes]]) -> dict[str, str]:
    """Return an answer's headers; one that is repeated is joined by commas (RFC 9110, 5.3)."""
    headers: dict[str, str] = {}
    for raw_name, raw_value in raw:
        name = raw_name.decode("utf-8", "replace").lower()
        value = raw_value.decode("utf-8", "replace")
        headers[name] = f"{headers[name]}, {value}" if name in headers else value

    return headers


def _checked_base(text: str) -> tuple[str, str]:
    """Return a base URL without its last slash, and its host and port for messages."""
    try:
        url = URL(text)
        host = url.host
    except ValueError:
        host = None

    if host is None or url.scheme not in ("http", "https") or url.raw_query_string or url.fragment:
        raise UsageError(f"base URL {text!r}: write an origin such as https://api.example.com")

    if url.user is not None or url.password is not None:
        raise UsageError("base URL: it must not contain a name or password")

    if url.scheme == "http" and not _is_loopback(host):
        raise UsageError(f"base URL {text!r}: the key would travel in the open; write https://")

    return str(url).rstrip("/"), url.authority


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _checked_key(key: Secret) -> str:
    value = key.reveal()
    if not value or not all("!" <= char <= "~" for char in value):
        raise UsageError(f"the API key from {key.source} is empty or has spaces or odd characters")

    return value
