"""One connection: a request goes out, and an answer that comes in one piece is taken in one.

Nearly every answer is a few hundred bytes, and its head and body come at once: aiohttp's parser
reads the head, and the body is what follows. Every other answer (in pieces, chunked, packed, after
interim ones, no HTTP) goes through aiohttp's parser and reader from its first byte.

Rule: the short way is taken only where the long one says the same: what came is one final answer,
to the byte.
"""

from __future__ import annotations

import asyncio
import select
from collections.abc import Callable

from aiohttp.client_proto import ResponseHandler
from aiohttp.connector import Connection
from aiohttp.http import HttpResponseParser, RawResponseMessage

CHUNK_BYTES = 65_536
WITHOUT_BODY = (204, 304)  # whatever length they tell (RFC 9110, 6.4.1)

NEXT = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"  # read from where the last answer ended

Answer = tuple[RawResponseMessage, bytes]  # its head, and its body


class Wire(ResponseHandler):
    """A connection as aiohttp makes and reads it. It carries one request at a time."""

    lease: Connection  # what the pool lent it as: closed or released when nobody uses it any more

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(loop)
        self.idle_since_s = 0.0  # by the loop's clock
        self._first: asyncio.Future[Answer | None] | None = None  # asked, and nothing has come yet
        self._heads: HttpResponseParser | None = None  # has read whole heads and nothing else
        self._poll: Callable[[int], list[tuple[int, int]]] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        super().connection_made(transport)
        poll = select.poll()
        poll.register(transport.get_extra_info("socket").fileno(), select.POLLIN)
        self._poll = poll.poll

    def is_quiet(self) -> bool:
        """Return whether nothing has arrived unasked, here or in the kernel: bytes or an end."""
        # A socket's number is its own as long as its transport is open.
        if self._poll is None or not self.is_connected() or self.should_close:
            return False

        return not self._poll(0)

    def rest(self) -> bool:
        """Read nothing that is not asked for; return whether nothing followed the last answer.

        What aiohttp's parser has of a head that nobody asked for is seen by nobody: it would be
        lost, and its end be taken for an answer. So it must be able to read a whole one now.
        """
        parser, self._parser = self._parser, None
        if parser is None:
            return True

        try:
            messages, _, _ = parser.feed_data(NEXT)
        except Exception:  # it was in the middle of something
            return False

        return len(messages) == 1 and len(messages[0][0].raw_headers) == 1

    def listen(self, *, is_head: bool = False) -> None:
        """Let aiohttp read the next answer. It is `read()`.

        *is_head*: it answers a HEAD, and has no body.
        """
        self.set_response_params(
            skip_payload=is_head, read_until_eof=True, read_bufsize=CHUNK_BYTES
        )

    def next_answer(self) -> asyncio.Future[Answer | None]:
        """Return what has the next answer if it comes whole, and else None: aiohttp reads it."""
        first: asyncio.Future[Answer | None] = self._loop.create_future()
        if self._tail:  # it came before it was asked for, and is read as ever
            self.listen()
            first.set_result(None)
        else:
            self._first = first

        return first

    def data_received(self, data: bytes) -> None:
        """Take what came."""
        first = self._first
        if first is None:
            super().data_received(data)
            return

        self._first = None
        answer = self._whole(data)
        if answer is None:
            self.listen()
            super().data_received(data)
        elif answer[0].should_close:
            self.force_close()

        if not first.done():
            first.set_result(answer)

    def connection_lost(self, exc: BaseException | None) -> None:
        """Let aiohttp tell how it ended."""
        super().connection_lost(exc)
        first, self._first = self._first, None
        if first is not None and not first.done():
            first.set_result(None)

    def _whole(self, data: bytes) -> Answer | None:
        """Return the answer that *data* is, if it is one, no less and no more."""
        body_at = data.find(b"\r\n\r\n") + 4
        if body_at < 4:
            return None

        head, body = data[:body_at], data[body_at:]
        if b": %d\r\n" % len(body) not in head:  # its length, as nearly everybody writes it
            return None

        heads = self._heads or HttpResponseParser(
            self, self._loop, CHUNK_BYTES, response_with_body=False
        )
        self._heads = None
        try:
            messages, _, _ = heads.feed_data(head)
        except Exception:  # aiohttp is given it once more, and says what is wrong
            return None

        # Its lines are the status, the headers and the empty one: it ends where it seems to.
        if len(messages) != 1 or len(head.splitlines()) != len(messages[0][0].raw_headers) + 2:
            return None

        self._heads = heads
        message: RawResponseMessage = messages[0][0]
        if message.code < 200 or message.code in WITHOUT_BODY or message.compression:
            return None

        is_whole = message.headers.get("Content-Length") == str(len(body))
        return (message, body) if is_whole else None
