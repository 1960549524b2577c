"""When to look at a job next, so that its end is seen soon with few reads.

Rule: every read has a price, in seconds of delay. A plan is the schedule that costs least for a
known curve of durations, delay and reads together, and the price is the one at which a job takes as
many reads as it may. Until enough ends are known, and at ages nobody has seen yet, the backoff
decides; some jobs are looked at early all the same, or a service that grew faster would go
unnoticed.

Randomness is passed in, and nothing here reads a clock. Formulae and sources: docs/polling.md.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import accumulate, pairwise
from math import sqrt
from random import Random

from batcher.core.backoff import Backoff
from batcher.core.durations import NEWS, Durations, Look
from batcher.core.survival import Curve

ENDS_MIN = 6  # ends before the first plan
NEWS_MAX = 30  # a plan is made anew after so many ends, in the beginning more often
PAUSE_S = 1.0  # between two plans, so that a fast run does not spend its time on them
FINER = 3  # steps of the plan in one bin of the curve
TRIES_MAX = 12  # of prices, to meet the wished number of reads
EXACT, NARROW = 0.02, 1.05  # so near to the number of reads, or to the price, is near enough
EARLY = 0.04  # share of jobs first looked at before the plan says
JITTER_FIRST, JITTER = 0.1, 0.05  # of the distance between two looks
KNOWN = 0.97  # of jobs have ended by the age up to which the plan may wait in one go
USED = 0.9  # of a budget
READS_MIN, READS_MAX = 1.05, 12.0  # a job: fewer cannot be, more hurry nobody

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


def affordable(reads_per_s: float, jobs_open: int, stay_s: float) -> float:
    """Return how many reads a job may take if *jobs_open* share *reads_per_s* for *stay_s* each.

    Little's law, less a tenth: where all is used, what is due waits. Count the jobs that may be in
    flight as long as rows wait, not those that are: reads that hold submits back would otherwise
    look affordable. For a budget of a day, the reads left over the jobs left is the same number.
    """
    return USED * reads_per_s * stay_s / max(jobs_open, 1)


class Looking:
    """When to look at the jobs of one class; it learns from every look."""

    def __init__(
        self,
        backoff: Backoff,
        *,
        reads: float = 5.0,
        cap_s: float = 3_600.0,
        durations: Durations | None = None,
    ) -> None:
        """Begin with *backoff* and what earlier runs learned; aim at *reads* a job.

        *cap_s* is the longest pause between two looks, whatever was learned.
        """
        self.durations = durations or Durations()
        self.curve: Curve | None = None
        self.plan: Plan | None = None
        self._backoff = backoff
        self._cap_s = cap_s
        self._reads = _bounded(reads)
        self._known_s = 0.0
        self._next_ends = ENDS_MIN
        self._next_at = float("-inf")
        if self.durations.ends >= ENDS_MIN:
            self._learn()

    def next_age_s(self, low_s: float, tries: int, rng: Random) -> float:
        """Return the age for the next look at a job last found pending at age *low_s* (0 = never).

        *tries* is the number of looks so far; only the backoff needs it.
        """
        backoff_s = low_s + self._backoff.delay_s(tries, rng)
        if self.plan is None:
            return min(backoff_s, low_s + self._cap_s)

        age, after = self.plan.looks_after(low_s)
        age = min(age, max(self._known_s, 2 * low_s), low_s + self._cap_s)
        if age <= low_s or low_s >= self.plan.ages_s[-1 - FINER]:
            return min(backoff_s, low_s + self._cap_s)

        if low_s == 0 and rng.random() < EARLY:
            return age * rng.uniform(0.2, 0.9)

        apart = min(age - low_s, max(after - age, 0.0)) or age - low_s
        jitter = JITTER if low_s else JITTER_FIRST
        return min(age + apart * jitter * rng.uniform(-1.0, 1.0), low_s + self._cap_s)

    def saw(self, look: Look, now: float) -> bool:
        """Learn from a look; return whether there is a new plan, so that due times may change.

        *now* is any clock that does not jump, in seconds.
        """
        self.durations.add(look)
        if self.durations.ends < self._next_ends or now < self._next_at:
            return False

        self._next_at = now + PAUSE_S
        self._learn()
        return True

    def aim(self, reads: float) -> bool:
        """Aim at *reads* a job from now on; return whether there is a new plan."""
        reads = _bounded(reads)
        if abs(reads - self._reads) < 0.1 * self._reads:
            return False

        self._reads = reads
        if self.curve is None:
            return False

        self._replan(self.curve)
        return True

    def chance(self, low_s: float, age_s: float) -> float:
        """Return the chance that a job pending at *low_s* has ended by *age_s*; 1 = not known.

        Of more due looks than may be made, the likeliest first shorten the delays most.
        """
        return 1.0 if self.curve is None else self.curve.chance(low_s, age_s)

    @property
    def stay_s(self) -> float | None:
        """How long a job is open, from its acceptance until its end is seen; None = not known."""
        if self.curve is None or self.plan is None:
            return None

        return self.curve.mean_s() + self.plan.lag_s

    def _learn(self) -> None:
        ends = self.durations.ends
        self.curve = self.durations.curve()
        self._known_s = self.curve.age_s(KNOWN)
        self._next_ends = ends + max(2, min(int(NEWS * ends), NEWS_MAX))
        self._replan(self.curve)

    def _replan(self, curve: Curve) -> None:
        self.plan = plan_for(curve, self._reads, self.plan.price_s if self.plan else None)


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


def _bounded(reads: float) -> float:
    return min(max(reads, READS_MIN), READS_MAX)
