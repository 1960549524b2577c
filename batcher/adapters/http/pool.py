"""A pool that looks at an idle connection once more before it is used again.

A server closes idle connections when it likes. aiohttp knows once its event loop has read of it;
what the kernel knows already and the loop does not would lose the next request, and put a submit in
doubt. What is left is a close that is still on the wire. And bytes that a server sends unasked must
not be taken for the answer to the next request: they name another job.

aiohttp makes the connections and counts them. An idle one stays lent, for the next request, unless
somebody waits for one.
"""

from __future__ import annotations

import asyncio
import functools
from collections import deque
from typing import Any, cast

import aiohttp
from aiohttp.client_proto import ResponseHandler
from aiohttp.connector import Connection
from yarl import URL

from batcher.adapters.connections import Connector, Way
from batcher.adapters.http.wire import Wire

CONNECT_S_MAX = 10.0  # name, connection and TLS together; what takes longer is tried again later
KEEPALIVE_S = 4.0  # many servers close an idle connection after 5 s: be gone before them


class Pool(Connector):
    """Connections to one origin."""

    def __init__(self, origin: URL, **options: Any) -> None:
        super().__init__(keepalive_timeout=KEEPALIVE_S, **options)
        self._factory = functools.partial(_new_wire, self._loop)
        # aiohttp asks a request where to connect to. This one is asked for all, and never sent.
        self._target = aiohttp.ClientRequest("GET", origin, loop=self._loop)
        self._idle: deque[Wire] = deque()  # who was used last is next: least likely to be closed
        self._sweeper: asyncio.TimerHandle | None = None

    async def wire(self, way: Way, timeout_s: float) -> Wire:
        """Return an idle connection, or a new one, for a request of so many seconds."""
        while self._idle:
            wire = self._idle.pop()
            if self._is_fresh(wire) and wire.is_quiet():
                way.found(wire)
                return wire

            wire.lease.close()

        # It ends before the request does: only then is it `NotSent`. aiohttp knows a total, too: it
        # fires first when a stopped process wakes, and throws away an answer that has long arrived.
        # See `Deadlines`.
        connect_s = min(CONNECT_S_MAX, timeout_s / 2)
        timeouts = aiohttp.ClientTimeout(total=None, connect=connect_s, sock_connect=connect_s)
        return _wire_of(await self.connect(self._target, [], timeouts))

    def keep(self, wire: Wire) -> None:
        """Keep a connection that was not closed for the next request, if it can have one more."""
        if wire.transport is not None and not wire.rest():
            wire.force_close()

        if self._waiters or wire.transport is None or wire.should_close:
            wire.lease.release()
            return

        wire.idle_since_s = self._loop.time()
        self._idle.append(wire)
        if self._sweeper is None:
            self._sweeper = self._loop.call_later(KEEPALIVE_S, self._sweep)

    async def close(self, *, abort_ssl: bool = False) -> None:
        """Close all connections."""
        if self._sweeper is not None:
            self._sweeper.cancel()

        while self._idle:
            self._idle.pop().lease.release()

        await super().close(abort_ssl=abort_ssl)

    async def _get(self, *args: Any) -> Connection | None:
        while (connection := await super()._get(*args)) is not None:
            if _wire_of(connection).is_quiet():
                return connection

            connection.close()

        return None

    def _is_fresh(self, wire: Wire) -> bool:
        return self._loop.time() - wire.idle_since_s <= KEEPALIVE_S

    def _sweep(self) -> None:
        """Close what has been idle for long, and look again as long as something is idle."""
        while self._idle and not self._is_fresh(self._idle[0]):
            self._idle.popleft().lease.close()

        self._sweeper = self._loop.call_later(KEEPALIVE_S, self._sweep) if self._idle else None


def _new_wire(loop: asyncio.AbstractEventLoop) -> ResponseHandler:
    return Wire(loop)


def _wire_of(connection: Connection) -> Wire:
    """Return a lent connection's protocol, which a `Pool` has made."""
    wire = cast("Wire", connection.protocol)
    wire.lease = connection
    return wire
