"""A small HTTP server within bounds, for whoever has something to receive or to show.

Rule: every connection carries one request and must have sent its head within seconds; only so many
are open, and one more is cut off before anything is begun for it. What cannot be read is refused in
silence: an answer tells nothing of what was sent, nor of the software. Others of this layer import
it, because it knows nothing but HTTP.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Final, cast

import anyio
from aiohttp import web

from batcher.core.errors import UsageError

HEADERS_MAX: Final = 64
HEADER_BYTES_MAX: Final = 4_096  # of one field; a proxy may add some
SHUTDOWN_S: Final = 1.0
PLAIN: Final = {"Server": "batcher"}

Answer = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]


@dataclass(frozen=True, slots=True)
class Bounds:
    """What one server bears. `headers` go with the answers that it gives by itself."""

    connections_max: int
    line_bytes_max: int  # of the request line
    send_s: float  # for the head of a request
    headers: Mapping[str, str] = field(default_factory=lambda: PLAIN)


@asynccontextmanager
async def open_door(
    listen: str, answer: Answer, bounds: Bounds, *, flag: str, choose: str = "another port"
) -> AsyncIterator[str]:
    """Serve at `HOST:PORT` until the block ends; give the address with its true port.

    An IPv6 host stands in brackets; port 0 takes a free one. Raises `UsageError`, which names the
    *flag* and what to *choose* instead, if the address cannot be had.
    """
    runner = web.ServerRunner(_Door(answer, bounds), shutdown_timeout=SHUTDOWN_S)
    await runner.setup()
    try:
        host, _, port = listen.rpartition(":")
        try:
            await web.TCPSite(runner, host.strip("[]"), int(port)).start()
        except (OSError, ValueError, OverflowError) as error:
            reason = (error.strerror if isinstance(error, OSError) else None) or error
            raise UsageError(
                f"{flag} {listen}: cannot listen there: {reason}; choose {choose}"
            ) from error

        yield f"{host}:{runner.addresses[0][1]}"
    finally:
        with anyio.CancelScope(shield=True):
            await runner.cleanup()


def bare(
    status: int, headers: Mapping[str, str] | None = None, body: bytes | None = None
) -> web.Response:
    """Return an answer after which the connection is closed."""
    response = web.Response(status=status, body=body, headers={**PLAIN, **(headers or {})})
    response.force_close()
    return response


class _Connection(web.RequestHandler):
    """A connection whose errors are answered in silence: aiohttp's own texts quote the request."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Cut a connection off that is one too many, before anything is begun for it.

        What aiohttp had begun by then would fail, with a traceback for each.
        """
        door = cast("_Door | None", self._manager)
        if door is None or len(door.connections) < door.bounds.connections_max:
            super().connection_made(transport)
        else:
            cast(asyncio.Transport, transport).abort()  # uvloop's is none by its type

    def handle_error(
        self, request: web.BaseRequest, status: int = 500, *_: Any, **__: Any
    ) -> web.StreamResponse:
        """Answer a request that cannot be read, or that answering failed at."""
        door = cast("_Door | None", self._manager)
        return bare(status, None if door is None else door.bounds.headers)

    def log_exception(self, *_: Any, **__: Any) -> None:
        """Stay silent: what strangers send is no news."""


class _Door(web.Server):
    """Makes each connection with our bounds."""

    def __init__(self, answer: Answer, bounds: Bounds) -> None:
        super().__init__(answer)
        self.bounds = bounds

    def __call__(self) -> web.RequestHandler:
        """Make a connection."""
        return _Connection(
            self,
            loop=asyncio.get_running_loop(),
            access_log=None,  # type: ignore[arg-type]  # aiohttp's own default for "none"
            keepalive_timeout=self.bounds.send_s,  # it counts from the connection on: for the head
            max_line_size=self.bounds.line_bytes_max,
            max_headers=HEADERS_MAX,
            max_field_size=HEADER_BYTES_MAX,
            lingering_time=0,
            auto_decompress=False,  # a signature is over what was sent; and no bombs
        )
