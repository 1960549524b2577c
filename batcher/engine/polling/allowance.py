"""How many status reads a job may take, so that the run's reads last for all its jobs.

Rule: by Little's law for what may be read a second, by plain division for what may be read a day,
and the scarcer of the two counts. A limit that is not known limits nothing.

Several classes of jobs share the reads at one price. The delay that another read saves is the price
of its plan, and about as many reads are bought as 1/sqrt(price); so each class gets reads in
proportion to reads times sqrt(price) of the plan that it has. See docs/polling.md.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import inf, sqrt

from batcher.core.pacing.rates import Rate
from batcher.core.polling.looking import USED, Looking, affordable
from batcher.core.stats import Snapshot
from batcher.engine.lanes.caps import times_of
from batcher.engine.lanes.opening import Lanes

LAST_JOBS, LAST_SHARE = 8, 0.01  # jobs that only the end of a run waits for: at most, and of all


@dataclass(frozen=True, slots=True)
class Load:
    """What a run still has to do, and what it is held to."""

    rows_left: float  # rows without an outcome; infinite = not known
    rows_wait: bool  # some of them were not submitted yet
    jobs_max: int  # that may be open at once
    rows_ended: int = 0  # rows that have an outcome
    submits: Rate | None = None
    reads: Rate | None = None
    reads_of_day: Mapping[float, int] | None = None  # period of a day's cap -> reads made in it

    def is_nearly_over(self, jobs_open: int) -> bool:
        """Whether the run waits for a few last jobs, whose reads nobody will miss.

        They are so few beside all rows that looking at them more often hardly counts.
        """
        is_few = jobs_open <= min(LAST_JOBS, self.rows_ended * LAST_SHARE)
        is_free = self.reads is None or not self.reads.day_caps
        return is_few and is_free and not self.rows_wait

    def reads_a_job(self, jobs_open: int, stay_s: float) -> float | None:
        """Return how many reads a job may take, each open for *stay_s*; None = without a limit."""
        if self.reads is None:
            return None

        most = []
        if self.reads.interval_s > 0:
            jobs = max(jobs_open, self._jobs_at_once(stay_s)) if self.rows_wait else jobs_open
            most.append(affordable(1.0 / self.reads.interval_s, jobs, stay_s))

        for window in self.reads.day_caps:
            left = window.count - (self.reads_of_day or {}).get(window.period_s, 0)
            jobs = max(self._jobs_within(window.period_s, jobs_open, stay_s), 1.0)
            most.append(USED * max(left, 0.0) / jobs)

        return min(most, default=None)

    def _jobs_at_once(self, stay_s: float) -> float:
        """Return how many jobs will be open while rows wait: as many as submits keep there."""
        spacing_s = 0.0 if self.submits is None else self.submits.interval_s
        return self.jobs_max if spacing_s == 0 else min(self.jobs_max, stay_s / spacing_s)

    def _jobs_within(self, period_s: float, jobs_open: int, stay_s: float) -> float:
        """Return how many jobs share the reads of a period, of those that are left."""
        caps = () if self.submits is None else self.submits.day_caps
        submitted = min((cap.count * period_s / cap.period_s for cap in caps), default=inf)
        steady = period_s * self._jobs_at_once(stay_s) / max(stay_s, 1e-3)
        return min(self.rows_left, jobs_open + min(submitted, steady))


def shared_out(
    looking: Mapping[str, Looking], open_jobs: Mapping[str, int], load: Load
) -> dict[str, float] | None:
    """Return for each class that has a plan how many reads its jobs may take; None = any number."""
    jobs: dict[str, float] = {}  # that end a second, of each class
    worth: dict[str, float] = {}  # of a read, relative to the other classes
    for name, each in looking.items():
        if each.plan is not None and each.stay_s is not None and open_jobs.get(name):
            jobs[name] = open_jobs[name] / max(each.stay_s, 1e-3)
            worth[name] = each.plan.reads * sqrt(each.plan.price_s)

    total = sum(jobs.values())
    if not total:
        return None if load.reads is None else {}

    known = sum(open_jobs[name] for name in jobs)
    mean = load.reads_a_job(sum(open_jobs.values()), known / total)
    if mean is None:
        return None

    typical = sum(jobs[name] * worth[name] for name in jobs) / total
    return {name: mean * worth[name] / typical for name in jobs}


def load_of(lanes: Lanes, shot: Snapshot) -> Load:
    """Return what a run still has to do, and what it is held to now."""
    rows, reads = shot.rows_total, lanes.status_rate
    caps = () if reads is None else reads.day_caps
    times = times_of(lanes.status_caps.as_fact()) if caps else []
    return Load(
        rows_left=inf if rows is None else max(rows - shot.ended, 1),
        rows_wait=shot.reading or lanes.submit.waiting > 0,
        jobs_max=shot.in_flight_max,
        rows_ended=shot.ended,
        submits=lanes.submit_rate,
        reads=reads,
        reads_of_day={
            cap.period_s: sum(at > shot.at - cap.period_s for at in times) for cap in caps
        },
    )
