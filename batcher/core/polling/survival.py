"""How long jobs run: the curve of those still running by age, fitted to reads that saw part of it.

Rule: a read says that a job ended between two ages, or that it had not by the later one. The curve
is the one that makes all reads together likely (expectation-maximisation, Turnbull 1976), blurred a
little, because a few hundred reads cannot tell a peak from chance.

Pure arithmetic on bins of age. Formulae and sources: docs/polling.md.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise
from math import exp, log

# From one age to another, and how much it counts: a job ended somewhere in between, or it ran
# through.
Stretch = tuple[float, float, float]

# Ages are cut where the ends are (equal shares) and evenly in their logarithm; beyond the bulk, in
# a few wide steps down and up.
SHARES, EVEN, BELOW, ABOVE = 64, 64, 12, 12
STEP = 1.3  # ratio between two edges outside of the bulk
GAP = 1.002  # edges closer than this ratio are one

ROUNDS_FIRST, ROUNDS = 25, 6  # of expectation-maximisation: from nothing, from the estimate before
BLUR_ENDS, BLUR_SHARE = 4.0, 0.12  # blurred over so many ends around, and this share of all
PRIOR = 0.01  # jobs' worth of belief where nothing was seen
TAIL_INDEX = 1.5  # that belief: beyond what is known, of jobs aged t the share (t/x)^1.5 reaches x
MIXED = 0.001  # share of a memoryless service mixed in, so that nothing is impossible for ever
AGE_MIN_S, TINY = 1e-6, 1e-9


@dataclass(frozen=True, slots=True)
class Curve:
    """The share of jobs still running at each of some rising ages; at age 0 it is 1."""

    ages_s: Sequence[float]
    running: Sequence[float]

    def running_at(self, age_s: float) -> float:
        """Return the share of jobs that run for longer than *age_s*."""
        n = bisect_left(self.ages_s, age_s)
        if n == 0:
            return 1.0

        if n == len(self.ages_s):
            return self.running[-1]

        before, after = self.ages_s[n - 1], self.ages_s[n]
        part = (age_s - before) / (after - before)
        return self.running[n - 1] + part * (self.running[n] - self.running[n - 1])

    def age_s(self, share: float) -> float:
        """Return the age by which *share* of the jobs have ended, or the last age."""
        left = 1.0 - share
        n = bisect_left(self.running, -left, key=lambda running: -running)
        if n == 0 or n == len(self.running):
            return self.ages_s[min(n, len(self.ages_s) - 1)]

        part = (self.running[n - 1] - left) / (self.running[n - 1] - self.running[n])
        return self.ages_s[n - 1] + part * (self.ages_s[n] - self.ages_s[n - 1])

    def mean_s(self, share: float = 0.97) -> float:
        """Return the mean duration, each counted up to the age by which *share* have ended."""
        end = self.age_s(share)
        return sum(
            (min(after, end) - before) * (self.running[n] + self.running[n + 1]) / 2
            for n, (before, after) in enumerate(pairwise(self.ages_s))
            if before < end
        )

    def chance(self, low_s: float, high_s: float) -> float:
        """Return the chance that a job pending at *low_s* has ended by *high_s*."""
        return 1.0 - self.running_at(high_s) / max(self.running_at(low_s), TINY)


def estimate(ended: list[Stretch], pending: list[Stretch], before: Curve | None) -> Curve:
    """Fit a curve to at least one read, starting from the estimate *before*."""
    ages = _edges(ended or pending, before)
    masses = _first_guess(ages, before)
    data = _Binned(ages, ended, pending, _belief(ages, masses))
    for _ in range(ROUNDS if before else ROUNDS_FIRST):
        masses = data.improved(masses)

    return Curve(ages, _running(_blurred(ages, masses, data)))


def _edges(seen: list[Stretch], before: Curve | None) -> list[float]:
    """Return where the ages are cut."""
    if before is None:
        low_s = min(max(low_s, high_s / 4) for low_s, high_s, _ in seen)
        high_s = 1.1 * max(high_s for _, high_s, _ in seen)
        edges = []
    else:
        low_s, high_s = before.age_s(0.01) * 0.7, before.age_s(0.99) * 1.3
        edges = [before.age_s((n + 0.5) / SHARES) for n in range(SHARES)]

    low_s = max(low_s, AGE_MIN_S)
    high_s = max(high_s, 1.2 * low_s)
    edges += [low_s * (high_s / low_s) ** (n / EVEN) for n in range(EVEN + 1)]
    edges += [low_s / STEP**n for n in range(1, BELOW + 1)]
    edges += [high_s * STEP**n for n in range(1, ABOVE + 1)]
    kept = [0.0]
    for edge in sorted(edges):
        if edge > kept[-1] * GAP:
            kept.append(edge)

    return kept


def _first_guess(ages: list[float], before: Curve | None) -> list[float]:
    """Return the estimate before in the new bins, with a little of a memoryless service."""
    mean_s = before.mean_s() if before else ages[-1 - ABOVE] / 2
    flat = [exp(-low / mean_s) - exp(-high / mean_s) for low, high in pairwise(ages)]
    if before is None:
        return flat

    running = [before.running_at(age) for age in ages]
    return [
        (1 - MIXED) * (high - low) + MIXED * even
        for (high, low), even in zip(pairwise(running), flat, strict=True)
    ]


def _running(masses: list[float]) -> list[float]:
    ended = accumulate((max(mass, 0.0) for mass in masses), initial=0.0)  # rounding may fall below
    return [max(1.0 - share, TINY) for share in ended]


def _belief(ages: list[float], masses: list[float]) -> list[float]:
    """Return the chance to end in each bin, before any read: flat first, then falling with age."""
    mean_s = Curve(ages, _running(masses)).mean_s()
    return [
        min((high - low) / mean_s, TAIL_INDEX * (1.0 - low / high)) for low, high in pairwise(ages)
    ]


class _Binned:
    """Reads in bins: which bins each end may lie in, and how many pending jobs each bin saw."""

    def __init__(
        self,
        ages: list[float],
        ended: list[Stretch],
        pending: list[Stretch],
        belief: list[float],
    ) -> None:
        bins = len(belief)
        middles = [(low + high) / 2 for low, high in pairwise(ages)]
        steps = [0.0] * (bins + 1)
        for low_s, high_s, weight in pending:
            steps[bisect_left(middles, low_s)] += weight
            steps[bisect_left(middles, high_s)] -= weight

        self._survived = list(accumulate(steps[:-1]))
        self._spans: list[tuple[int, int, float]] = []
        for low_s, high_s, weight in ended:
            last = max(bisect_left(middles, high_s), 1)
            first = min(bisect_left(middles, low_s), last - 1)
            self._spans.append((first, last, weight))

        self._belief = belief
        self.total = sum(weight for _, _, weight in ended)
        self.ends: list[float] = []  # expected in each bin, of the last round

    def improved(self, masses: list[float]) -> list[float]:
        """Share every end out over its bins by the present masses; return the new masses."""
        shares, reached = self._shared(masses)
        below, left = 0.0, 1.0
        self.ends, better = [], []
        for mass, share, sure, survived, belief in zip(
            masses, shares, reached, self._survived, self._belief, strict=True
        ):
            ends = mass * share
            at_risk = max(survived + sure - below * share, ends)
            better.append(left * (ends + PRIOR * belief) / (at_risk + PRIOR))
            left -= better[-1]
            below += mass
            self.ends.append(ends)

        return better

    def _shared(self, masses: list[float]) -> tuple[list[float], list[float]]:
        """Return, by bin, two sums over the ends that may lie in it: w/P, and w/P times F(last).

        w is an end's weight, P the mass of its bins and F(last) all mass up to its last one: with
        them the expected ends in a bin, and those in it or later, are one multiplication each.
        """
        below = list(accumulate(masses, initial=0.0))
        shares, reached = [0.0] * len(below), [0.0] * len(below)
        for first, last, weight in self._spans:
            share = weight / max(below[last] - below[first], 1e-300)
            shares[first] += share
            shares[last] -= share
            reached[first] += share * below[last]
            reached[last] -= share * below[last]

        return list(accumulate(shares[:-1])), list(accumulate(reached[:-1]))


def _blurred(ages: list[float], masses: list[float], data: _Binned) -> list[float]:
    """Spread each bin's mass over a stretch that holds enough ends; wide where ends are few."""
    logs = [log(age) for age in [ages[1] / STEP, *ages[1:]]]
    widths = _widths(logs, data)
    total = sum(masses)
    typical = exp(sum(m * log(w) for m, w in zip(masses, widths, strict=True)) / total)
    steps = [0.0] * len(ages)
    for n, mass in enumerate(masses):
        width = min(widths[n], (widths[n] * typical) ** 0.5)  # tails would be blurred too far
        middle = (logs[n] + logs[n + 1]) / 2
        first = min(bisect_left(logs, middle - width / 2), n)
        last = min(max(bisect_left(logs, middle + width / 2), n + 1), len(masses))
        density = mass / (ages[last] - ages[first])
        steps[first] += density
        steps[last] -= density

    densities = accumulate(steps[:-1])
    return [d * (high - low) for d, (low, high) in zip(densities, pairwise(ages), strict=True)]


def _widths(logs: list[float], data: _Binned) -> list[float]:
    """Return for each bin how far one must go, in log age, to meet enough ends around it."""
    enough = BLUR_ENDS + BLUR_SHARE * data.total
    widest = 3.0 * (data.total + 1.0) ** (-1 / 3)
    below = list(accumulate(data.ends, initial=0.0))
    bins, radius, widths = len(data.ends), 0, []
    for n in range(bins):
        radius = max(radius - 1, 0)
        while radius < bins:
            first, last = max(0, n - radius), min(bins, n + radius + 1)
            if below[last] - below[first] >= enough:
                break

            radius += 1

        widths.append(min(logs[last] - logs[first], widest))

    return widths
