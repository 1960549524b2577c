"""How long jobs take, learned from status reads alone.

Rule: a read is one fact about one stretch of a job's life. The job was pending at age `low_s`, and
at `high_s` it was still pending (it ends later) or it had ended (somewhere in between). Each read
counts for what it says and no more: neither the jobs that still run nor the moments at which we
chose to look bend the estimate. Old reads fade, and a second estimate that forgets quickly stands
by; whichever of the two foretold the latest reads better is the one in use.

Pure arithmetic: no clock, no randomness. When to look next is decided in `looking`. The formulae
and their sources are in docs/polling.md.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from itertools import pairwise
from math import log
from typing import NamedTuple, Self

from batcher.core.polling.survival import Curve, Stretch, estimate

LOOKS_MAX = 4_096  # reads remembered: about 0.5 MB at the most
HALF_LIVES = (500.0, 50.0)  # ends after which a read counts half: patiently, quickly
NEWS = 0.15  # an estimate is made anew when the ends that count grew by this share
POINTS_MAX = 1_000  # of a curve that was kept: six times what an estimate has
AGE_MAX_S = 1e9
WEIGHT_MIN = 0.01  # what counts less is left out
SURE = 3  # looks are more than one odd job
LEAD = 3.0  # by so much (log-likelihood) the quick estimate must have been better to be used
SCORED = 300.0  # about so many of the latest reads decide which estimate is in use


class Look(NamedTuple):
    """One read of a job that was pending at age `low_s`: at age `high_s` it had ended, or not."""

    low_s: float
    high_s: float
    ended: bool


class Durations:
    """The reads of one class of jobs, such as those of one model, and what they tell."""

    def __init__(self, past: Iterable[Look] = ()) -> None:
        self.ends = 0  # ends seen, the past's included
        self._looks: deque[tuple[Look, int]] = deque(maxlen=LOOKS_MAX)
        self._curves: list[Curve] = []
        self._oldest = [0.0] * SURE  # the highest ages at which jobs were seen pending, ascending
        self._scores = [0.0] * len(HALF_LIVES)
        self._stale_at = [0] * len(HALF_LIVES)  # ends at which an estimate is made anew
        for look in past:
            self.add(look)

    def add(self, look: Look) -> None:
        """Remember a read. One that makes no sense (a clock that jumped) is dropped."""
        if not (0 <= look.low_s < look.high_s <= AGE_MAX_S):
            return

        self.ends += look.ended
        if not look.ended and look.high_s > self._oldest[0]:
            self._oldest = sorted((*self._oldest[1:], look.high_s))

        self._looks.append((look, self.ends))
        for n, curve in enumerate(self._curves):
            chance = curve.chance(look.low_s, look.high_s)
            told = chance if look.ended else 1.0 - chance
            self._scores[n] += log(max(told, 0.001)) - self._scores[n] / SCORED

    def refresh(self) -> bool:
        """Make one estimate anew if one is stale; return whether it did.

        It takes some milliseconds: who must not pause for both calls this before `curve`.
        """
        for n, half_life in enumerate(HALF_LIVES):
            if self.ends >= self._stale_at[n]:
                before = self._curves[n] if self._curves[n:] else None
                self._curves[n : n + 1] = [estimate(*self._weighed(half_life), before)]
                self._stale_at[n] = self.ends + max(2, int(NEWS * min(self.ends, half_life)))
                return True

        return False

    @property
    def pending_until_s(self) -> float:
        """The age at which a few looks have found a job pending, or a higher one."""
        return self._oldest[0]

    def curve(self) -> Curve:
        """Estimate anew and return the estimate in use; needs a read."""
        while self.refresh():
            pass

        patient, quick = self._scores
        return self._curves[1 if quick > patient + LEAD else 0]

    def kept(self, count_max: int = 1_024) -> dict[str, list[list[float]]]:
        """Return what the next run begins with, for JSON: the latest reads, and the curve.

        The curve is needed too: it knows from reads long faded what lies between the looks of now.
        """
        latest = list(self._looks)[-count_max:]
        looks = [[round(k.low_s, 3), round(k.high_s, 3), int(k.ended)] for k, _ in latest]
        points = (
            ()
            if not self._curves
            else zip(self._curves[0].ages_s, self._curves[0].running, strict=True)
        )
        return {"looks": looks, "curve": [[age, running] for age, running in points]}

    @classmethod
    def from_kept(cls, kept: object) -> Self:
        """Return what `kept` gave; whatever was damaged since is left out, and nothing raised."""
        looks, curve = (kept.get("looks"), kept.get("curve")) if isinstance(kept, dict) else (0, 0)
        durations = cls(Look(low, high, ended == 1) for low, high, ended in _rows(looks, 3))
        points = _rows(curve, 2)
        if durations.ends and _is_curve(points):
            ages, running = zip(*points, strict=True)
            durations._curves = [Curve(ages, running)] * len(HALF_LIVES)

        return durations

    def _weighed(self, half_life: float) -> tuple[list[Stretch], list[Stretch]]:
        """Return the reads that found an end and those that did not, with what each counts."""
        ended: list[Stretch] = []
        pending: list[Stretch] = []
        latest, weight = self.ends, 1.0
        for (low_s, high_s, found), ends in reversed(self._looks):
            if ends != latest:
                latest, weight = ends, 0.5 ** ((self.ends - ends) / half_life)
                if weight < WEIGHT_MIN:
                    break

            (ended if found else pending).append((low_s, high_s, weight))

        return ended, pending


def _rows(kept: object, width: int) -> list[list[float]]:
    """Return the lists of *width* numbers among what was kept."""
    if not isinstance(kept, list):
        return []

    rows = [row for row in kept if isinstance(row, list) and len(row) == width]
    return [row for row in rows if all(type(number) in (int, float) for number in row)]


def _is_curve(points: list[list[float]]) -> bool:
    return (
        1 < len(points) <= POINTS_MAX
        and points[0] == [0, 1]
        and all(0 <= low[0] < high[0] <= AGE_MAX_S for low, high in pairwise(points))
        and all(low[1] >= high[1] > 0 for low, high in pairwise(points))
    )
