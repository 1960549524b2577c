"""A small HTTP server that shows how a run stands: `GET /metrics` and `GET /health`.

Rule: it only reads. It takes no body, tells nothing of the software, and every connection carries
one request within seconds; only so many are open. What cannot be read is refused in silence: a bad
request costs the run nothing. Who may come is for the address it listens at to say.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final, cast

import anyio
from aiohttp import HttpVersion10, web

from batcher.core.errors import UsageError

HEADERS_MAX: Final = 64
HEADER_BYTES_MAX: Final = 4_096  # of one field
LINE_BYTES_MAX: Final = 1_024  # of the request line: two short paths
CONNECTIONS_MAX: Final = 16  # a scraper or two, a probe, a person
SEND_S: Final = 5.0  # for the head of a request
SHUTDOWN_S: Final = 1.0
READS: Final = ("GET", "HEAD")


@dataclass(frozen=True, slots=True)
class Page:
    """What is shown at a path."""

    status: int
    content_type: str
    body: bytes


@asynccontextmanager
async def showing(listen: str, pages: Mapping[str, Callable[[], Page]]) -> AsyncIterator[str]:
    """Show *pages*, by their paths, at `HOST:PORT` until the block ends.

    Gives the address with its true port; port 0 takes a free one. Raises `UsageError` if the
    address cannot be had.
    """

    async def answer(request: web.BaseRequest) -> web.StreamResponse:
        return _answer(request, pages)

    runner = web.ServerRunner(_Door(answer), shutdown_timeout=SHUTDOWN_S)
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
            f"--metrics-port {listen}: cannot listen there: {reason}; choose another port"
        ) from error

    return f"{host}:{runner.addresses[0][1]}"


def _answer(request: web.BaseRequest, pages: Mapping[str, Callable[[], Page]]) -> web.Response:
    if request.version < HttpVersion10:
        return _bare(400)

    if request.method not in READS:
        return _bare(405, {"Allow": ", ".join(READS)})

    page = pages.get(request.path)
    if page is None:
        return _bare(404)

    shown = page()
    headers = {"Content-Type": shown.content_type, "Cache-Control": "no-store"}
    return _bare(shown.status, headers, shown.body)


def _bare(
    status: int, headers: Mapping[str, str] | None = None, body: bytes | None = None
) -> web.Response:
    """Return an answer after which the connection is closed."""
    response = web.Response(
        status=status, body=body, headers={"Server": "batcher", **(headers or {})}
    )
    response.force_close()
    return response


class _Connection(web.RequestHandler):
    """A connection whose errors are answered in silence: aiohttp's own texts quote the request."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Cut a connection off that is one too many, before anything is begun for it."""
        door = self._manager
        if door is None or len(door.connections) < CONNECTIONS_MAX:
            super().connection_made(transport)
        else:
            cast(asyncio.Transport, transport).abort()  # uvloop's is none by its type

    def handle_error(
        self, request: web.BaseRequest, status: int = 500, *_: Any, **__: Any
    ) -> web.StreamResponse:
        """Answer a request that cannot be read."""
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
            auto_decompress=False,
        )
