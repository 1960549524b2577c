"""What a 429 costs on virtual time, if all wait and if it is doubted: limits, accidents, both."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from batcher.core.pacing.rates import parse_rate
from tests.engine.bed import Bed, Server, bucket, calm, fixed, in_seconds, sliding, stray
from tests.support.clock import run_virtual

Figures = dict[str, object]
RATE, LATENCY_S = "40/s", 0.02


def stormy(now: float) -> float | None:
    """Refuse everything for ten seconds of each minute."""
    return 1.0 if now % 60.0 < 10.0 else None


APIS: dict[str, Callable[[], Server]] = {
    "takes everything": lambda: calm,
    "refuses 1 % at random for 1 s": lambda: stray(0.01, 1.0, calm),
    "refuses 2 % at random for 1 s": lambda: stray(0.02, 1.0, calm),
    "refuses 5 % at random for 1 s": lambda: stray(0.05, 1.0, calm),
    "bucket of 20, filled at 36/s": lambda: bucket(36, 20),
    "bucket of 20, filled at 39/s": lambda: bucket(39, 20),
    "36 in any second": lambda: in_seconds(sliding(36, 1.0)),
    "360 in any 10 s": lambda: in_seconds(sliding(360, 10.0)),
    "300 in 10 s, fixed": lambda: in_seconds(fixed(300, 10.0)),
    "1,200 a minute, fixed": lambda: in_seconds(fixed(1_200, 60.0)),
    "the bucket at 36/s, and 2 % at random": lambda: stray(0.02, 1.0, bucket(36, 20)),
    "storms of 10 s": lambda: stormy,
}


def strays(quick: bool) -> Iterator[Figures]:
    """Yield, for each API, what is taken and refused if every 429 holds the lane, and as it is."""
    seconds = 60.0 if quick else 300.0
    for name, make in APIS.items():
        held, doubted = (served(make(), seconds, doubts=doubts) for doubts in (False, True))
        yield {
            "api": name,
            "rate": RATE,
            "seconds": seconds,
            "taken_if_held": len(held.taken),
            "refused_if_held": len(held.refused),
            "taken": len(doubted.taken),
            "refused": len(doubted.refused),
        }


def served(server: Server, seconds: float, *, doubts: bool) -> Bed:
    """Let a lane work for so long before *server*, and return what was seen."""

    async def main() -> Bed:
        bed = Bed(parse_rate(RATE), server, latency_s=LATENCY_S)
        bed.gate.doubts_throttles = doubts
        await bed.serve(seconds)
        return bed

    return run_virtual(main)
