"""Our pump beside two ways to use aiolimiter alone: use of the rate, worst window, processor."""

from __future__ import annotations

import asyncio
import time
from bisect import bisect_left
from collections.abc import Awaitable, Callable, Iterator

import uvloop
from aiolimiter import AsyncLimiter

from batcher.adapters.pacing import Pacer
from batcher.core.pacing.rates import Rate, Window

WANTED = 64
SPACINGS_MIN = 20  # a low rate is watched for longer

Permits = Callable[[], Awaitable[int]]


def pacer(rate: float) -> Permits:
    """Return what batcher does."""
    ours = Pacer(Rate((Window(rate, 1.0),)))
    return lambda: ours.permits(WANTED)


def limiter(capacity: float, period_s: float) -> Permits:
    """Return aiolimiter with one `acquire` for each request."""
    bucket = AsyncLimiter(capacity, period_s)

    async def permits() -> int:
        await bucket.acquire()
        return 1

    return permits


CHOICES: dict[str, Callable[[float], Permits]] = {
    "batcher": pacer,
    "AsyncLimiter(rate, 1)": lambda rate: limiter(max(rate, 1), max(rate, 1) / rate),
    "AsyncLimiter(1, 1/rate)": lambda rate: limiter(1, 1 / rate),
}


async def measured(permits: Permits, rate: float, seconds: float) -> dict[str, float]:
    """Start as often as permitted for *seconds*, and return the figures."""
    times: list[float] = []
    began, processor = time.perf_counter(), time.process_time()
    while not times or times[-1] < seconds:
        granted = await permits()
        times += [time.perf_counter() - began] * granted

    window_s = max(1.0, 10 / rate)
    worst = max(bisect_left(times, at + window_s) - n for n, at in enumerate(times))
    return {
        "used": round(len(times) / (times[-1] * rate), 3),
        "worst": round(worst / (window_s * rate), 3),
        "cpu_percent": round((time.process_time() - processor) / seconds * 100, 2),
    }


def scenarios(quick: bool) -> Iterator[dict[str, object]]:
    """Yield the figures of each rate, loop and choice."""
    loops = {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}
    for rate in (50.0, 2_000.0) if quick else (5.0, 50.0, 300.0, 2_000.0):
        seconds = max(1.0 if quick else 3.0, SPACINGS_MIN / rate)
        for loop, factory in loops.items():
            for name, choice in CHOICES.items():
                with asyncio.Runner(loop_factory=factory) as runner:
                    figures = runner.run(measured(choice(rate), rate, seconds))

                yield {"rate": f"{rate:g}/s", "loop": loop, "with": name, **figures}
