"""HTTP: one request out, one whole answer back, and the truth about everything in between.

Rule: whatever happens is an answer, or `NotSent` (proof that no byte of the request left), or
`Lost`. Only failures to connect are such proof; every other failure is `Lost`, also one to read an
answer: a server whose status line is unreadable may have said 202.

Nothing is repeated here, no redirect is followed, no proxy, cookie or netrc is used. One origin is
called: requests carry just a path, and the key goes into a header of each. What many requests
have in common is made once, because this runs twice for every job.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Coroutine, Sequence
from types import TracebackType
from typing import Any, Self

from aiohttp.http import RawResponseMessage

from batcher.adapters.http.body import Body, body_with_files, plain_body
from batcher.adapters.http.conversation import converse
from batcher.adapters.http.echoes import Echoes
from batcher.adapters.http.failure import failure_of
from batcher.adapters.http.heads import Heads
from batcher.adapters.http.origin import checked_base, checked_key
from batcher.adapters.http.pool import Pool
from batcher.core.errors import NotSent, TransportError, UsageError
from batcher.core.exchange import Request, Response
from batcher.core.secret import Secret
from batcher.core.settings import STATUS_BYTES_MAX


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
        self._base = checked_base(base_url)
        self._connections = connections
        self._body_bytes_max = body_bytes_max
        self._wall = wall
        self._heads = Heads(self._base, user_agent, auth_header, auth_scheme)
        self._key = key  # asked for with every request: a key may be replaced while a run goes on
        self._key_in_use: Secret | None = None
        self._echoes = Echoes(())  # of the key in use
        self._pool: Pool | None = None
        checked_key(key())

    async def __aenter__(self) -> Self:
        self._pool = Pool(self._base, limit=self._connections)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._pool is not None:
            await self._pool.close()

    def send(self, request: Request, *, timeout_s: float) -> Coroutine[Any, Any, Response]:
        """Send *request* and return its answer, whatever its status. See `Transport`."""
        if self._pool is None:
            raise ValueError("a transport is entered before it sends")

        start = self._heads.start(request.method, request.path)  # before a file is opened
        if request.files and request.json is None:
            return self._send_files(self._pool, request, start, timeout_s)

        return self._send(self._pool, request, start, plain_body(request), timeout_s)

    async def _send_files(
        self, pool: Pool, request: Request, start: bytes, timeout_s: float
    ) -> Response:
        body = await body_with_files(request)
        try:
            return await self._send(pool, request, start, body, timeout_s)
        finally:
            body.close()

    async def _send(
        self, pool: Pool, request: Request, start: bytes, body: Body, timeout_s: float
    ) -> Response:
        echoes = self._use_key(request)
        said = start + self._heads.rest(request, body)
        with pool.deadlines.way(timeout_s) as way:
            try:
                wire = await pool.wire(way, timeout_s)
                message, content = await converse(
                    wire,
                    said,
                    body.stream,
                    bytes_max=self._body_bytes_max,
                    is_head=request.method == "HEAD",
                )
                pool.keep(wire)
                if way.is_over and not _has_length(message):  # then it looks whole, and is not
                    raise TimeoutError

                headers = echoes.blotted_headers(_headers(message.raw_headers))
                return Response(message.code, echoes.blotted(content), headers, self._wall())
            except TransportError:
                raise
            except Exception as error:
                failure = body.problem or failure_of(
                    TimeoutError() if way.is_over else error,
                    self._base.authority,
                    timeout_s,
                    nothing_left=way.is_missing,
                )

        # Not chained: an error may carry what was sent, and with it the key.
        raise failure

    def _use_key(self, request: Request) -> Echoes:
        """Let heads have the key that is in use now, and return what must not be echoed."""
        key = self._key()
        if key is not self._key_in_use:
            try:
                self._heads.use_key(checked_key(key))
            except UsageError as error:
                raise NotSent(str(error), local=True) from None

            self._echoes = Echoes((key,))
            self._key_in_use = key

        return Echoes((key, *request.secrets)) if request.secrets else self._echoes


def _has_length(message: RawResponseMessage) -> bool:
    """Return whether the end of an answer's body is told by other means than the connection's."""
    return message.chunked or "Content-Length" in message.headers


def _headers(raw: Sequence[tuple[bytes, bytes]]) -> dict[str, str]:
    """Return an answer's headers; one that is repeated is joined by commas (RFC 9110, 5.3)."""
    headers = {_name(name): value.decode("utf-8", "replace") for name, value in raw}
    if len(headers) < len(raw):
        for name in headers:
            values = (value for other, value in raw if _name(other) == name)
            headers[name] = b", ".join(values).decode("utf-8", "replace")

    return headers


@functools.lru_cache(maxsize=256)  # a server sends the same ones again and again
def _name(raw: bytes) -> str:
    return raw.decode("utf-8", "replace").lower()
