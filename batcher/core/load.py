"""A load: when each job of a load test is to be started, whatever became of those before it.

Rule: the moments are exact multiples of the spacing of each step, counted from the beginning, and
nothing that happens moves them (an open model). Who waits is late, and the waiting counts.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from math import ceil, floor

import msgspec

VERSION = 1
LATE_S = 0.1  # a start that is later than that was held up by something


class Step(msgspec.Struct, frozen=True):
    """So many jobs, evenly spaced."""

    per_s: float
    jobs: int
    starts_s: float  # since the beginning of the load: when the first one is due
    first: int  # number of the first one, from 0

    @property
    def lasts_s(self) -> float:
        """How long the step lasts: each job has its spacing after it."""
        return self.jobs / self.per_s


class Load(msgspec.Struct, frozen=True):
    """All steps of a load, and when it began."""

    began: float  # epoch seconds: when the first job was due
    steps: tuple[Step, ...]
    v: int = VERSION

    @property
    def jobs(self) -> int:
        """How many jobs it has."""
        return sum(step.jobs for step in self.steps)

    @property
    def lasts_s(self) -> float:
        """How long it lasts."""
        last = self.steps[-1]
        return last.starts_s + last.lasts_s

    def step_of(self, job: int) -> int:
        """Return the number of the step that a job (from 0) belongs to."""
        return bisect_right([step.first for step in self.steps], job) - 1

    def due_s(self, job: int) -> float:
        """Return when a job (from 0) is due, in seconds since the beginning."""
        step = self.steps[self.step_of(job)]
        return step.starts_s + (job - step.first) / step.per_s


def steps_of(rates_per_s: Sequence[float], duration_s: float, jobs_max: int) -> tuple[Step, ...]:
    """Return a step of *duration_s* for each rate, cut off after *jobs_max* jobs.

    A step that is too short for a job of its own is left out.
    """
    steps: list[Step] = []
    starts_s, first = 0.0, 0
    for per_s in rates_per_s:
        jobs = min(_jobs(per_s, duration_s), jobs_max - first)
        if jobs > 0:
            steps.append(Step(per_s, jobs, starts_s, first))

        starts_s, first = starts_s + duration_s, first + max(0, jobs)

    return tuple(steps)


def _jobs(per_s: float, duration_s: float) -> int:
    """Return how many starts lie in [0, duration): 300 and not 301 in 60 s at 5/s."""
    exact = per_s * duration_s
    nearest = floor(exact + 0.5)
    return nearest if abs(exact - nearest) < 1e-6 else ceil(exact)
