"""What a request knows of its connection: whether it was ever given one, and how to cut it off.

Rule: as long as a request has no connection, nothing of it can have left, whatever went wrong. The
kind of an error does not tell that: a name that cannot be encoded, an empty answer of a resolver or
a thread that cannot be started are plain `UnicodeError` and `RuntimeError`.

And a deadline is kept against everybody, by cutting the connection: a task may always have
something to go on with (interim answers, say), a connection that is gone has not. One timer keeps
the deadlines of all. Who has no connection yet is ended by aiohttp's own time-outs to connect.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from contextvars import ContextVar, Token
from itertools import takewhile
from math import inf
from typing import Any, Self

import aiohttp
from aiohttp.client_proto import ResponseHandler
from aiohttp.connector import Connection
from aiohttp.tracing import Trace

GRACE_S = 0.25  # from a deadline to the cut: what arrived while the process slept is read in that
TICK_S = 0.01  # the timer is not set finer

_WAY: ContextVar[Way | None] = ContextVar("way", default=None)


class Way:
    """One request's way to its server. Use as a context manager, around what has a deadline."""

    __slots__ = ("_connection", "_line", "_sought", "_token", "due_s", "is_over")

    def __init__(self, line: dict[Way, None], due_s: float) -> None:
        self.due_s = due_s  # by the loop's clock
        self.is_over = False  # cut off: what came is no whole answer, whatever it looks like
        self._line = line  # of those that wait for the same
        self._sought = False
        self._connection: Connection | ResponseHandler | None = None
        self._token: Token[Way | None] | None = None

    @property
    def is_missing(self) -> bool:
        """Whether a connection was sought and none was given: proof that nothing left."""
        return self._sought and self._connection is None

    def seek(self) -> None:
        """Note that a connection is being made, or waited for."""
        self._sought = True

    def found(self, connection: Connection | ResponseHandler) -> None:
        """Note the connection: from now on anything may leave."""
        self._connection = connection
        if self.is_over:
            self.cut()

    def stand_in(self, line: dict[Way, None]) -> None:
        """Leave one line for another."""
        self._line.pop(self, None)
        self._line = line
        line[self] = None

    def cut(self) -> None:
        """Abort the connection, unless it was given back: then the answer has come."""
        transport = None if self._connection is None else self._connection.transport
        if transport is not None:
            transport.abort()

        self.is_over = self._connection is None or transport is not None

    def __enter__(self) -> Self:
        self._line[self] = None
        self._token = _WAY.set(self)
        return self

    def __exit__(self, *failure: object) -> None:
        self._line.pop(self, None)
        if self._token is not None:
            _WAY.reset(self._token)


class Deadlines:
    """The deadlines of all open requests, and the one timer that keeps them.

    Requests with one time-out stand in a line: who comes first is due first. So nothing is sorted,
    and the timer looks at the head of each line, about once in a time-out.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._lines: dict[float, dict[Way, None]] = {}  # by time-out
        self._timer: asyncio.TimerHandle | None = None
        self._timer_due_s = inf

    def way(self, timeout_s: float) -> Way:
        """Return the way of a request that begins now."""
        due_s = self._loop.time() + timeout_s
        if due_s < self._timer_due_s:
            self._set_timer(due_s)

        line = self._lines.get(timeout_s)
        if line is None:
            line = self._lines[timeout_s] = {}

        return Way(line, due_s)

    def stop(self) -> None:
        """Let go of the timer."""
        if self._timer is not None:
            self._timer.cancel()

    def _set_timer(self, due_s: float) -> None:
        self.stop()
        self._timer = self._loop.call_at(due_s, self._look)
        self._timer_due_s = due_s

    def _look(self) -> None:
        now_s = self._loop.time()
        late: dict[Way, None] = {}
        for way in [way for line in self._lines.values() for way in _due(line, now_s)]:
            way.stand_in(late)

        if late:
            # In two steps: where a stopped process wakes, both times have passed, and what has
            # arrived meanwhile is still to be read.
            self._loop.call_later(GRACE_S, _cut, late)

        self._lines = {timeout_s: line for timeout_s, line in self._lines.items() if line}
        heads_s = [next(iter(line)).due_s for line in self._lines.values()]
        self._timer_due_s = inf
        if heads_s:
            self._set_timer(max(min(heads_s), now_s + TICK_S))


def _due(line: Iterable[Way], now_s: float) -> Iterable[Way]:
    """Return those of a line whose time has come."""
    return takewhile(lambda way: way.due_s <= now_s, line)


def _cut(late: Iterable[Way]) -> None:
    for way in late:
        way.cut()


class Connector(aiohttp.TCPConnector):
    """A pool of connections that keeps deadlines, and tells each `Way` what became of it."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.deadlines = Deadlines(asyncio.get_running_loop())

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

    async def close(self, *, abort_ssl: bool = False) -> None:
        """Close all connections."""
        self.deadlines.stop()
        await super().close(abort_ssl=abort_ssl)
