"""A job in deAPI's words: https://docs.deapi.ai/api/v2/utilities/jobs.

Rule: HTTP says 200, the body says what became of the job. Nothing in it is promised to be there.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, Final

from batcher.simulator.call import Call
from batcher.simulator.deapi_catalogue import MODELS
from batcher.simulator.files import Files
from batcher.simulator.jobs import Phase, percent_done
from batcher.simulator.ledger import Job
from batcher.simulator.samples import sample

_UNKNOWN_WORDS: Final = ("in_progress", "queued", "warming_up", "MODERATING")
_REASONS: Final = ("TIMEOUT", "CAPACITY_UNAVAILABLE", "PROCESSING_FAILED", "MOON_PHASE")
_CODES: Final = {"TIMEOUT": "WORKER_TIMEOUT", "CAPACITY_UNAVAILABLE": "WORKER_ERROR"}


def job_body(call: Call, job: Job, phase: Phase, files: Files) -> dict[str, Any]:
    """Return the `data` of a job that can be seen."""
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

    if percent < 10:
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

    if MODELS[job.order.model].partner:  # https://docs.deapi.ai/pricing: settled after the job
        body["price"] = {"amount": 0.04, "is_estimated": False}

    return body


def _failed(call: Call, job: Job) -> dict[str, Any]:
    # Drawn for the job, not for the read: every read tells the same story.
    reason = _REASONS[int(call.chance.draw("reason", job.id) * len(_REASONS))]
    body: dict[str, Any] = {
        "status": "failed" if call.account.plan.era == "e2" else "error",
        "result_url": None,
        "progress": 12.0,
        "error_code": _CODES.get(reason, "PROCESSING_ERROR"),
        "error_message": "Worker failed to respond within the allowed time",
        "error_reason": reason,
        "retryable": job.course.retryable,
        "failed_at": datetime.fromtimestamp(int(job.done_at), UTC).isoformat(),
    }
    if job.course.refund != "none":
        body["refunded"] = job.course.refund in ("done", "already")

    return body
