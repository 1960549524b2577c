"""The best schedule of looks for a known curve of durations.

Rule: every read has a price, in seconds of delay. A plan is the schedule that costs least, delay
and reads together; the price is searched at which a job takes as many reads as it may.

Pure arithmetic. Formulae and sources: docs/polling.md.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import accumulate, pairwise
from math import sqrt

from batcher.core.polling.survival import Curve

FINER = 3  # steps of the plan in one bin of the curve
TRIES_MAX = 12  # of prices, to meet the wished number of reads
EXACT, NARROW = 0.02, 1.05  # so near to the number of reads, or to the price, is near enough
RUNNING_MIN = 1e-3  # share of jobs whose further looks are not counted

_Line = tuple[float, float, int]  # slope, value at 0, and the place it stands for


@dataclass(frozen=True, slots=True)
class Plan:
    """The best next look for each age at which a job may be found pending."""

    ages_s: list[float]
    following: list[int]  # place in `ages_s` of the next look, by the place of the last
    reads: float  # expected for a job
    lag_s: float  # expected between its end and the look that sees it
    price_s: float

    def looks_after(self, low_s: float) -> tuple[float, float]:
        """Return the ages of the next two looks at a job pending at *low_s*; not before it."""
        ages = self.ages_s
        place = bisect_left(ages, low_s)
        if 0 < place < len(ages) and low_s - ages[place - 1] < ages[place] - low_s:
            place -= 1

        following = self.following[min(place, len(ages) - 1)]
        return ages[following], ages[self.following[following]]


def plan_at(curve: Curve, price_s: float) -> Plan:
    """Return the schedule that costs least if a read costs as much as *price_s* of delay.

    With F = 1 - S the share that has ended, the cost from a look at age x on is
    W(x) = min over y > x of [ price S(x) + integral of (S(x) - S(t)) dt from x to y + W(y) ],
    which is the least of straight lines in S(x): one pass with their lower hull finds all minima.
    """
    ages, running = curve.ages_s, curve.running
    areas = list(accumulate(_areas(curve), initial=0.0))
    last = len(ages) - 1
    following, reads = [last] * len(ages), [0.0] * len(ages)
    cost = running[last] * (
        2 * price_s + ages[last] / 2
    )  # beyond the last age: a guess, rarely met
    reads[last] = 2 * running[last]
    lines = deque([(ages[last], cost - areas[last], last)])
    for n in range(last - 1, -1, -1):
        alive = running[n]
        least, following[n] = _least(lines, alive)
        cost = alive * (price_s - ages[n]) + areas[n] + least
        reads[n] = alive + reads[following[n]]
        _add(lines, (ages[n], cost - areas[n], n))

    return Plan(list(ages), following, reads[0], cost - price_s * reads[0], price_s)


def plan_for(curve: Curve, reads: float, near_s: float | None = None) -> Plan:
    """Return the plan that takes about *reads* a job; *near_s* is a price to begin with."""
    fine, mean_s = _finer(curve), curve.mean_s()
    low, high = 0.0, float("inf")  # prices known to be too low, too high
    price_s = min(max(near_s or mean_s / (2 * reads**2), mean_s * 1e-5), mean_s * 2)
    for _ in range(TRIES_MAX):
        plan = plan_at(fine, price_s)
        low, high = (price_s, high) if plan.reads > reads else (low, price_s)
        # Delay falls like 1/reads, so what another read saves falls like 1/reads².
        price_s *= min(max((plan.reads / reads) ** 2, 0.2), 5.0)
        if abs(plan.reads - reads) < EXACT * reads or high < low * NARROW or price_s > mean_s * 2:
            break

        if not low < price_s < high:
            price_s = sqrt(low * high)

    return plan


def reads_of(curve: Curve, ages_s: Iterable[float], reads_max: float) -> float:
    """Return how many of the looks at rising *ages_s* a job takes, counted up to *reads_max*."""
    reads, running = 0.0, 1.0
    for age_s in ages_s:
        reads += running
        running = curve.running_at(age_s)
        if running < RUNNING_MIN or reads >= reads_max:
            break

    return min(reads, reads_max)


def _least(lines: deque[_Line], point: float) -> tuple[float, int]:
    """Return the least value at *point*, which only rises, and the place of its line."""
    slope, base, place = lines[0]
    least = slope * point + base
    while len(lines) > 1:
        slope, base, following = lines[1]
        value = slope * point + base
        if value > least:
            break

        lines.popleft()
        least, place = value, following

    return least, place


def _add(lines: deque[_Line], line: _Line) -> None:
    """Add a line with the least slope so far; drop those that are nowhere the least any more."""
    slope, base, _ = line
    while len(lines) > 1:
        (slope_1, base_1, _), (slope_2, base_2, _) = lines[-1], lines[-2]
        if (base - base_2) * (slope_2 - slope_1) > (base_1 - base_2) * (slope_2 - slope):
            break

        lines.pop()

    lines.append(line)


def _areas(curve: Curve) -> Iterable[float]:
    for (low, high), (more, fewer) in zip(
        pairwise(curve.ages_s), pairwise(curve.running), strict=True
    ):
        yield (high - low) * (more + fewer) / 2


def _finer(curve: Curve) -> Curve:
    """Return the same curve with more ages, so that looks need not fall on the edges of bins."""
    parts = [n / FINER for n in range(1, FINER + 1)]
    ages, running = [0.0], [1.0]
    for (low, high), (more, fewer) in zip(
        pairwise(curve.ages_s), pairwise(curve.running), strict=True
    ):
        ages += [low + part * (high - low) for part in parts]
        running += [more + part * (fewer - more) for part in parts]

    return Curve(ages, running)
