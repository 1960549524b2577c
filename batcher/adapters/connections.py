"""What a request knows of its connection: whether it was ever given one, and how to cut it off.

Rule: as long as a request has no connection, nothing of it can have left, whatever went wrong. The
kind of an error does not tell that: a name that cannot be encoded, an empty answer of a resolver or
a thread that cannot be started are plain `UnicodeError` and `RuntimeError`.

And a deadline is kept against everybody. A cancelled task is let finish what it has to go on with;
a peer that never stops sending (interim answers, say) always leaves it something. It is cut off.
"""

from __future__ import annotations

import asyncio
from contextvars import ContextVar, Token
from typing import Self

import aiohttp
from aiohttp.connector import Connection
from aiohttp.tracing import Trace

GRACE_S = 1.0  # from a deadline to the cut: what arrived while the process slept is read in that

_WAY: ContextVar[Way | None] = ContextVar("way", default=None)


class Way:
    """One request's way to its server. Use as a context manager, around the sending."""

    def __init__(self, timeout_s: float) -> None:
        self._timeout_s = timeout_s
        self._sought = self._is_over = False
        self._connection: Connection | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._token: Token[Way | None] | None = None

    @property
    def is_missing(self) -> bool:
        """Whether a connection was sought and none was given: proof that nothing left."""
        return self._sought and self._connection is None

    def seek(self) -> None:
        """Note that a connection is being made, or waited for."""
        self._sought = True

    def found(self, connection: Connection) -> None:
        """Note the connection: from now on anything may leave."""
        self._connection = connection
        if self._is_over:
            self._cut()

    def __enter__(self) -> Self:
        self._token = _WAY.set(self)
        self._timer = asyncio.get_running_loop().call_later(self._timeout_s, self._overdue)
        return self

    def __exit__(self, *failure: object) -> None:
        if self._timer is not None:
            self._timer.cancel()

        if self._token is not None:
            _WAY.reset(self._token)

    def _overdue(self) -> None:
        # In two steps: where a stopped process wakes, both times have passed, and what has arrived
        # meanwhile is still to be read.
        self._timer = asyncio.get_running_loop().call_later(GRACE_S, self._cut)

    def _cut(self) -> None:
        self._is_over = True
        transport = None if self._connection is None else self._connection.transport
        if transport is not None:
            transport.abort()


class Connector(aiohttp.TCPConnector):
    """A pool of connections that tells each request's `Way` what became of it."""

    async def connect(
        self,
        req: aiohttp.ClientRequest,
        traces: list[Trace],
        timeout: aiohttp.ClientTimeout,  # noqa: ASYNC109  the signature is aiohttp's
    ) -> Connection:
        """Return a connection for a request, as aiohttp asks for it."""
        way = _WAY.get()
        if way is None:
            return await super().connect(req, traces, timeout)

        way.seek()
        connection = await super().connect(req, traces, timeout)
        way.found(connection)
        return connection
