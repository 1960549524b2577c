"""A job in Removit's words: https://removit.eu/en/docs/endpoints/status.

Rule: `state` says whether a job is done, `status` whether it failed; a URL's presence says nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from batcher.simulator.call import Call
from batcher.simulator.files import Files
from batcher.simulator.jobs import percent_done
from batcher.simulator.ledger import Job
from batcher.simulator.wire import Answer, json_answer

# https://removit.eu/it/docs/endpoints/status prints these four for a saved parameter set.
_VARIANTS: Final[Mapping[str, tuple[str, ...]]] = {
    "background": ("background",),
    "clipping": ("clipping",),
    "params": ("background", "compose", "shadowTop", "clipping"),
}
_UNKNOWN_WORDS: Final = ("archiving", "pending_shadow_wall", "hold_for_review", "QUEUED_REMOTE")


def pending(call: Call, job: Job) -> dict[str, Any]:
    """Return a job that is under way."""
    percent = percent_done(job, call)
    status, state = ("queued", "pending") if percent < 10 else ("pending_compose", "pending")
    if call.strikes("unknown_word"):
        status = state = call.pick("word", _UNKNOWN_WORDS)

    return {
        "job_id": job.id,
        "status": status,
        "state": state,
        "mode": job.order.task,
        "progress": int(percent),
        "final_url": None,
    }


def done(call: Call, job: Job, files: Files, *, hollow: bool) -> dict[str, Any]:
    """Return a finished job: one URL, or one for each variation."""
    body: dict[str, Any] = {
        "job_id": job.id,
        "status": "done",
        "state": "done",
        "mode": job.order.task,
        "progress": 100,
    }
    if hollow:
        return body | {"final_url": None}

    names = _VARIANTS[job.order.task]
    if job.course.partial:
        names = tuple(name for name in names if name != "shadowTop")
        body["warnings"] = {"shadow_wall": ["params not provided"]}
        body["ignored_variations"] = ["shadow_wall"]

    urls = {name: files.url(job, f"{name}.{job.order.format}", call.now_s) for name in names}
    if job.order.single:
        return body | {"final_url": urls[names[-1]]}

    return body | {"final_urls": urls}


_REFUND_WORDS: Final = {
    "done": "done",  # the only one that the pages print
    "already": "already_done",
    "unconfirmed": "not_confirmed",
}


def rejected(job: Job) -> Answer:
    """Return a failed job: its body speaks of 503 whatever the HTTP status is."""
    body: dict[str, Any] = {"error": "Service unavailable", "code": 503, "status": "rejected"}
    if job.course.refund in _REFUND_WORDS:
        body["refund"] = _REFUND_WORDS[job.course.refund]

    return json_answer(503 if job.course.under_503 else 200, body)
