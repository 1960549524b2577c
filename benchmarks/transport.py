"""What a request costs over aiohttp's own: `HttpTransport.send` beside the same request, bare.

Run it: `python benchmarks/transport.py [--requests 4000] [--rounds 9] [--loop uvloop]`. The server
is `benchmarks/server.py`, a process of its own. Bare is what `benchmarks/raw.py` does: one session,
no deadline, nothing checked. Both take turns (A B A B) on one event loop, half of the requests are
submits and half are reads, and what counts is this process's processor time, which other processes
disturb least.

One line of JSON: medians of microseconds a request, their ratio and difference, and Python function
calls a request, which no load can falsify.
"""

from __future__ import annotations

import argparse
import asyncio
import cProfile
import json
import pstats
import statistics
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import aiohttp
from yarl import URL

sys.path.insert(0, str(Path(__file__).parents[1]))

from batcher.adapters.http import HttpTransport
from batcher.core.exchange import Request
from batcher.core.secret import Secret
from benchmarks.loops import LOOPS, run  # after the path

SERVER = Path(__file__).with_name("server.py")
PROFILED = 400  # requests, for the count of calls
BODY = b'{"file_url":"https://shop.example/1/123456.jpg"}'
SUBMIT = "/api/v1/upload"
STATUS = "/api/v1/status?job_id=0-%d"

Exchange = Callable[[int], Awaitable[object]]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--requests", type=int, default=4_000, help="in each round")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--connections", type=int, default=32)
    parser.add_argument("--loop", choices=LOOPS, default="uvloop")
    parser.add_argument("--quick", action="store_true", help="three rounds of 1,000")
    told = parser.parse_args()
    requests, rounds = (1_000, 3) if told.quick else (told.requests, told.rounds)
    with subprocess.Popen([sys.executable, SERVER], stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        base_url = f"http://127.0.0.1:{server.stdout.readline().strip()}"
        try:
            run(compare(base_url, requests, rounds, told.connections, told.loop), told.loop)
        finally:
            server.terminate()


async def compare(base_url: str, requests: int, rounds: int, connections: int, loop: str) -> None:
    """Measure both in turns and print their figures."""
    key = Secret("test-key", "here")
    async with (
        HttpTransport(
            *(base_url, "X-API-Key", "", lambda: key),
            connections=connections,
            user_agent="batcher",
            wall=time.time,
        ) as transport,
        aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=connections),
            cookie_jar=aiohttp.DummyCookieJar(),
            headers={"X-API-Key": "test-key", "Accept-Encoding": "identity"},
            timeout=aiohttp.ClientTimeout(total=None),
        ) as session,
    ):
        ours, bare = sending(transport), asking(session, base_url)
        costs: tuple[list[float], list[float]] = ([], [])
        for exchange in (ours, bare):
            await cost_us(exchange, requests, connections)  # connections are made, caches filled

        for _ in range(rounds):
            for exchange, into in zip((ours, bare), costs, strict=True):
                into.append(await cost_us(exchange, requests, connections))

        of_ours, of_bare = map(statistics.median, costs)
        pairs = list(zip(*costs, strict=True))
        figures = {
            "benchmark": "transport",
            "loop": loop,
            "us_per_request": round(of_ours, 1),
            "bare_us_per_request": round(of_bare, 1),
            "over_us": round(statistics.median(a - b for a, b in pairs), 1),
            "ratio": round(statistics.median(a / b for a, b in pairs), 3),
            "calls_per_request": await calls(ours, connections),
            "bare_calls_per_request": await calls(bare, connections),
            "python": sys.version.split()[0],
        }

    print(json.dumps(figures))


def sending(transport: HttpTransport) -> Exchange:
    """Return what sends request number n through the transport."""

    async def exchange(n: int) -> object:
        if n % 2:
            return await transport.send(Request("GET", STATUS % n), timeout_s=30.0)

        return await transport.send(Request("POST", SUBMIT, json=BODY), timeout_s=120.0)

    return exchange


def asking(session: aiohttp.ClientSession, base_url: str) -> Exchange:
    """Return what sends request number n with aiohttp alone."""
    upload = URL(base_url + SUBMIT, encoded=True)
    headers = {"Content-Type": "application/json"}

    async def exchange(n: int) -> object:
        if n % 2:
            url = URL(base_url + STATUS % n, encoded=True)
            async with session.get(url) as answer:
                return await answer.read()

        async with session.post(upload, data=BODY, headers=headers) as answer:
            return await answer.read()

    return exchange


async def cost_us(exchange: Exchange, requests: int, workers: int) -> float:
    """Send so many requests by so many workers; return processor microseconds for each."""
    began = time.process_time()
    await send_all(exchange, iter(range(requests)), workers)
    return (time.process_time() - began) / requests * 1e6


async def send_all(exchange: Exchange, numbers: Iterator[int], workers: int) -> None:
    """Let workers share the requests."""

    async def work() -> None:
        for n in numbers:
            await exchange(n)

    async with asyncio.TaskGroup() as group:
        for _ in range(workers):
            group.create_task(work())


async def calls(exchange: Exchange, workers: int) -> float:
    """Return how many Python function calls a request takes."""
    with cProfile.Profile() as profile:
        await send_all(exchange, iter(range(PROFILED)), workers)

    total: int = pstats.Stats(profile).total_calls  # type: ignore[attr-defined]  # it is set
    return round(total / PROFILED, 1)


if __name__ == "__main__":
    main()
