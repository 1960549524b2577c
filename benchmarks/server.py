"""An API of nothing: answers like Removit, costs almost no processor time, and never binds.

One process, one thread, uvloop where there is one, and a parser of twenty lines. A job id tells
when the job was made, so that nothing is remembered: a job is done `--job-s` after that.
`GET /count` tells how many submits and reads came in. It prints its port on the first line.

It speaks just enough HTTP for the benchmarks, and checks nothing.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import time
from pathlib import Path
from typing import cast

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.loops import run  # after the path

ACCEPTED = b'{"status":"accepted","state":"queued","job_id":"%d-%d"}'
PENDING = b'{"status":"queued","state":"queued","progress":0}'
DONE = b'{"status":"done","state":"done","final_url":"https://cdn.example/%s.png"}'
ANSWER = b"HTTP/1.1 %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s"


class Counts:
    """What came in."""

    submits = 0
    reads = 0


class Connection(asyncio.Protocol):
    """One connection, one request at a time; a body has a Content-Length."""

    def __init__(self, job_s: float) -> None:
        self._job_us = job_s * 1e6
        self._buffer = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        """Answer a request as soon as it is whole."""
        self._buffer += data
        head_ends = self._buffer.find(b"\r\n\r\n")
        if head_ends < 0:
            return

        if self._buffer.startswith(b"GET "):
            target = self._buffer[4 : self._buffer.index(b" ", 4)]
            self._buffer = self._buffer[head_ends + 4 :]
            self._transport.write(self._answer(target))
            return

        head = self._buffer[:head_ends].lower()
        at = head.find(b"content-length:")
        size = int(head[at + 15 :].split(b"\r\n", 1)[0]) if at >= 0 else 0
        if len(self._buffer) >= head_ends + 4 + size:
            self._buffer = self._buffer[head_ends + 4 + size :]
            Counts.submits += 1
            body = ACCEPTED % (time.monotonic_ns() // 1000, Counts.submits)
            self._transport.write(ANSWER % (b"202 Accepted", len(body), body))

    def _answer(self, target: bytes) -> bytes:
        if target == b"/count":
            counts = {"submits": Counts.submits, "reads": Counts.reads}
            body = json.dumps(counts).encode()
        else:
            Counts.reads += 1
            job_id = target.rpartition(b"=")[2]
            made_us = int(job_id.partition(b"-")[0])
            is_done = time.monotonic_ns() // 1000 - made_us >= self._job_us
            body = DONE % job_id if is_done else PENDING

        return ANSWER % (b"200 OK", len(body), body)


async def main() -> None:
    """Serve until killed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--job-s", type=float, default=0.0)
    job_s = parser.parse_args().job_s
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Connection(job_s), "127.0.0.1", 0, backlog=1024)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    run(main(), "uvloop")
