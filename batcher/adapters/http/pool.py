"""A pool that looks at an idle connection once more before it is used again.

A server closes idle connections when it likes. aiohttp knows once its event loop has read of it;
what the kernel knows already and the loop does not would lose the next request, and put a submit in
doubt. What is left is a close that is still on the wire. And bytes that a server sends unasked must
not be taken for the answer to the next request: they name another job.
"""

from __future__ import annotations

import asyncio
import functools
import select
from typing import Any

import aiohttp
from aiohttp.connector import Connection
from yarl import URL

from batcher.adapters.connections import Connector, Way

POLLS_KEPT = 1_024


class Pool(Connector):
    """Connections to one origin."""

    def __init__(self, origin: URL, **options: Any) -> None:
        super().__init__(**options)
        # aiohttp asks a request where to connect to. This one is asked for all, and never sent.
        self._target = aiohttp.ClientRequest("GET", origin, loop=asyncio.get_running_loop())
        self._target_key = self._target.connection_key
        self._poll_of = functools.lru_cache(maxsize=POLLS_KEPT)(_poll_of)

    async def connection(self, way: Way, timeouts: aiohttp.ClientTimeout) -> Connection:
        """Return an idle connection, or a new one; it is to be released or closed."""
        connection = await self._get(self._target_key, [])
        if connection is None:
            return await self.connect(self._target, [], timeouts)

        way.found(connection)
        return connection

    async def _get(self, *args: Any) -> Connection | None:
        while (connection := await super()._get(*args)) is not None:
            if self._is_quiet(connection):
                return connection

            connection.close()

        return None

    def _is_quiet(self, connection: Connection) -> bool:
        """Return whether nothing has arrived unasked, in aiohttp or the kernel: bytes or an end."""
        protocol, transport = connection.protocol, connection.transport
        socket = None if transport is None else transport.get_extra_info("socket")
        if protocol is None or protocol.should_close or socket is None or socket.fileno() < 0:
            return False

        return not self._poll_of(socket.fileno()).poll(0)


def _poll_of(number: int) -> select.poll:
    """Return what asks for a file by its number. It knows the number only, so it can be kept."""
    poll = select.poll()
    poll.register(number, select.POLLIN)
    return poll
