"""How sure a number is: 95 % intervals of shares, quantiles, means and ratios, and of differences.

Rule: pure arithmetic. Of a number of which too little was seen the interval has no end (infinite);
a number without an interval (None) did not vary. Each interval holds for its number alone: of
twenty differences between equal runs one will lie outside by chance.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from math import erfc, exp, floor, inf, isfinite, lgamma, log, sqrt

Z = 1.959963984540054  # of the normal distribution: 95 % lie within so many deviations
TAIL = 0.025  # on either side
SAMPLES_MIN = 4  # with fewer values a mean has no interval worth telling
EXACT_MAX = 2_000  # so many values and more are counted by the normal distribution


@dataclass(frozen=True, slots=True)
class Interval:
    """Where a number lies, in 95 of 100 cases."""

    low: float
    high: float  # infinite: nothing bounds it

    @property
    def holds_zero(self) -> bool:
        """Whether nothing at all is among what may be."""
        return self.low <= 0 <= self.high


@dataclass(frozen=True, slots=True)
class Estimate:
    """A number and where it may lie; without an interval it is the same in every row."""

    value: float
    interval: Interval | None = None


ANYWHERE = Interval(-inf, inf)


def share(part: int, whole: int) -> Estimate | None:
    """Return the share of *part* in *whole*, with Wilson's score interval; None of nothing.

    E. B. Wilson, 1927; it holds for small numbers and for shares near 0 and 1 too.
    """
    if whole <= 0:
        return None

    p, z2 = part / whole, Z * Z
    middle = (p + z2 / (2 * whole)) / (1 + z2 / whole)
    half = Z / (1 + z2 / whole) * sqrt(p * (1 - p) / whole + z2 / (4 * whole * whole))
    low = 0.0 if part == 0 else max(0.0, middle - half)
    high = 1.0 if part == whole else min(1.0, middle + half)
    return Estimate(p, Interval(low, high))


@lru_cache(maxsize=256)
def quantile_ranks(count: int, level: float) -> tuple[int, int]:
    """Return the ranks (from 1) of the values between which a quantile lies; 0 or count + 1: none.

    By the order statistics of *count* values, whatever their distribution: how many of them are
    below the quantile is binomial.
    """
    if count > EXACT_MAX:
        middle, half = count * level, Z * sqrt(count * level * (1 - level))
        return max(0, floor(middle - half)), min(count + 1, floor(middle + half) + 2)

    return _exact_ranks(count, level)


def _exact_ranks(count: int, level: float) -> tuple[int, int]:
    below, low, high = 0.0, 0, count + 1
    for rank in range(1, count + 1):
        below += _binomial(count, rank - 1, level)  # fewer than *rank* values below the quantile
        if below <= TAIL:
            low = rank

        if below >= 1 - TAIL:
            high = rank
            break

    return low, high


def _binomial(count: int, hits: int, level: float) -> float:
    ways = lgamma(count + 1) - lgamma(hits + 1) - lgamma(count - hits + 1)
    return exp(ways + hits * log(level) + (count - hits) * log(1 - level))


def mean(count: int, total: float, squares: float) -> Estimate | None:
    """Return the mean of *count* values from their sum and sum of squares, by Student's t."""
    if count < 1:
        return None

    value = total / count
    if count < SAMPLES_MIN:
        return Estimate(value, ANYWHERE)

    variance = max(0.0, (squares - total * value) / (count - 1))
    if variance <= 1e-12 * value * value:
        return Estimate(value)  # always the same

    half = _student(count - 1) * sqrt(variance / count)
    return Estimate(value, Interval(value - half, value + half))


def _student(freedom: int) -> float:
    """Return how many deviations hold 95 %, of Student's t (Cornish and Fisher's series)."""
    z3, z5, z7 = Z**3, Z**5, Z**7
    return (
        Z
        + (z3 + Z) / (4 * freedom)
        + (5 * z5 + 16 * z3 + 3 * Z) / (96 * freedom**2)
        + (3 * z7 + 19 * z5 + 17 * z3 - 15 * Z) / (384 * freedom**3)
    )


def difference(before: Estimate, after: Estimate) -> Estimate:
    """Return *after* less *before*, of two runs that share nothing.

    From the two intervals (G. Y. Zou and A. Donner, 2008, "MOVER"); of two shares that is
    Newcombe's score interval. Where neither varies, the difference does not either.
    """
    value = after.value - before.value
    one, other = before.interval, after.interval
    if one is None and other is None:
        return Estimate(value)

    one = one or Interval(before.value, before.value)
    other = other or Interval(after.value, after.value)
    low = value - _root(after.value - other.low, one.high - before.value)
    high = value + _root(other.high - after.value, before.value - one.low)
    return Estimate(value, Interval(low, high))


def _root(one: float, other: float) -> float:
    return sqrt(one * one + other * other) if isfinite(one) and isfinite(other) else inf


def mcnemar(only_before: int, only_after: int) -> float:
    """Return how likely such a split or a more uneven one is, if both runs are equally good.

    McNemar's test on rows that ended well in one run alone: exact (binomial, two-sided) up to
    `EXACT_MAX` of them, beyond that by chi-squared with a correction for counts.
    """
    total, fewer = only_before + only_after, min(only_before, only_after)
    if not total:
        return 1.0

    if total > EXACT_MAX:
        score = max(0.0, abs(only_before - only_after) - 1) / sqrt(total)
        return erfc(score / sqrt(2))

    return min(1.0, 2 * sum(_binomial(total, hits, 0.5) for hits in range(fewer + 1)))


def ratio(count: int, sums: tuple[float, float, float, float, float]) -> Estimate | None:
    """Return sum(x) / sum(y) over *count* pairs, by the delta method; None if sum(y) is 0.

    *sums* are those of x, y, x², y² and xy.
    """
    x, y, xx, yy, xy = sums
    if not y:
        return None

    value = x / y
    left = max(0.0, xx - 2 * value * xy + value * value * yy)
    if count < SAMPLES_MIN:
        return Estimate(value, ANYWHERE)

    if left <= 1e-12 * xx:
        return Estimate(value)

    half = Z * sqrt(left * count / (count - 1)) / y
    return Estimate(value, Interval(max(0.0, value - half), value + half))
