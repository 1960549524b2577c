"""The server of the dashboard: one page, and the events that keep it moving, for who has the token.

Rule: it only reads and never waits for a browser. What a viewer has not taken in time is not kept
for it: the viewer is cut off, and finds the whole state when it comes back. A request must name the
token, in its path, and this machine, in `Host`, so that neither a guess nor another site's name
that was pointed here gets anything. What is refused is refused in silence. What is shown is for
others to say.
"""

from __future__ import annotations

import hmac
import ipaddress
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Final

import anyio
from aiohttp import HttpVersion10, web

from batcher.adapters.door import Bounds, bare, open_door
from batcher.core.secret import Secret

LINE_BYTES_MAX: Final = 1_024  # of the request line: the token and a name
CONNECTIONS_MAX: Final = 16
SEND_S: Final = 5.0  # for the head of a request, and for taking the first event in
BEAT_S: Final = 15.0  # without an event; then a line shows that the connection lives
BACKLOG_BYTES_MAX: Final = 32_768  # that a viewer has not taken; then it is cut off
OWN_NAMES: Final = ("localhost",)
HEADERS: Final = {
    "Server": "batcher",
    "Cache-Control": "no-store",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
}


@dataclass(frozen=True, slots=True)
class Shown:
    """What is shown at a name. `policy` is its Content-Security-Policy."""

    content_type: str
    body: bytes
    policy: str = "default-src 'none'"


class Events:
    """What all viewers are told; *hello* makes the first event of each, with everything so far.

    Only the newest event is kept: one that a viewer missed is made up for by the next.
    """

    def __init__(self, hello: Callable[[], Awaitable[bytes]]) -> None:
        self.hello = hello
        self.number = 0
        self.is_over = False
        self.viewers = 0
        self._newest = b""
        self._news = anyio.Event()

    def send(self, kind: str, data: bytes) -> None:
        """Tell everybody something; *data* is one line."""
        self.number += 1
        self._newest = event(kind, data)
        self._wake()

    def close(self) -> None:
        """Let everybody go, once they have the newest event. Idempotent."""
        self.is_over = True
        self._wake()

    async def after(self, number: int) -> tuple[int, bytes] | None:
        """Wait for an event that is newer than *number*; None = there will be none."""
        while self.number <= number and not self.is_over:
            await self._news.wait()

        return (self.number, self._newest) if self.number > number else None

    def _wake(self) -> None:
        self._news.set()
        self._news = anyio.Event()


@dataclass(frozen=True, slots=True)
class Site:
    """Everything that can be asked for: the page, its events, and other pages by their names."""

    page: Shown
    events: Events
    others: Mapping[str, Callable[[], Awaitable[Shown]]] = field(default_factory=dict)


def event(kind: str, data: bytes) -> bytes:
    """Return a server-sent event (WHATWG HTML, 9.2)."""
    return b"event: %b\ndata: %b\n\n" % (kind.encode(), data)


@asynccontextmanager
async def showing(listen: str, token: Secret, site: Site, flag: str) -> AsyncIterator[str]:
    """Show *site* at `HOST:PORT` until the block ends.

    Gives the address with its true port; port 0 takes a free one. Raises `UsageError`, which names
    *flag*, if the address cannot be had.
    """
    host = listen.rpartition(":")[0].strip("[]").lower()
    guard = _Guard(token, (*OWN_NAMES, host))

    async def answer(request: web.BaseRequest) -> web.StreamResponse:
        return await _answer(request, guard, site)

    bounds = Bounds(CONNECTIONS_MAX, LINE_BYTES_MAX, SEND_S, HEADERS)
    async with open_door(listen, answer, bounds, flag=flag) as address:
        try:
            yield address
        finally:
            site.events.close()


@dataclass(frozen=True, slots=True)
class _Guard:
    """Who may come in."""

    token: Secret
    names: tuple[str, ...]

    def refusal(self, request: web.BaseRequest) -> int | None:
        """Return the status of a request that gets nothing; None = it may pass."""
        if request.version < HttpVersion10:
            return 400

        if request.method != "GET":
            return 405

        if not self._is_ours(request.headers.get("Host", "")):
            return 421  # RFC 9110, 15.5.20: misdirected

        given = request.rel_url.raw_path.split("/", 2)[1:2] or [""]
        is_known = hmac.compare_digest(given[0].encode(), self.token.reveal().encode())
        return None if is_known else 404

    def _is_ours(self, named: str) -> bool:
        """Whether a browser that asked for *named* meant us: a name can be pointed anywhere.

        An address cannot, and the port may be a tunnel's.
        """
        host, _, port = named.lower().rpartition(":")
        host = (host if port.isdigit() and host else named.lower()).strip("[]")
        if host in self.names:
            return True

        try:
            ipaddress.ip_address(host)
        except ValueError:
            return False

        return True


async def _answer(request: web.BaseRequest, guard: _Guard, site: Site) -> web.StreamResponse:
    refusal = guard.refusal(request)
    if refusal is not None:
        return _bare(refusal, {"Allow": "GET"} if refusal == 405 else None)

    name = request.rel_url.raw_path.split("/", 2)[2:]
    if name == [""]:
        return _whole(site.page)

    if name == ["events"]:
        return await _stream(request, site.events)

    other = site.others.get(name[0] if name else "")
    return _bare(404) if other is None else _whole(await other())


def _whole(shown: Shown) -> web.Response:
    headers = {"Content-Type": shown.content_type, "Content-Security-Policy": shown.policy}
    return _bare(200, headers, shown.body)


async def _stream(request: web.BaseRequest, events: Events) -> web.StreamResponse:
    """Tell a viewer everything so far, and then each event, until it leaves or falls behind."""
    response = web.StreamResponse(headers={**HEADERS, "Content-Type": "text/event-stream"})
    response.force_close()
    events.viewers += 1
    try:
        await response.prepare(request)
        number = events.number
        with anyio.fail_after(SEND_S):
            await response.write(event("hello", await events.hello()))

        while (news := await _news(events, number)) is not None and _keeps_up(request):
            number, told = news
            await response.write(told)
    except (ConnectionError, TimeoutError):  # the viewer has gone, or stands still
        if request.transport is not None:
            request.transport.abort()
    finally:
        events.viewers -= 1

    return response


async def _news(events: Events, number: int) -> tuple[int, bytes] | None:
    """Return the next event, or a line without meaning after a while; None = it is over."""
    with anyio.move_on_after(BEAT_S):
        return await events.after(number)

    return number, b":\n\n"


def _keeps_up(request: web.BaseRequest) -> bool:
    """Whether a viewer has taken what was written before; who has not is cut off."""
    transport = request.transport
    if transport is None or transport.is_closing():
        return False

    if transport.get_write_buffer_size() <= BACKLOG_BYTES_MAX:
        return True

    transport.abort()
    return False


def _bare(
    status: int, headers: Mapping[str, str] | None = None, body: bytes | None = None
) -> web.Response:
    """Return an answer after which the connection is closed."""
    return bare(status, {**HEADERS, **(headers or {})}, body)
