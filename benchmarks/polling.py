"""When to look: the learned schedule beside fixed intervals, backoffs and an oracle.

Run it: `python benchmarks/polling.py [--quick] [--seed 1] [--jobs 1500]`. It prints a table and one
line of JSON, in virtual time; the same seed gives the same figures.

Equal reads: jobs are accepted at two a second, and each policy is set to the same mean number of
reads a job; the figure is the mean delay in seconds between a job's end and the read that sees it.
Every other policy is tuned in hindsight, on the very jobs it is measured on. The oracle knows the
true distribution (dynamic programme), not the jobs. "cold" knows nothing before its first job;
"warm" has the reads that a run of other jobs of the same service left behind.

Budget: 1,000 jobs, submits and reads together at most 5 a second, reads first. Each policy gets the
number of jobs in flight (and its own knob) that makes the whole run shortest at a mean delay of 5 s
or less; the figure is the length of the run in seconds.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Iterator, Sequence
from heapq import heapify, heappop, heappush
from itertools import repeat
from math import sqrt
from pathlib import Path
from random import Random

sys.path.insert(0, str(Path(__file__).parents[1]))  # so that a script finds the file beside it

from batcher.core.backoff import Backoff
from batcher.core.polling.durations import Durations, Look
from batcher.core.polling.looking import Looking, affordable
from benchmarks.polling_rivals import (
    BACKOFFS,
    GRID,
    LADDER,
    SHAPES,
    SHARP,
    STATIONARY,
    Pauses,
    Point,
    at_reads,
    backoff_point,
    best_within,
    durations,
    fixed_points,
    full,
    oracle_points,
)

READS = (3.0, 4.0, 6.0, 8.0)
AIMS = (1.6, 2.4, 3.5, 5.3, 9.0)
PER_S = 2.0
BACKOFF = Backoff(first_s=4.0, factor=2.0, cap_s=60.0)  # the learned schedule's own fallback
BUDGET_JOBS, BUDGET_PER_S, LAG_S = 1_000, 5.0, 5.0
INTERVALS = (4.0, 6.0, 8.0, 10.0, 15.0, 20.0, 26.25, 52.5)
KNOBS = ((1.0, 8.0), (1.0, 16.0), (1.0, 1e9), (4.0, 16.0), (8.0, 8.0), (16.0, 1e9))


def learned_run(times: Sequence[float], looking: Looking, rng: Random) -> Point:
    """Follow jobs accepted at `PER_S`; return the mean reads and the mean delay."""
    lows, tries = [0.0] * len(times), [0] * len(times)
    luck = [rng.random() for _ in times]  # of the next look at each
    heap: list[tuple[float, int]] = []
    fed, delay, waiting, pioneers = 0, 0.0, set[int](), set[int]()

    def due(n: int) -> tuple[float, int]:
        age_s = looking.next_age_s(lows[n], tries[n], luck[n], is_pioneer=n in pioneers)
        return n / PER_S + age_s, n

    while heap or fed < len(times):
        if fed < len(times) and (not heap or fed / PER_S <= heap[0][0]):
            waiting.add(fed)
            if looking.enlist():
                pioneers.add(fed)

            heappush(heap, due(fed))
            fed += 1
            continue

        now, n = heappop(heap)
        age = now - n / PER_S
        tries[n] += 1
        luck[n] = rng.random()
        ended = age >= times[n]
        anew = looking.saw(Look(lows[n], age, ended), now)
        if ended:
            delay += age - times[n]
            waiting.discard(n)
        else:
            lows[n] = age
            heappush(heap, due(n))

        if anew:
            heap = [(max(now, at), k) for at, k in map(due, sorted(waiting))]
            heapify(heap)

    return sum(tries) / len(times), delay / len(times)


def left_behind(times: Sequence[float], seed: int) -> str:
    """Return what a run of these jobs keeps for the next one."""
    looking = Looking(BACKOFF, reads=4.0)
    learned_run(times, looking, Random(seed))
    return json.dumps(looking.durations.kept())


def learned_points(
    times: Sequence[float], before: Sequence[float], seed: int
) -> dict[str, list[Point]]:
    """Return what the learned schedule costs and gives, cold and warm."""
    past = left_behind(before, seed)

    def runs(known: str) -> Iterator[Point]:
        for n, aim in enumerate(AIMS):
            durations = Durations.from_kept(json.loads(known))
            looking = Looking(BACKOFF, reads=aim, durations=durations)
            yield learned_run(times, looking, Random(seed + n))

    return {"cold": list(runs("null")), "warm": list(runs(past))}


def equal_reads(shape: str, jobs: int, seed: int) -> Iterator[dict[str, float | str]]:
    """Compare all policies on one shape."""
    times = durations(shape, jobs, Random(f"{shape} {seed}"))
    before = durations(shape, jobs, Random(f"{shape} before {seed}"))
    points = {"fixed": fixed_points(times)}
    for name, policy in BACKOFFS.items():
        rng = Random(seed)
        points[name] = [backoff_point(policy(*knobs), times, rng) for knobs in LADDER]

    points["full jitter, both knobs"] = [
        backoff_point(full(*knobs), times[::2], Random(seed)) for knobs in GRID
    ]
    learned = learned_points(times, before, seed)
    oracle = oracle_points(STATIONARY[shape], times) if shape in STATIONARY else []
    for reads in READS:
        row = {name: best_within(found, reads) for name, found in points.items()}
        row |= {name: at_reads(found, reads) for name, found in learned.items()}
        if oracle:
            row["oracle"] = at_reads(oracle, reads)

        yield {"shape": shape, "reads": reads, **{k: round(v, 2) for k, v in row.items()}}


class _Plain:
    """A policy without memory, for the budget: pauses from a list of its own for each job."""

    def __init__(self, pauses: Pauses, rng: Random) -> None:
        self._pauses, self._rng = pauses, rng
        self._of: dict[int, Iterator[float]] = {}

    def next_age_s(self, n: int, low_s: float, tries: int) -> float:
        if tries == 0:
            self._of[n] = self._pauses(self._rng)

        return low_s + next(self._of[n])

    def saw(self, look: Look, now: float, sharing: int) -> bool:
        return False

    def rank(self, low_s: float, age_s: float, due: float) -> float:
        return due


class _Learned:
    """The learned schedule under the budget: its aim follows what is left beside the submits."""

    def __init__(self, past: str, rng: Random) -> None:
        known = Durations.from_kept(json.loads(past))
        self._looking = Looking(BACKOFF, reads=3.0, durations=known)
        self._rng = rng
        self._pioneers = set[int]()
        self._luck: dict[tuple[int, int], float] = {}  # of each look

    def next_age_s(self, n: int, low_s: float, tries: int) -> float:
        if (n, 0) not in self._luck and self._looking.enlist():
            self._pioneers.add(n)

        luck = self._luck.setdefault((n, tries), self._rng.random())
        return self._looking.next_age_s(low_s, tries, luck, is_pioneer=n in self._pioneers)

    def saw(self, look: Look, now: float, sharing: int) -> bool:
        anew = self._looking.saw(look, now)
        if (stay_s := self._looking.stay_s) is not None:
            anew |= self._looking.aim(affordable(BUDGET_PER_S, sharing, stay_s) - 1)

        return anew

    def rank(self, low_s: float, age_s: float, due: float) -> float:
        return -self._looking.chance(low_s, age_s)


def budget_run(times: Sequence[float], policy: _Plain | _Learned, in_flight: int) -> Point:
    """Return the length of the run and the mean delay."""
    born, lows, tries = [0.0] * len(times), [0.0] * len(times), [0] * len(times)
    later: list[tuple[float, int]] = []
    ready: list[tuple[float, int]] = []
    now, fed, left, delay = 0.0, 0, len(times), 0.0

    def follow(n: int) -> None:
        age = policy.next_age_s(n, lows[n], tries[n])
        heappush(later, (max(now, born[n] + age), n))

    while left:
        while later and later[0][0] <= now:
            due, n = heappop(later)
            heappush(ready, (policy.rank(lows[n], now - born[n], due), n))

        jobs_open = fed - (len(times) - left)
        sharing = jobs_open if fed == len(times) else in_flight
        if ready:
            _, n = heappop(ready)
            age = now - born[n]
            tries[n] += 1
            ended = age >= times[n]
            anew = policy.saw(Look(lows[n], age, ended), now, sharing)
            if ended:
                left -= 1
                delay += age - times[n]
            else:
                lows[n] = age
                follow(n)

            if anew:
                waiting = [k for _, k in sorted(later)]
                later.clear()
                for k in waiting:
                    follow(k)
        elif fed < len(times) and jobs_open < in_flight:
            born[fed] = now
            fed += 1
            follow(fed - 1)
        else:
            now = max(later[0][0], now)
            continue

        now += 1 / BUDGET_PER_S

    return now, delay / len(times)


def shortest(times: Sequence[float], policies: Sequence[Callable[[], _Plain | _Learned]]) -> float:
    """Return the shortest run with a mean delay within `LAG_S`, over all policies and loads."""
    best = float("inf")
    for policy in policies:
        low, high = 4, 1_000
        while high > low * 1.08 + 1:
            middle = round(sqrt(low * high))
            length, delay = budget_run(times, policy(), middle)
            if delay <= LAG_S:
                low, best = middle, min(best, length)
            else:
                high = middle

    return round(best)


def budget(shape: str, seed: int) -> dict[str, float | str]:
    """Compare all policies on one shape under the shared budget."""
    times = durations(shape, BUDGET_JOBS, Random(f"{shape} {seed}"))
    past = left_behind(durations(shape, 1_000, Random(f"{shape} before {seed}")), seed)
    row: dict[str, float | str] = {"shape": shape}
    row["fixed"] = shortest(times, [_plain(_every(interval), seed) for interval in INTERVALS])
    for name, policy in BACKOFFS.items():
        row[name] = shortest(times, [_plain(policy(*knobs), seed) for knobs in KNOBS])

    row["cold"] = shortest(times, [lambda: _Learned("null", Random(seed))])
    row["warm"] = shortest(times, [lambda: _Learned(past, Random(seed))])
    return row


def _plain(pauses: Pauses, seed: int) -> Callable[[], _Plain]:
    return lambda: _Plain(pauses, Random(seed))


def _every(interval: float) -> Pauses:
    return lambda _rng: repeat(interval)


def table(rows: Sequence[dict[str, float | str]]) -> str:
    """Return rows of the same columns as text."""
    columns = list(dict.fromkeys(name for row in rows for name in row))
    lines = [[str(row.get(name, "-")) for name in columns] for row in rows]
    widths = [max(len(line[n]) for line in [columns, *lines]) for n in range(len(columns))]
    return "\n".join(
        "  ".join(cell.rjust(width) for cell, width in zip(line, widths, strict=True))
        for line in [columns, *lines]
    )


def main() -> None:
    """Run both comparisons."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--quick", action="store_true", help="three shapes, 500 jobs, no budget")
    options.add_argument("--seed", type=int, default=1)
    options.add_argument("--jobs", type=int, default=1_500)
    chosen = options.parse_args()
    shapes: Sequence[str] = SHAPES
    if chosen.quick:
        shapes, chosen.jobs = ("constant", "bimodal", "memoryless"), 500

    delays = [row for shape in shapes for row in equal_reads(shape, chosen.jobs, chosen.seed)]
    lengths = [] if chosen.quick else [budget(shape, chosen.seed) for shape in SHARP]
    print(f"mean delay in s at equal reads\n{table(delays)}\n")
    if lengths:
        print(f"length of the run in s at a mean delay of 5 s\n{table(lengths)}\n")

    figures = {"seed": chosen.seed, "jobs": chosen.jobs, "equal": delays, "budget": lengths}
    print(json.dumps({"benchmark": "polling", **figures}))


if __name__ == "__main__":
    main()
