"""A job in deAPI's words: https://docs.deapi.ai/api/v2/utilities/jobs.

Rule: HTTP says 200, the body says what became of the job. Nothing in it is promised to be there.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, Final

from batcher.core.money import amount
from batcher.simulator.call import Call
from batcher.simulator.chance import Chance
from batcher.simulator.faults import FaultPlan
from batcher.simulator.files import Files
from batcher.simulator.jobs import QUEUED_PERCENT, Phase, percent_done
from batcher.simulator.ledger import Job
from batcher.simulator.samples import sample

_UNKNOWN_WORDS: Final = ("in_progress", "queued", "warming_up", "MODERATING")
_CODES: Final = {"TIMEOUT": "WORKER_TIMEOUT", "CAPACITY_UNAVAILABLE": "WORKER_ERROR"}
# The last one is documented nowhere: the list is open.
REASONS: Final = (
    *("SOURCE_PRIVATE", "SOURCE_RESTRICTED", "SOURCE_UNPROCESSABLE", "SOURCE_DOWNLOAD_FAILED"),
    *("INPUT_TOO_LARGE", "TIMEOUT", "CAPACITY_UNAVAILABLE", "PROCESSING_FAILED", "MOON_PHASE"),
)
_NEEDED: Final = ("status", "result_url", "result")  # of a job that is told barely


def job_body(call: Call, job: Job, phase: Phase, files: Files) -> dict[str, Any]:
    """Return the `data` of a job that can be seen."""
    body = _whole_body(call, job, phase, files)
    plan = call.account.plan
    if not plan.bare_job or call.chance.draw("bare_job", job.id) >= plan.bare_job:
        return body

    return {name: value for name, value in body.items() if name in _NEEDED and value is not None}


def _whole_body(call: Call, job: Job, phase: Phase, files: Files) -> dict[str, Any]:
    if phase is Phase.REJECTED:
        return _failed(call, job)

    body: dict[str, Any] = {
        "status": "done",
        "preview": None,
        "result_url": None,
        "results_alt_formats": None,
        "result": None,
        "progress": 100,
    }
    if phase is Phase.PENDING:
        return body | _pending(call, job)

    return body if phase is Phase.HOLLOW else body | _done(call, job, files)


def _pending(call: Call, job: Job) -> dict[str, Any]:
    percent = percent_done(job, call)
    if call.strikes("unknown_word"):
        return {"status": call.pick("word", _UNKNOWN_WORDS), "progress": round(percent, 1)}

    if percent < QUEUED_PERCENT:
        return {"status": "pending", "progress": 0}

    return {"status": "processing", "progress": round(percent, 1)}


def _done(call: Call, job: Job, files: Files) -> dict[str, Any]:
    def url(kind: str) -> str:
        return files.url(job, f"result.{kind}", call.now_s)

    body: dict[str, Any] = {"result_url": url(job.order.format)}
    if job.order.task != "ocr":
        body["results_alt_formats"] = {"jpg": url("jpg"), "webp": url("webp")}

    if job.order.inline:
        body["result"] = sample(job.order.format).decode()

    if job.order.is_late:  # https://docs.deapi.ai/pricing
        body["price"] = {"amount": amount(job.charged_nanos), "is_estimated": False}

    if job.order.prompt:
        body |= _boosted(job.order.prompt)

    return body


def _boosted(prompt: str) -> dict[str, Any]:
    return {
        "prompt_boosted": True,
        "prompt_boost": {
            "prompt": f"{prompt}, sharp focus, soft light",
            "prompt_original": prompt,
            "negative_prompt": None,
            "negative_prompt_original": None,
        },
    }


def _failed(call: Call, job: Job) -> dict[str, Any]:
    plan = call.account.plan
    body: dict[str, Any] = {
        "status": "failed" if plan.era == "e2" else "error",
        "result_url": None,
        "progress": 12.0,
        **failure(job, plan, call.chance),
        "failed_at": datetime.fromtimestamp(int(job.done_at), UTC).isoformat(),
    }
    return body | ({"price": {"amount": 0, "is_estimated": False}} if job.order.is_late else {})


def failure(job: Job, plan: FaultPlan, chance: Chance) -> dict[str, Any]:
    """Return why a job failed and what became of the money, as reads and webhooks tell it."""
    told: dict[str, Any] = {"error_code": "PROCESSING_ERROR", "error_message": _SENTENCE}
    reason = _reason(job, plan, chance)
    if reason != "none":
        told |= {"error_code": _CODES.get(reason, "PROCESSING_ERROR"), "error_reason": reason}

    told["retryable"] = job.course.retryable
    if job.course.refund != "none":
        # What was never charged is not refunded, and is told so.
        told["refunded"] = job.course.refund in ("done", "already") and not job.order.is_late

    return told


_SENTENCE: Final = "Worker failed to respond within the allowed time"


def _reason(job: Job, plan: FaultPlan, chance: Chance) -> str:
    """Return the reason by the plan, or drawn for the job: every read tells the same story."""
    if plan.error_reason != "any":
        return plan.error_reason

    return REASONS[int(chance.draw("reason", job.id) * len(REASONS))]
