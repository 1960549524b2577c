"""The truth about a run, as the API saw it: every submit that arrived and every job that was made.

Rule: written by the service alone and never corrected, so a test can hold any client against it:
how often was a row submitted, how many jobs were made and charged for it, did the client learn of
them. It does not know what the client believes.

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
    charged: bool = True
    refunded: bool = False  # booked with the first answer that tells of the failure
    delivered: bool = False  # the answer that carried its id left the simulator whole
    reads: int = 0
    endings: int = 0  # reads that found it ended
    fetches: int = 0  # of its result files

    def as_json(self) -> dict[str, Any]:
        """Return the job as one flat object; a time that never came is null."""
        return {
            "job_id": self.id,
            "reference": self.reference,
            "task": self.order.task,
            "end": self.course.end.value,
            "created_at": self.created_at,
            "done_at": self.done_at if math.isfinite(self.done_at) else None,
            "told_at": None if math.isnan(self.told_at) else self.told_at,
            "charged": self.charged,
            "refunded": self.refunded,
            "delivered": self.delivered,
            "reads": self.reads,
            "fetches": self.fetches,
        }


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
    refunds: int = 0
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

    def made(self, job: Job) -> None:
        """Note a new job."""
        self.jobs[job.id] = job
        self.references[job.reference].jobs += 1

    def ended(self, job: Job, at: float, *, refund: bool) -> None:
        """Note that an answer says that *job* has ended, and book its refund the first time."""
        job.endings += 1
        if job.endings > 1:
            return

        job.told_at = at
        if refund:
            job.refunded = True
            self.refunds += 1

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
            "charged": len(self.jobs),
            "refunded": self.refunds,
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
