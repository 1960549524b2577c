"""The same requests by a tuned loop that keeps no promise at all: what everything is compared with.

aiohttp as it is fastest: one session, no cookies, encoded addresses, bytes from orjson, no
deadline, no limiter, nothing checked, nothing written down. Workers share one iterator of rows and
one line of jobs, in the order they were made; each job is read when it is done. A process that dies
has forgotten everything.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import sys
import time
from collections import deque
from collections.abc import Iterator
from pathlib import Path

import aiohttp
import orjson
from yarl import URL

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.loops import LOOPS, run  # after the path

HEADERS = {"X-API-Key": "test-key", "Accept-Encoding": "identity"}


async def work(
    session: aiohttp.ClientSession, base: str, rows: Iterator[bytes], job_s: float
) -> None:
    """Submit and read jobs until there are none."""
    upload = URL(base + "/api/v1/upload", encoded=True)
    json_type = {"Content-Type": "application/json"}
    jobs: deque[tuple[float, str]] = deque()
    for line in rows:
        row = orjson.loads(line)
        body = orjson.dumps({"file_url": row["file_url"]})
        async with session.post(upload, data=body, headers=json_type) as answer:
            job_id = orjson.loads(await answer.read())["job_id"]

        jobs.append((time.monotonic() + job_s, job_id))
        while jobs and jobs[0][0] <= time.monotonic():
            await read(session, base, jobs.popleft()[1])

    while jobs:
        due, job_id = jobs.popleft()
        # A timer of uvloop counts from the loop's last turn, and so may ring early.
        while (left_s := due - time.monotonic()) > 0.0:  # noqa: ASYNC110 - there is no event
            await asyncio.sleep(left_s)

        await read(session, base, job_id)


async def read(session: aiohttp.ClientSession, base: str, job_id: str) -> None:
    """Read one job, which is done."""
    url = URL(f"{base}/api/v1/status?job_id={job_id}", encoded=True)
    async with session.get(url) as answer:
        if orjson.loads(await answer.read())["state"] != "done":
            raise SystemExit("a job was not done in time")


def options() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("manifest", type=Path)
    parser.add_argument("base_url")
    parser.add_argument("--connections", type=int, default=32)
    parser.add_argument("--job-s", type=float, default=0.0)
    parser.add_argument("--loop", choices=LOOPS, default="uvloop")
    return parser.parse_args()


async def main(told: argparse.Namespace) -> None:
    """Send every row of the manifest."""
    connector = aiohttp.TCPConnector(limit=told.connections)
    jar = aiohttp.DummyCookieJar()
    timeout = aiohttp.ClientTimeout(total=None)
    async with aiohttp.ClientSession(
        connector=connector, cookie_jar=jar, headers=HEADERS, timeout=timeout
    ) as session:
        with told.manifest.open("rb") as rows:
            shared = iter(rows)
            async with asyncio.TaskGroup() as group:
                for _ in range(told.connections):
                    group.create_task(work(session, told.base_url, shared, told.job_s))


if __name__ == "__main__":
    gc.set_threshold(50_000, 20, 50)  # as in `batcher.cli.process`
    chosen = options()
    run(main(chosen), chosen.loop)
