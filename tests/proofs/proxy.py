"""A TCP proxy on loopback that breaks connections, by seed and without changing a byte.

Rule: what arrives is what was sent, as far as it arrives: late, slowly, in small pieces, or only
the first bytes of it. Each connection gets its own fate, drawn from the seed and its number, for
one of its directions. A proxy knows which of its links it broke; a link carries one request at a
time, so it can have put one row in doubt at most.
"""

from __future__ import annotations

import contextlib
import socket
import struct
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from enum import Enum
from random import Random

import anyio
from anyio.abc import SocketAttribute, SocketStream

PIECE_BYTES = 65_536
ABORT = struct.pack("ii", 1, 0)  # SO_LINGER: close with a reset


class End(Enum):
    """How a link ends before its time."""

    NONE = "none"
    RESET = "reset"  # both sides see it
    CLOSE = "close"  # in good order, as if nothing were missing
    HALF_CLOSE = "half close"  # this direction is over, the other one goes on
    BLACKHOLE = "blackhole"  # nothing passes any more this way, and nobody is told


@dataclass(frozen=True, slots=True)
class Toxic:
    """What happens to the bytes of one direction."""

    latency_s: float = 0.0
    jitter_s: float = 0.0  # on top, drawn for each piece
    bytes_per_s: float = 0.0  # 0 = as fast as it goes
    slice_bytes: int = 0  # pieces of at most so many; 0 = as they come
    end: End = End.NONE
    after_bytes: int = 0  # when it ends


CLEAN = Toxic()
Draw = Callable[[Random], tuple[Toxic, Toxic]]  # for the way up and the way down


def drawn(rng: Random) -> tuple[Toxic, Toxic]:
    """Return the fate of a link; only some are healthy, else few would ever break."""
    toxic = rng.choice(
        (
            CLEAN,
            Toxic(latency_s=rng.uniform(0.0, 0.1), jitter_s=rng.uniform(0.0, 0.1)),
            Toxic(bytes_per_s=rng.uniform(20_000, 200_000)),
            Toxic(slice_bytes=rng.randrange(1, 60)),
            *(Toxic(end=end, after_bytes=rng.randrange(0, 2_000)) for end in ENDS),
            Toxic(end=rng.choice(ENDS), after_bytes=0),
            Toxic(slice_bytes=7, end=End.RESET, after_bytes=rng.randrange(0, 600)),
        )
    )
    return (toxic, CLEAN) if rng.random() < 0.4 else (CLEAN, toxic)


ENDS = (End.RESET, End.CLOSE, End.HALF_CLOSE, End.BLACKHOLE)


class Link:
    """One connection through the proxy."""

    def __init__(self, client: SocketStream, server: SocketStream, rng: Random) -> None:
        self.is_broken = False
        self._client = client
        self._server = server
        self._rng = rng

    async def carry(self, up: Toxic, down: Toxic) -> None:
        """Carry bytes both ways until the link ends."""
        async with self._client, self._server, anyio.create_task_group() as ways:
            ways.start_soon(self._pump, self._client, self._server, up, ways.cancel_scope)
            ways.start_soon(self._pump, self._server, self._client, down, ways.cancel_scope)

    async def _pump(
        self, source: SocketStream, target: SocketStream, toxic: Toxic, link: anyio.CancelScope
    ) -> None:
        left = toxic.after_bytes
        try:
            async for piece in pieces(source, toxic, self._rng):
                if toxic.end is not End.NONE and len(piece) >= left:
                    await target.send(piece[:left])
                    await self._end(toxic.end, source, target, link)
                    return

                left -= len(piece)
                await target.send(piece)

            await target.send_eof()
        except (OSError, anyio.BrokenResourceError, anyio.ClosedResourceError):
            link.cancel()  # one side is gone, and so is the link

    async def _end(
        self, end: End, source: SocketStream, target: SocketStream, link: anyio.CancelScope
    ) -> None:
        self.is_broken = True
        if end is End.HALF_CLOSE:
            await target.send_eof()

        if end in (End.HALF_CLOSE, End.BLACKHOLE):
            async for _ in pieces(source, CLEAN, self._rng):
                pass  # until it gives up

            await target.send_eof()
            return

        if end is End.RESET:
            for side in (source, target):
                raw = side.extra(SocketAttribute.raw_socket)
                raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, ABORT)

        link.cancel()


async def pieces(source: SocketStream, toxic: Toxic, rng: Random) -> AsyncIterator[bytes]:
    """Yield what a side sends, as late and in such pieces as the toxic wants."""
    while True:
        try:
            got = await source.receive(PIECE_BYTES)
        except anyio.EndOfStream:
            return

        if toxic.latency_s or toxic.jitter_s:
            await anyio.sleep(toxic.latency_s + toxic.jitter_s * rng.random())

        for piece in sliced(got, toxic.slice_bytes):
            if toxic.bytes_per_s:
                await anyio.sleep(len(piece) / toxic.bytes_per_s)

            yield piece


def sliced(got: bytes, size: int) -> Iterator[bytes]:
    """Yield *got* in pieces of at most *size* bytes; 0 = in one."""
    step = size or len(got)
    for begin in range(0, len(got), step):
        yield got[begin : begin + step]


@dataclass
class Proxy:
    """The proxy. *draw* may be changed while it runs: it is asked for each new link."""

    to_port: int
    seed: int
    draw: Draw = drawn
    port: int = 0
    links: list[Link] = field(default_factory=list)

    @property
    def url(self) -> str:
        """Where it is."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def broken(self) -> int:
        """How many links it broke."""
        return sum(link.is_broken for link in self.links)

    async def carry(self, client: SocketStream) -> None:
        """Carry one connection."""
        rng = Random(f"{self.seed}:{len(self.links)}")
        with contextlib.suppress(OSError):
            link = Link(client, await anyio.connect_tcp("127.0.0.1", self.to_port), rng)
            self.links.append(link)
            await link.carry(*self.draw(rng))


@asynccontextmanager
async def proxied(to_port: int, *, seed: int = 0, draw: Draw = drawn) -> AsyncIterator[Proxy]:
    """Run a proxy in front of a port of this machine."""
    proxy = Proxy(to_port, seed, draw)
    async with await anyio.create_tcp_listener(local_host="127.0.0.1") as listener:
        proxy.port = listener.extra(SocketAttribute.local_port)
        async with anyio.create_task_group() as links:
            links.start_soon(listener.serve, proxy.carry)
            yield proxy
            links.cancel_scope.cancel()
