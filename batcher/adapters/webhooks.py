"""The receiver of webhooks: a small HTTP server for the calls of one API.

Rule: it believes nothing and tells nothing. A POST of a bounded size is handed over as it came, and
the verdict becomes a bare status: no body, nothing of what was sent, nothing about the software.
Every connection carries one request and must have sent it within seconds; only so many are open.
It knows neither signatures nor jobs. TLS ends before it, at the proxy or tunnel that the API calls.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from enum import IntEnum
from typing import Any, Final, cast

import anyio
from aiohttp import HttpVersion10, web

from batcher.core.errors import UsageError

BODY_BYTES_MAX: Final = 65_536  # a call of deAPI has some 500
HEADERS_MAX: Final = 64
HEADER_BYTES_MAX: Final = 4_096  # of one field; a proxy may add some
LINE_BYTES_MAX: Final = 4_096  # of the request line; deAPI takes URLs of up to 2,048
CONNECTIONS_MAX: Final = 128
SEND_S: Final = 10.0  # for the head of a request, and again for its body
ANSWER_S: Final = 6.0  # deAPI waits for 10 s (docs.deapi.ai, webhooks), and the network takes some
SHUTDOWN_S: Final = 1.0


class Answer(IntEnum):
    """What becomes of a call, as the status that says so."""

    TAKEN = 200  # it need not come again
    UNPROVED = 401  # nothing shows that it is the API's
    UNKNOWN = 404  # no such address
    BUSY = 503  # it is to come again later


# Given the path, the headers by lower-case names and the raw body of a call.
Take = Callable[[str, Mapping[str, str], bytes], Awaitable[Answer]]


@asynccontextmanager
async def receiving(listen: str, take: Take) -> AsyncIterator[str]:
    """Receive calls at `HOST:PORT` until the block ends; give the address with its true port.

    An IPv6 host stands in brackets; port 0 takes a free one. Raises `UsageError` if the address
    cannot be had.
    """
    runner = web.ServerRunner(_Door(_Receiver(take).answer), shutdown_timeout=SHUTDOWN_S)
    await runner.setup()
    try:
        yield await _listen(runner, listen)
    finally:
        with anyio.CancelScope(shield=True):
            await runner.cleanup()


async def _listen(runner: web.ServerRunner, listen: str) -> str:
    host, _, port = listen.rpartition(":")
    try:
        await web.TCPSite(runner, host.strip("[]"), int(port)).start()
    except (OSError, ValueError, OverflowError) as error:
        reason = (error.strerror if isinstance(error, OSError) else None) or error
        raise UsageError(
            f"--webhook-listen {listen}: cannot listen there: {reason}; choose another HOST:PORT"
        ) from error

    return f"{host}:{runner.addresses[0][1]}"


class _Receiver:
    """Reads requests within bounds and answers them."""

    def __init__(self, take: Take) -> None:
        self._take = take

    async def answer(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer one request."""
        if request.method != "POST":
            return _bare(405, {"Allow": "POST"})

        if request.version < HttpVersion10:
            return _bare(400)

        if (request.content_length or 0) > BODY_BYTES_MAX:
            return _bare(413)

        body = None
        try:
            with anyio.move_on_after(SEND_S):
                body = await _read(request)
        except (web.RequestPayloadError, ConnectionError, ValueError):
            return _bare(400)

        if body is None:
            return _bare(408)

        if len(body) > BODY_BYTES_MAX:
            return _bare(413)

        return _bare(await self._answer_to(request, body))

    async def _answer_to(self, request: web.BaseRequest, body: bytes) -> Answer:
        headers = {name.lower(): value for name, value in request.headers.items()}
        with anyio.move_on_after(ANSWER_S):
            return await self._take(request.path, headers, body)

        return Answer.BUSY


async def _read(request: web.BaseRequest) -> bytes:
    """Read the body as it was sent, or the beginning of one that is too long."""
    body = bytearray()
    async for chunk in request.content.iter_any():
        body += chunk
        if len(body) > BODY_BYTES_MAX:
            break

    return bytes(body)


def _bare(status: int, headers: Mapping[str, str] | None = None) -> web.Response:
    """Return an answer without content, after which the connection is closed."""
    response = web.Response(status=status, headers={"Server": "batcher", **(headers or {})})
    response.force_close()
    return response


class _Connection(web.RequestHandler):
    """A connection whose errors are answered in silence: aiohttp's own texts quote the request."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Cut a connection off that is one too many, before anything is begun for it.

        What aiohttp had begun by then would fail, with a traceback for each.
        """
        door = self._manager
        if door is None or len(door.connections) < CONNECTIONS_MAX:
            super().connection_made(transport)
        else:
            cast(asyncio.Transport, transport).abort()  # uvloop's is none by its type

    def handle_error(
        self, request: web.BaseRequest, status: int = 500, *_: Any, **__: Any
    ) -> web.StreamResponse:
        """Answer a request that cannot be read, or that `take` failed at."""
        return _bare(status)

    def log_exception(self, *_: Any, **__: Any) -> None:
        """Stay silent: what strangers send is no news."""


class _Door(web.Server):
    """Makes each connection with our bounds."""

    def __call__(self) -> web.RequestHandler:
        """Make a connection."""
        return _Connection(
            self,
            loop=asyncio.get_running_loop(),
            access_log=None,  # type: ignore[arg-type]  # aiohttp's own default for "none"
            keepalive_timeout=SEND_S,  # it counts from the connection on: for the head
            max_line_size=LINE_BYTES_MAX,
            max_headers=HEADERS_MAX,
            max_field_size=HEADER_BYTES_MAX,
            lingering_time=0,
            auto_decompress=False,  # a signature is over what was sent; and no bombs
        )
