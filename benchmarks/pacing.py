"""How well a rate is kept, and what that costs: our pacer beside the ways to use aiolimiter alone.

Run it: `python benchmarks/pacing.py [--seconds 3] [--rates 0.1,50,2000] [--loop uvloop]`. It prints
one line of JSON. For each rate and choice: the share of the rate that was used, the most starts in
any second (in any ten spacings at rates below one a second) as a multiple of what the rate gives
for it, and the processor time in per cent of one core. One pump asks for up to 64 at a time.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import time
from bisect import bisect_left
from collections.abc import Awaitable, Callable

from aiolimiter import AsyncLimiter

from batcher.adapters.pacing import Pacer
from batcher.core.rates import Rate, Window

WANTED = 64
SPACINGS_MIN = 20  # a low rate is watched for longer than `--seconds`

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
    "pacer": pacer,
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


def main() -> None:
    """Measure every choice at every rate."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--seconds", type=float, default=3.0)
    options.add_argument("--rates", default="1,5,50,300,2000")
    options.add_argument("--loop", choices=["asyncio", "uvloop"], default="asyncio")
    options.add_argument("--quick", action="store_true", help="fewer rates, a second each")
    chosen = options.parse_args()
    if chosen.quick:
        chosen.seconds, chosen.rates = 1.0, "50,2000"

    factory: Callable[[], asyncio.AbstractEventLoop] = asyncio.new_event_loop
    if chosen.loop == "uvloop":
        import uvloop

        factory = uvloop.new_event_loop

    results: dict[str, dict[str, dict[str, float]]] = {}
    for rate in map(float, chosen.rates.split(",")):
        seconds = max(chosen.seconds, SPACINGS_MIN / rate)
        for name, choice in CHOICES.items():
            with asyncio.Runner(loop_factory=factory) as runner:
                figures = runner.run(measured(choice(rate), rate, seconds))

            results.setdefault(f"{rate:g}/s", {})[name] = figures

    print(json.dumps({"loop": chosen.loop, "python": sys.version.split()[0], "rates": results}))


if __name__ == "__main__":
    main()
