"""When to look at a job next, so that its end is seen soon with few reads.

Rule: the plan of `planning` for the curve of `durations` decides, at the price of a read at which a
job takes as many as it may. Until enough ends are known, and at ages nobody has seen yet, the
backoff decides; some jobs are looked at early all the same, or a service that grew faster would go
unnoticed.

Chance is passed in as a number, so that the same look can be planned anew, and nothing here reads a
clock. Formulae and sources: docs/polling.md.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count

from batcher.core.backoff import Backoff
from batcher.core.polling.durations import NEWS, Durations, Look
from batcher.core.polling.planning import FINER, Plan, plan_for, reads_of
from batcher.core.polling.survival import Curve

PAUSES_FACTOR = 1.5  # by which plain pauses grow, from an API's first look to its longest pause
ENDS_MIN = 6  # ends before the first plan
NEWS_MAX = 30  # a plan is made anew after so many ends, in the beginning more often
PAUSE_S = 1.0  # between two plans, so that a fast run does not spend its time on them
EARLY = 0.06  # share of jobs first looked at before the plan says
EARLY_FROM, EARLY_TO = 0.2, 0.9  # of the planned age
PIONEERS, PIONEER_EVERY = 8, 8  # so many of the first jobs, and never more than one in so many
PIONEER_STEP = 0.2  # of its age lies between two looks at a pioneer
JITTER_FIRST, JITTER = 0.1, 0.05  # of the distance between two looks
KNOWN = 0.97  # of jobs have ended by the age up to which the plan may wait in one go
USED = 0.9  # of a budget
READS_WISHED = 8.0  # a job, where no limit asks for fewer
MANNERS = 0.9  # of the reads that the plain pauses would take: some looks are early, some jittered
LOOKS_IN_TIME = 3.0  # a job is looked at so often within its time, however few reads there are
COUNTED_MAX = 60.0  # reads a job, where they are only compared
READS_MIN, READS_MAX = 1.05, 12.0  # a job: fewer cannot be, more hurry nobody


def affordable(reads_per_s: float, jobs_open: float, stay_s: float) -> float:
    """Return how many reads a job may take if *jobs_open* share *reads_per_s* for *stay_s* each.

    Little's law, less a tenth: where all is used, what is due waits. Count the jobs that may be in
    flight as long as rows wait, not those that are: reads that hold submits back would otherwise
    look affordable. For a budget of a day, the reads left over the jobs left is the same number.
    """
    return USED * reads_per_s * stay_s / max(jobs_open, 1.0)


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
        self._unplanned = 0  # jobs that were accepted while nothing was known
        self._next_ends = ENDS_MIN
        self._next_at = float("-inf")
        if self.durations.ends >= ENDS_MIN:
            self._learn()

    def enlist(self) -> bool:
        """Tell whether a job accepted just now is a pioneer: of the first jobs, one in eight."""
        if self.plan is not None:
            return False

        self._unplanned += 1
        return self._unplanned % PIONEER_EVERY == 1 and self._unplanned < PIONEER_EVERY * PIONEERS

    def next_age_s(
        self, low_s: float, tries: int, luck: float, *, is_pioneer: bool = False
    ) -> float:
        """Return the age for the next look at a job last found pending at age *low_s* (0 = never).

        *tries* is the number of looks so far; only the backoff needs it. *luck* is drawn evenly
        from [0, 1) for this look, once: if it is planned anew, its chance stays what it was.
        """
        latest_s = low_s + self._cap_s
        if self.plan is None:
            age_s = self._unplanned_age_s(low_s, tries, luck, is_pioneer=is_pioneer)
            return min(age_s, latest_s)

        step = self._step(self.plan, low_s)
        if step is None:
            return min(low_s + self._backoff.at(tries, luck), latest_s)

        age, after = step
        jitter, free = JITTER, luck
        if low_s == 0:
            if luck < EARLY:
                return age * (EARLY_FROM + (EARLY_TO - EARLY_FROM) * luck / EARLY)

            jitter, free = JITTER_FIRST, (luck - EARLY) / (1.0 - EARLY)

        apart = min(age - low_s, max(after - age, 0.0)) or age - low_s
        return min(age + apart * jitter * (2.0 * free - 1.0), latest_s)

    def saw(self, look: Look, now: float) -> bool:
        """Learn from a look; return whether there is a new plan, so that due times may change.

        *now* is any clock that does not jump, in seconds. Whoever must not pause for the
        milliseconds of a plan notes looks in `durations` and calls `learn` at his leisure.
        """
        self.durations.add(look)
        return self.learn(now)

    def learn(self, now: float) -> bool:
        """Make a plan anew if enough was seen for one; return whether there is one."""
        if not self.is_ripe(now):
            return False

        self._next_at = now + PAUSE_S
        self._learn()
        return True

    def is_ripe(self, now: float) -> bool:
        """Whether enough was seen for a new plan, and the last one is not from just now."""
        return self.durations.ends >= self._next_ends and now >= self._next_at

    def aim(self, reads: float, cap_s: float | None = None) -> bool:
        """Aim at *reads* a job from now on; return whether due times may change by that.

        *cap_s* is the longest pause from now on; None leaves it as it was.
        """
        reads, cap_s = _bounded(reads), cap_s or self._cap_s
        is_near = abs(reads - self._reads) < 0.1 * self._reads
        if is_near and abs(cap_s - self._cap_s) < 0.1 * self._cap_s:
            return False

        self._reads, self._cap_s = reads, cap_s
        if self.curve is None:
            return False

        self._replan(self.curve)
        return True

    def aim_within(self, most: float | None, long_s: float) -> bool:
        """Aim at *most* reads a job at the most; None = there is no limit to be minded.

        On average a job is never read more often than the plain pauses would read it. Where reads
        are plenty, no pause is longer than those either; where they are scarce, pauses may be as
        long as what is known of the jobs allows, up to *long_s*. Returns what `aim` does.
        """
        plain, total = self.reads_by_backoff(COUNTED_MAX), self.reads(COUNTED_MAX)
        if self.curve is None or self.plan is None or plain is None or total is None:
            return False

        short_s = self._backoff.cap_s
        plain *= MANNERS
        wished = min(READS_WISHED, plain - max(total - self.plan.reads, 0.0))
        if most is None or most >= wished + self.curve.mean_s() / short_s:
            return self.aim(wished, short_s)

        return self.aim(min(most, plain, READS_MAX), max(short_s, long_s))

    def chance(self, low_s: float, age_s: float) -> float:
        """Return the chance that a job pending at *low_s* has ended by *age_s*; 1 = not known.

        Of more due looks than may be made, the likeliest first shorten the delays most.
        """
        return 1.0 if self.curve is None else self.curve.chance(low_s, age_s)

    def reads(self, reads_max: float) -> float | None:
        """Return the reads that a job takes, counted up to *reads_max*; None = not known.

        They are more than was aimed at where the longest pause adds looks.
        """
        if self.curve is None or self.plan is None:
            return None

        return reads_of(self.curve, self._planned_ages(self.plan), reads_max)

    def reads_by_backoff(self, reads_max: float) -> float | None:
        """Return the reads that a job would take by the backoff alone, in the same way."""
        if self.curve is None:
            return None

        return reads_of(self.curve, self._backoff_ages(), reads_max)

    @property
    def stay_s(self) -> float | None:
        """How long a job is open, from its acceptance until its end is seen; None = not known."""
        if self.curve is None or self.plan is None:
            return None

        return self.curve.mean_s() + self.plan.lag_s

    def _unplanned_age_s(self, low_s: float, tries: int, luck: float, *, is_pioneer: bool) -> float:
        """Return the next age while nothing is known.

        Pioneers are looked at densely, so that the first ends are known precisely. The others need
        no look at an age that pioneers have passed as long as none of them has ended.
        """
        if is_pioneer and low_s > 0:
            return low_s * (1.0 + PIONEER_STEP * (0.5 + luck))

        passed_s = 0.0 if is_pioneer or self.durations.ends else self.durations.pending_until_s
        return max(low_s + self._backoff.at(tries, luck), passed_s)

    def _step(self, plan: Plan, low_s: float) -> tuple[float, float] | None:
        """Return the ages of the next two looks by the plan; None: nobody has seen such ages."""
        age, after = plan.looks_after(low_s)
        age = min(age, max(self._known_s, 2 * low_s), low_s + self._cap_s)
        return None if age <= low_s or low_s >= plan.ages_s[-1 - FINER] else (age, after)

    def _planned_ages(self, plan: Plan) -> Iterator[float]:
        low_s = 0.0
        while step := self._step(plan, low_s):
            low_s = step[0]
            yield low_s

    def _backoff_ages(self) -> Iterator[float]:
        low_s = 0.0
        for tries in count():
            low_s += self._backoff.at(tries, 0.5)
            yield low_s

    def _learn(self) -> None:
        ends = self.durations.ends
        self.curve = self.durations.curve()
        self._known_s = self.curve.age_s(KNOWN)
        self._next_ends = ends + max(2, min(int(NEWS * ends), NEWS_MAX))
        self._replan(self.curve)

    def _replan(self, curve: Curve) -> None:
        self.plan = plan_for(curve, self._reads, self.plan.price_s if self.plan else None)


def _bounded(reads: float) -> float:
    return min(max(reads, READS_MIN), READS_MAX)
