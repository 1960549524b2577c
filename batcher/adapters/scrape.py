"""A small HTTP server that shows how a run stands: `GET /metrics` and `GET /health`.

Rule: it only reads. It takes no body, tells nothing of the software, and every connection carries
one request within seconds; only so many are open. What cannot be read is refused in silence: a bad
request costs the run nothing. Who may come is for the address it listens at to say.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final

from aiohttp import HttpVersion10, web

from batcher.adapters.door import Bounds, bare, open_door

LINE_BYTES_MAX: Final = 1_024  # of the request line: two short paths
CONNECTIONS_MAX: Final = 16  # a scraper or two, a probe, a person
SEND_S: Final = 5.0  # for the head of a request
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

    bounds = Bounds(CONNECTIONS_MAX, LINE_BYTES_MAX, SEND_S)
    async with open_door(listen, answer, bounds, flag="--metrics-port") as address:
        yield address


def _answer(request: web.BaseRequest, pages: Mapping[str, Callable[[], Page]]) -> web.Response:
    if request.version < HttpVersion10:
        return bare(400)

    if request.method not in READS:
        return bare(405, {"Allow": ", ".join(READS)})

    page = pages.get(request.path)
    if page is None:
        return bare(404)

    shown = page()
    headers = {"Content-Type": shown.content_type, "Cache-Control": "no-store"}
    return bare(shown.status, headers, shown.body)
