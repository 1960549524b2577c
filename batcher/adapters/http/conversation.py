"""One conversation on one connection: bytes go out, and what comes back is read to its end.

aiohttp gives the connection and the parser; what is said is said here. Its own session would follow
redirects, repeat requests, store cookies and ask the environment, all of which has to be switched
off, and it costs as much as the rest.

Rule: a connection is given back only if all was sent and the answer was read to its end. In every
other case it is closed, so that nothing of one request is left for the next.
"""

from __future__ import annotations

import asyncio

import aiohttp
import anyio
from aiohttp.http import StreamWriter

from batcher.adapters.http.body import FileStream
from batcher.adapters.http.wire import CHUNK_BYTES, Answer, Wire
from batcher.core.errors import Lost

INTERIM_MAX = 100  # 1xx before the answer (RFC 9110, 15.2): a flood of them is cheap to send


async def converse(
    wire: Wire,
    said: bytes,
    stream: FileStream | None = None,
    *,
    bytes_max: int,
    is_head: bool = False,
) -> Answer:
    """Send *said* and then *stream*, and return the whole answer.

    *is_head*: the request is a HEAD, so its answer has no body, whatever its headers announce.
    Raises what aiohttp raises, and `Lost` for a body above *bytes_max* (decompressed).
    """
    transport = wire.transport
    try:
        if transport is None:
            raise aiohttp.ServerDisconnectedError

        if is_head or stream is not None:
            wire.listen(is_head=is_head)
            transport.write(said)
            hearing = _answer_to(stream, wire, bytes_max) if stream else _answer(wire, bytes_max)
            answer = await hearing
        else:
            first = wire.next_answer()
            transport.write(said)
            answer = await first or await _answer(wire, bytes_max)

        if len(answer[1]) > bytes_max:
            raise Lost(f"the answer is larger than {bytes_max} bytes")
    except BaseException:
        wire.lease.close()
        raise

    # A TLS transport that is closing may fail to say what is in its buffer: it is not asked.
    is_over = transport.is_closing() or (stream is not None and not stream.is_sent)
    if is_over or transport.get_write_buffer_size():  # it was answered before it had left
        wire.lease.close()

    return answer


async def _answer(wire: Wire, bytes_max: int) -> Answer:
    """Return the answer as aiohttp reads it, or what is above *bytes_max* at the least."""
    for _ in range(INTERIM_MAX + 1):
        message, content = await wire.read()
        if not 100 <= message.code <= 199 or message.code == 101:
            break
    else:
        raise Lost(f"more than {INTERIM_MAX} interim answers")

    # As a rule the body is there by now.
    body = content.read_nowait() if content.is_eof() else await _pieces(content, bytes_max)
    return message, body


async def _pieces(content: aiohttp.StreamReader, bytes_max: int) -> bytes:
    """Read a body as it comes, to its end or until it is too large."""
    body = bytearray()
    while len(body) <= bytes_max and (piece := await content.read(CHUNK_BYTES)):
        body += piece

    return bytes(body)


async def _answer_to(stream: FileStream, wire: Wire, bytes_max: int) -> Answer:
    """Return the answer to a stream, also if it comes before the stream has ended."""
    failure: Exception | None = None
    async with anyio.create_task_group() as sending:
        sending.start_soon(_send, stream, wire)
        try:
            answer = await _answer(wire, bytes_max)
        except Exception as error:
            failure = error  # as it is, and not in a group

        sending.cancel_scope.cancel()

    if failure is not None:
        raise failure

    return answer


async def _send(stream: FileStream, wire: Wire) -> None:
    try:
        await stream.send(StreamWriter(wire, asyncio.get_running_loop()))
    except OSError:  # a file or the network: there is no answer to half a request
        if wire.transport is not None:
            wire.transport.abort()
