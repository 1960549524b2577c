"""The truth about a run, as the API saw it: every submit that arrived and every job that was made.

Rule: written by the service alone and never corrected, so a test can hold any client against it:
how often was a row submitted, how many jobs were made for it, what was charged and refunded, did
the client learn of them. It does not know what the client believes. A job is charged once at most
and refunded once at most, so each stands with its job. Money is nanos (`core/money.py`).

Memory: about half a kilobyte a job, so that a million of them fit; no dict per job.
"""

from __future__ import annotations

import math
from array import array
from collections import Counter
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

import orjson


class End(Enum):
    """How a job ends."""

    DONE = "done"
    REJECTED = "rejected"
    STUCK = "stuck"  # never
    FORGOTTEN = "forgotten"  # the API made and charged it, but status never knows it


@dataclass(frozen=True, slots=True)
class Course:
    """What is in store for a job. Few different ones exist, and jobs share them."""

    end: End = End.DONE
    partial: bool = False
    hollow_reads: int = 0  # reads that say "done" without a result
    refund: str = "done"  # of a rejected job: done | already | unconfirmed | none
    under_503: bool = False  # a rejected job is told under HTTP 503
    retryable: bool = False


@dataclass(frozen=True, slots=True)
class Order:
    """What was ordered, in neutral words. Jobs share these too."""

    task: str
    format: str = "png"
    single: bool = True  # one result, not one for each variation
    model: str = ""
    inline: bool = False  # a text result stands in the status answer as well
    prompt: str = ""  # one that the API is to make better
    price: int = 0  # nanos
    is_late: bool = False  # charged after the job, at another amount than the price


@dataclass(slots=True, eq=False)
class Job:
    """One job. Times are epoch seconds."""

    id: str
    reference: str  # the row that it was made for
    order: Order
    course: Course
    created_at: float
    done_at: float  # when it ends; infinite if never
    told_at: float = math.nan  # when a status answer first said that it ended
    charged_nanos: int = 0
    charged_at: float = math.nan  # never, if it failed before it was charged
    refunded_nanos: int = 0
    refunded_at: float = math.nan  # with the first answer that tells of the failure
    delivered: bool = False  # the answer that carried its id left the simulator whole
    reads: int = 0
    endings: int = 0  # reads that found it ended
    fetches: int = 0  # of its result files
    mark: str = ""  # what its submit was to be known by in the list

    @property
    def charged(self) -> bool:
        """Whether it was paid for, were it with 0."""
        return not math.isnan(self.charged_at)

    @property
    def refunded(self) -> bool:
        """Whether the charge was given back."""
        return not math.isnan(self.refunded_at)

    def as_json(self) -> dict[str, Any]:
        """Return the job as one flat object; a time that never came is null."""
        return {
            "job_id": self.id,
            "reference": self.reference,
            "task": self.order.task,
            "end": self.course.end.value,
            "created_at": self.created_at,
            "done_at": _time(self.done_at),
            "told_at": _time(self.told_at),
            "charged": self.charged,
            "charged_nanos": self.charged_nanos,
            "charged_at": _time(self.charged_at),
            "refunded": self.refunded,
            "refunded_nanos": self.refunded_nanos,
            "refunded_at": _time(self.refunded_at),
            "delivered": self.delivered,
            "reads": self.reads,
            "fetches": self.fetches,
        }


def _time(at: float) -> float | None:
    return at if math.isfinite(at) else None


@dataclass(slots=True, eq=False)
class Trace:
    """What arrived for one reference."""

    submits: int = 0  # requests, refused and dropped ones too
    jobs: int = 0


@dataclass(slots=True, eq=False)
class Ledger:
    """Every submit, every job, every read, and when they arrived."""

    jobs: dict[str, Job] = field(default_factory=dict)  # by id, in order of creation
    references: dict[str, Trace] = field(default_factory=dict)
    submits_at: array[float] = field(default_factory=lambda: array("d"))  # epoch seconds
    reads_at: array[float] = field(default_factory=lambda: array("d"))
    questions: Counter[str] = field(default_factory=Counter)
    charges: int = 0
    charged_nanos: int = 0
    refunds: int = 0
    refunded_nanos: int = 0
    tally: Counter[str] = field(default_factory=Counter)  # such as "submit 429", "drop_after"

    def submit_arrived(self, reference: str, at: float) -> int:
        """Note a submit and return how many came for the same reference before it."""
        self.submits_at.append(at)
        trace = self.references.get(reference)
        if trace is None:
            trace = self.references[reference] = Trace()

        trace.submits += 1
        return trace.submits - 1

    def read_arrived(self, job_id: str, at: float) -> int:
        """Note a status read and return how many came for the same job before it."""
        self.reads_at.append(at)
        job = self.jobs.get(job_id)
        if job is None:
            return 0

        job.reads += 1
        return job.reads - 1

    def question_arrived(self, key: str) -> int:
        """Note a question (price, balance, models) and return how many came before it."""
        self.questions[key] += 1
        return self.questions[key] - 1

    def made(self, job: Job) -> None:
        """Note a new job."""
        self.jobs[job.id] = job
        self.references[job.reference].jobs += 1

    def charge(self, job: Job, nanos: int, at: float) -> None:
        """Book what a job costs."""
        job.charged_nanos, job.charged_at = nanos, at
        self.charges += 1
        self.charged_nanos += nanos

    def ended(self, job: Job, at: float, *, refund: bool) -> None:
        """Note that an answer says that *job* has ended, and book its refund the first time."""
        job.endings += 1
        if job.endings > 1:
            return

        job.told_at = at
        if refund and job.charged:
            job.refunded_nanos, job.refunded_at = job.charged_nanos, at
            self.refunds += 1
            self.refunded_nanos += job.refunded_nanos

    def jobs_per_reference(self) -> dict[str, int]:
        """Return how many jobs were made for every reference that ever arrived."""
        return {reference: trace.jobs for reference, trace in self.references.items()}

    def duplicates(self) -> dict[str, int]:
        """Return the references for which more than one job was made, with their number."""
        return {name: jobs for name, jobs in self.jobs_per_reference().items() if jobs > 1}

    def undelivered(self) -> list[Job]:
        """Return the jobs whose id never left the simulator: paid for, and nobody can know."""
        return [job for job in self.jobs.values() if not job.delivered]

    def counts(self) -> dict[str, int]:
        """Return the totals; the words after them say what was answered, and how often."""
        return {
            "references": len(self.references),
            "submits": len(self.submits_at),
            "jobs": len(self.jobs),
            "charged": self.charges,
            "charged_nanos": self.charged_nanos,
            "refunded": self.refunds,
            "refunded_nanos": self.refunded_nanos,
            "duplicates": len(self.jobs) - sum(1 for t in self.references.values() if t.jobs),
            "undelivered": sum(1 for job in self.jobs.values() if not job.delivered),
            "status_reads": len(self.reads_at),
            **dict(sorted(self.tally.items())),
        }

    def as_json(self) -> bytes:
        """Return everything: `counts`, `references`, `jobs`, `submits_at`, `reads_at`."""
        return orjson.dumps(
            {
                "counts": self.counts(),
                "references": {
                    name: {"submits": trace.submits, "jobs": trace.jobs}
                    for name, trace in self.references.items()
                },
                "jobs": [job.as_json() for job in self.jobs.values()],
                "submits_at": self.submits_at.tolist(),
                "reads_at": self.reads_at.tolist(),
            }
        )
