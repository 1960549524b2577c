"""One lane over real sockets, and what a server in another process sees of its pace."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import time
import urllib.request
from bisect import bisect_left
from collections.abc import Iterator
from pathlib import Path
from random import Random

import anyio
import uvloop

from batcher.adapters.http import HttpTransport
from batcher.adapters.pacing import Pacer
from batcher.core.exchange import Request
from batcher.core.pacing.gate import Gate
from batcher.core.pacing.rates import Rate, Window
from batcher.core.secret import Secret
from batcher.engine.lanes.eased import Eased
from batcher.engine.lanes.lane import Lane

SERVER = Path(__file__).with_name("pacing_server.py")
PLACES = 32


async def send_for(url: str, per_s: float, seconds: float) -> float:
    """Send at a rate for so long; return the processor time in seconds."""
    gate, pacer = Gate(Random(1)), Pacer(Rate((Window(per_s, 1.0),)))
    lane: Lane[object] = Lane("status", places=PLACES, pace=Eased(pacer, gate), gate=gate)
    request = Request("GET", "/x")
    for _ in range(2 * PLACES):
        lane.add(object(), 0.0)

    async with HttpTransport(
        url,
        "X-Key",
        "",
        lambda: Secret("k", "nowhere"),
        connections=PLACES,
        user_agent="benchmark",
        wall=time.time,
    ) as transport:

        async def work(item: object) -> None:
            await transport.send(request, timeout_s=10.0)
            gate.succeeded(item)
            lane.add(item, 0.0)

        before = time.process_time()
        with anyio.move_on_after(seconds):
            await lane.run(work)

        return time.process_time() - before


def scenarios(quick: bool) -> Iterator[dict[str, object]]:
    """Yield, for each rate and loop, how much of it was used and how full its second was."""
    loops = {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}
    seconds = 3.0 if quick else 10.0
    with subprocess.Popen(
        [sys.executable, str(SERVER)], stdout=subprocess.PIPE, text=True
    ) as server:
        assert server.stdout is not None
        url = f"http://127.0.0.1:{server.stdout.readline().strip()}"
        try:
            for per_s in (2_000.0,) if quick else (50.0, 2_000.0):
                for name, factory in loops.items():
                    with asyncio.Runner(loop_factory=factory) as runner:
                        cpu_s = runner.run(send_for(url, per_s, seconds))

                    with urllib.request.urlopen(f"{url}/times") as answer:
                        times = json.loads(answer.read())

                    yield {
                        "rate": f"{per_s:g}/s",
                        "loop": name,
                        "requests": len(times),
                        "used": round((len(times) - 1) / (times[-1] - times[0]) / per_s, 4),
                        "allowed_a_second": int(per_s),
                        "most_a_second": most(times, 1.0),
                        "cpu_percent": round(cpu_s / seconds * 100, 1),
                    }
        finally:
            server.terminate()


def most(times: list[float], window_s: float) -> int:
    """Return the largest number of arrivals in any window."""
    return max(bisect_left(times, at + window_s) - n for n, at in enumerate(times))
