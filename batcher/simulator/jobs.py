"""What becomes of a job: decided when it is made, seen when it is read.

Rule: the course of a job is drawn once, from the row's reference and the ordinal of its submit; a
read only looks how far it has come. What the reads find out is noted in the ledger.
"""

from __future__ import annotations

import math
from enum import Enum
from functools import cache, lru_cache

from batcher.simulator.call import Call
from batcher.simulator.ledger import Course, End, Job, Order


class Phase(Enum):
    """Where a job is, seen from outside."""

    UNKNOWN = "unknown"  # no such job
    LAGGING = "lagging"  # accepted, but its state cannot be seen yet
    PENDING = "pending"
    HOLLOW = "hollow"  # done, without a result
    DONE = "done"
    REJECTED = "rejected"


def make_job(call: Call, order: Order) -> Job:
    """Make the job of an accepted submit, charge it and note it in the ledger."""
    course = _draw_course(call)
    job = Job(
        id=call.chance.uuid("job", call.key, call.ordinal),
        reference=call.key,
        order=_shared_order(order),
        course=_shared_course(course),
        created_at=call.now_s,
        done_at=math.inf if course.end is End.STUCK else call.now_s + call.time_s("duration_s"),
    )
    call.account.ledger.made(job)
    _bill(call, job)
    return job


def _bill(call: Call, job: Job) -> None:
    """Charge the price at once; or, after a job that went well, up to a tenth more or less."""
    if not job.order.is_late:
        call.account.bill(job, job.order.price, call.now_s)
    elif job.course.end is not End.REJECTED and math.isfinite(job.done_at):
        share = 0.9 + 0.2 * call.draw("settled")
        call.account.bill(job, round(job.order.price * share), job.done_at)

    call.account.settle(call.now_s)


def look_at(job: Job | None, call: Call) -> Phase:
    """Say where *job* is, and note in the ledger that its end was told."""
    plan = call.account.plan
    if job is None or job.course.end is End.FORGOTTEN:
        return Phase.UNKNOWN

    age_s = call.now_s - job.created_at
    if age_s < plan.missing_s:
        return Phase.UNKNOWN

    if age_s < plan.lag_s:
        return Phase.LAGGING

    if call.now_s < job.done_at:
        return Phase.PENDING

    rejected = job.course.end is End.REJECTED
    refund = rejected and job.course.refund in ("done", "already")
    call.account.ledger.ended(job, call.now_s, refund=refund)
    if rejected:
        return Phase.REJECTED

    return Phase.HOLLOW if job.endings <= job.course.hollow_reads else Phase.DONE


def percent_done(job: Job, call: Call) -> float:
    """Return how far a pending job has come, in per cent; a stuck one stands still at 42."""
    if not math.isfinite(job.done_at):
        return 42.0

    return min(99.0, 100.0 * (call.now_s - job.created_at) / (job.done_at - job.created_at))


QUEUED_PERCENT = 10.0  # up to here a job waits for its turn


def started_at(job: Job) -> float:
    """Return when a job's turn came, in epoch seconds."""
    if not math.isfinite(job.done_at):
        return job.created_at

    return job.created_at + (job.done_at - job.created_at) * QUEUED_PERCENT / 100


def _draw_course(call: Call) -> Course:
    if call.strikes("forgotten"):
        return Course(End.FORGOTTEN)

    if call.strikes("stuck"):
        return Course(End.STUCK)

    if call.strikes("rejected"):
        return Course(
            End.REJECTED,
            refund=_draw_refund(call),
            under_503=call.strikes("rejected_503"),
            retryable=call.strikes("retryable"),
        )

    return Course(
        partial=call.strikes("partial"),
        hollow_reads=call.account.plan.hollow_reads if call.strikes("hollow") else 0,
    )


def _draw_refund(call: Call) -> str:
    """Share one draw out over the words, so that their shares add up as the plan says."""
    draw = call.draw("refund")
    plan = call.account.plan
    shares = {
        "already": plan.refund_already,
        "unconfirmed": plan.refund_unconfirmed,
        "none": plan.refund_none,
    }
    for word, share in shares.items():
        if draw < share:
            return word

        draw -= share

    return "done"


# A million jobs share a few dozen courses and orders.


@cache
def _shared_course(course: Course) -> Course:
    return course


@lru_cache(4096)  # prices go by the size of the image: there is no end of different orders
def _shared_order(order: Order) -> Order:
    return order
