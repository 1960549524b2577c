"""The receiver of webhooks: a small HTTP server for the calls of one API.

Rule: it believes nothing and tells nothing. A POST of a bounded size is handed over as it came, and
the verdict becomes a bare status: no body, nothing of what was sent, nothing about the software.
Every connection carries one request and must have sent it within seconds; only so many are open.
It knows neither signatures nor jobs. TLS ends before it, at the proxy or tunnel that the API calls.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from enum import IntEnum
from typing import Final

import anyio
from aiohttp import HttpVersion10, web

from batcher.adapters.door import Bounds, bare, open_door

BODY_BYTES_MAX: Final = 65_536  # a call of deAPI has some 500
LINE_BYTES_MAX: Final = 4_096  # of the request line; deAPI takes URLs of up to 2,048
CONNECTIONS_MAX: Final = 128
SEND_S: Final = 10.0  # for the head of a request, and again for its body
ANSWER_S: Final = 6.0  # deAPI waits for 10 s (docs.deapi.ai, webhooks), and the network takes some


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
    bounds = Bounds(CONNECTIONS_MAX, LINE_BYTES_MAX, SEND_S)
    answer = _Receiver(take).answer
    flag, choose = "--webhook-listen", "another HOST:PORT"
    async with open_door(listen, answer, bounds, flag=flag, choose=choose) as address:
        yield address


class _Receiver:
    """Reads requests within bounds and answers them."""

    def __init__(self, take: Take) -> None:
        self._take = take

    async def answer(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer one request."""
        if request.method != "POST":
            return bare(405, {"Allow": "POST"})

        if request.version < HttpVersion10:
            return bare(400)

        if (request.content_length or 0) > BODY_BYTES_MAX:
            return bare(413)

        body = None
        try:
            with anyio.move_on_after(SEND_S):
                body = await _read(request)
        except (web.RequestPayloadError, ConnectionError, ValueError):
            return bare(400)

        if body is None:
            return bare(408)

        if len(body) > BODY_BYTES_MAX:
            return bare(413)

        return bare(await self._answer_to(request, body))

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
