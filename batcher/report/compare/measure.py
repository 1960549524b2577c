"""What one run measured: its outcome files, read once, in memory that does not grow with them.

Rule: a line that is no record is counted and passed over. Times are those of the submit that made
the job; a time whose beginning or end is not known is not counted at all.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from batcher.core.lifecycle import OUTCOMES, State
from batcher.core.load import LATE_S, Load
from batcher.core.settings import Frozen, Settings
from batcher.report.compare.intervals import Estimate, ratio
from batcher.report.compare.sample import Kept, Sample
from batcher.report.compare.times import Sums, Times
from batcher.report.records import Record, between_s, epoch_s
from batcher.report.summary import Summary

COST_MAX = 1e9
REFUNDED = ("done", "already_done")


@dataclass
class StepSeen:
    """What one step of a load led to."""

    sent: int = 0  # jobs whose submit left, sooner or later
    sent_in_time: int = 0  # of them while their step lasted
    late: int = 0
    late_s_max: float = 0.0
    ends: dict[State, int] = field(default_factory=dict)
    answered: Times = field(default_factory=Times)  # from when the job was due
    whole: Times = field(default_factory=Times)


class Measured:
    """One run, as far as it went. *load* is the plan of a load test."""

    def __init__(self, load: Load | None = None) -> None:
        self.load = load
        self.ends: dict[State, int] = dict.fromkeys(OUTCOMES, 0)
        self.answered, self.job, self.lag = Times(), Times(), Times()
        self.reads = Sums()
        self.sample = Sample()
        self.steps = [StepSeen() for _ in (load.steps if load is not None else ())]
        self.unreadable = 0
        self._costs = 0
        self._sums = [0.0] * 5  # of cost, success, their squares and their product

    @property
    def ended(self) -> int:
        """Rows that have an outcome."""
        return sum(self.ends.values())

    def add(self, outcome: State, record: Record) -> None:
        """Take one record in."""
        times, succeeded = record.time, outcome is State.SUCCEEDED
        self.ends[outcome] += 1
        self.answered.add(between_s(epoch_s(times.submitted), epoch_s(times.accepted)))
        self.job.add(times.job_s)
        reads = record.attempts.status
        if record.job_id is not None and reads >= 0:
            self.reads.add(reads)

        if times.job_s is not None and reads > 0:
            self.lag.add(times.job_s / reads)

        self.sample.offer(record.id, Kept(succeeded, times.job_s))
        self._note_cost(record, succeeded)
        if self.load is not None and 1 <= record.line <= self.load.jobs:
            self._note_step(self.load, outcome, record)

    def cost_per_success(self) -> Estimate | None:
        """Return what a row that succeeded cost, those that did not included, less refunds."""
        if not self._costs:
            return None

        x, y, xx, yy, xy = self._sums
        return ratio(self.ended, (x, y, xx, yy, xy))

    def _note_cost(self, record: Record, succeeded: bool) -> None:
        cost = record.cost
        if cost is not None and not 0 <= cost <= COST_MAX:
            return

        self._costs += cost is not None
        net = 0.0 if cost is None or record.refund in REFUNDED else cost
        for place, value in enumerate((net, succeeded, net * net, succeeded, net * succeeded)):
            self._sums[place] += value

    def _note_step(self, load: Load, outcome: State, record: Record) -> None:
        number = load.step_of(record.line - 1)
        step, seen = load.steps[number], self.steps[number]
        seen.ends[outcome] = seen.ends.get(outcome, 0) + 1
        sent = epoch_s(record.time.submitted)
        if sent is None:
            return

        due = load.began + load.due_s(record.line - 1)
        late_s = sent - due
        seen.sent += 1
        seen.sent_in_time += sent < load.began + step.starts_s + step.lasts_s
        seen.late += late_s > LATE_S
        seen.late_s_max = max(seen.late_s_max, late_s)
        for times, end in (
            (seen.answered, record.time.accepted),
            (seen.whole, record.time.done_seen),
        ):
            at = epoch_s(end)
            times.add(None if at is None else at - due)


@dataclass(frozen=True)
class Run:
    """A run that is compared, and what it is called."""

    letter: str
    name: str
    frozen: Frozen
    settings: Settings
    summary: Summary
    measured: Measured
    currency: str | None = None
    throttled: tuple[int, ...] = ()  # 429s to submits, for each step of its load
