"""A server that answers anything at once and notes when each request arrived; `GET /times` tells.

It prints its port. One process, one thread, no dependency of its own but uvloop.
"""

from __future__ import annotations

import asyncio
import json
import time
from typing import cast

import uvloop

ANSWER = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{}"
TIMES: list[float] = []


class Connection(asyncio.Protocol):
    """One connection; requests have no bodies."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        self._transport = cast("asyncio.Transport", transport)
        self._buffer = b""

    def data_received(self, data: bytes) -> None:
        """Answer every request that is whole."""
        now = time.monotonic()
        self._buffer += data
        while b"\r\n\r\n" in self._buffer:
            head, _, self._buffer = self._buffer.partition(b"\r\n\r\n")
            if head.startswith(b"GET /times"):
                body = json.dumps(TIMES).encode()
                size = str(len(body)).encode()
                self._transport.write(
                    b"HTTP/1.1 200 OK\r\ncontent-length: " + size + b"\r\n\r\n" + body
                )
                TIMES.clear()
            else:
                TIMES.append(now)
                self._transport.write(ANSWER)


async def main() -> None:
    """Serve until killed."""
    server = await asyncio.get_running_loop().create_server(Connection, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(main())
