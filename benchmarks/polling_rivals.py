"""What the learned schedule is measured against: services, rival policies, and an oracle.

Used by `polling.py`; run that one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from math import ceil, erfc, exp, log, pi, sin, sqrt
from random import Random

from batcher.core.polling.planning import Plan, plan_at
from batcher.core.polling.survival import Curve

Point = tuple[float, float]  # mean reads, mean delay
Pauses = Callable[[Random], Iterator[float]]
Cdf = Callable[[float], float]


def log_normal(median: float, sigma: float) -> Cdf:
    """Return the share of jobs that end within an age."""
    return lambda age: 0.5 * erfc(-log(age / median) / sigma / sqrt(2))


STATIONARY: dict[str, Cdf] = {
    "constant": lambda age: min(1.0, max(0.0, (age - 47.5) / 5)),
    "log-normal": log_normal(50, 0.2),
    "bimodal": lambda age: 0.7 * log_normal(15, 0.1)(age) + 0.3 * log_normal(150, 0.1)(age),
    "memoryless": lambda age: 1 - exp(-age / 50),
    "broad": log_normal(50, 0.8),
}
SHARP = ("constant", "log-normal", "bimodal")  # where durations tell when to look
SHAPES = (*STATIONARY, "drifting", "step", "backlog")


def durations(shape: str, jobs: int, rng: Random) -> list[float]:
    """Return the durations of jobs in the order of their acceptance, in seconds."""
    return [_duration(shape, n / jobs, rng) for n in range(jobs)]


def _duration(shape: str, progress: float, rng: Random) -> float:
    match shape:
        case "constant":
            return rng.uniform(47.5, 52.5)
        case "log-normal":
            return 50 * exp(rng.gauss(0, 0.2))
        case "bimodal":
            return (15 if rng.random() < 0.7 else 150) * exp(rng.gauss(0, 0.1))
        case "memoryless":
            return rng.expovariate(1 / 50)
        case "broad":
            return 50 * exp(rng.gauss(0, 0.8))
        case "drifting":  # from 50 up to 90, down to 10 and back
            return (50 + 40 * sin(2 * pi * progress)) * exp(rng.gauss(0, 0.1))
        case "step":  # slower at once after a third, much faster at once after two
            return (40, 100, 25)[int(progress * 3)] * exp(rng.gauss(0, 0.1))
        case _:  # a queue that builds up and drains
            return (20 + 120 * min(progress, 1 - progress) * 2) * exp(rng.gauss(0, 0.05))


def fixed_points(times: Sequence[float]) -> list[Point]:
    """Return what every fixed interval costs and gives."""
    points = []
    for n in range(240):
        interval = 2.0 * 1.02**n
        reads = [ceil(t / interval) for t in times]
        delay = sum(k * interval - t for k, t in zip(reads, times, strict=True))
        points.append((sum(reads) / len(times), delay / len(times)))

    return points


def full(base: float, cap: float) -> Pauses:
    """Exponential backoff with full jitter."""
    return lambda rng: (rng.uniform(0, min(cap, base * 2 ** min(n, 40))) for n in range(10**6))


def equal(base: float, cap: float) -> Pauses:
    """Exponential backoff with equal jitter."""
    return lambda rng: (
        min(cap, base * 2 ** min(n, 40)) * rng.uniform(0.5, 1) for n in range(10**6)
    )


def decorrelated(base: float, cap: float) -> Pauses:
    """Backoff with decorrelated jitter."""

    def pauses(rng: Random) -> Iterator[float]:
        pause = base
        while True:
            pause = min(cap, rng.uniform(base, pause * 3))
            yield pause

    return pauses


BACKOFFS = {"full jitter": full, "equal jitter": equal, "decorrelated": decorrelated}
# One knob, as they are used: a base of 1 s and the cap tuned; for fewer reads a larger base.
LADDER = [(1.0, 2.0 * 1.4**n) for n in range(16)] + [(1.25**n, 1e9) for n in range(24)]
# Both knobs, down to where the exponent does nothing any more.
GRID = [(2.0 * 1.6**n, 2.0 * 1.6**m) for n in range(8) for m in range(n, 12, 2)]


def backoff_point(pauses: Pauses, times: Sequence[float], rng: Random) -> Point:
    """Return what a backoff costs and gives."""
    reads, delay = 0, 0.0
    for t in times:
        age = 0.0
        for pause in pauses(rng):
            age += pause
            reads += 1
            if age >= t:
                break

        delay += age - t

    return reads / len(times), delay / len(times)


def best_within(points: Sequence[Point], reads: float) -> float:
    """Return the least delay for at most *reads* a job."""
    return min((delay for taken, delay in points if taken <= reads * 1.005), default=float("nan"))


def at_reads(points: Sequence[Point], reads: float) -> float:
    """Return the delay at *reads* a job, along the line through the points on logarithmic axes."""
    ordered = sorted(points)
    for (few, long), (many, short) in pairwise(ordered):
        if few <= reads <= many and few < many:
            part = log(reads / few) / log(many / few)
            return long * float((short / long) ** part)

    return float("nan")


def true_curve(cdf: Cdf) -> Curve:
    """Return the true curve, finely cut."""
    ages = [0.0] + [0.5 * 1.0025**n for n in range(3_200) if cdf(0.5 * 1.0025**n) < 1 - 1e-7]
    return Curve([*ages, ages[-1] * 1.01], [1.0] + [1 - cdf(age) for age in ages[1:]] + [1e-9])


def oracle_points(cdf: Cdf, times: Sequence[float]) -> list[Point]:
    """Return what the best schedules for the true distribution cost and give on these jobs."""
    curve = true_curve(cdf)
    plans = (plan_at(curve, 0.01 * 1.35**n) for n in range(36))
    return [_planned(plan, times) for plan in plans if 1.5 < plan.reads < 12]


def _planned(plan: Plan, times: Sequence[float]) -> Point:
    ages, age = [], 0.0
    while age < plan.ages_s[-1]:
        age, _ = plan.looks_after(age)
        ages.append(age)

    reads = delay = 0.0
    for t in times:
        n = next((n for n, age in enumerate(ages) if age >= t), len(ages) - 1)
        reads += n + 1
        delay += max(ages[n] - t, 0.0)

    return reads / len(times), delay / len(times)
