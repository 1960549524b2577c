"""Removit as its documentation describes it: https://removit.eu/en/docs.

Rule: the order of checks is 401, 400, 422, 402, 503. What the pages leave open (the body of 400, of
405 and of a status answer with 202, limits) is chosen so that a client must not rely on it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from batcher.simulator import removit_form
from batcher.simulator.api import BODY_BYTES_MAX, Lane
from batcher.simulator.call import Call
from batcher.simulator.files import Files
from batcher.simulator.form import reference_of_body, reference_of_upload
from batcher.simulator.jobs import Phase, look_at, percent_done
from batcher.simulator.ledger import Job, Order
from batcher.simulator.quota import Limit
from batcher.simulator.wire import Answer, Received, Upload, html_answer, json_answer

UPLOAD_PATH: Final = "/api/v1/upload"
STATUS_PATH: Final = "/api/v1/status"

# https://removit.eu/it/docs/endpoints/status prints these four for a saved parameter set.
_VARIANTS: Final[Mapping[str, tuple[str, ...]]] = {
    "background": ("background",),
    "clipping": ("clipping",),
    "params": ("background", "compose", "shadowTop", "clipping"),
}
_UNKNOWN_WORDS: Final = ("archiving", "pending", "hold_for_review", "QUEUED_REMOTE")


class Removit:
    """The API of Removit. Both paths take the key as `X-API-Key` or as a bearer token."""

    def __init__(self, files: Files) -> None:
        self._files = files

    def lane(self, received: Received) -> Lane:
        """Return the lane of the two known routes."""
        match received.method, received.path:
            case "POST", "/api/v1/upload":
                return Lane.SUBMIT
            case "GET", "/api/v1/status":
                return Lane.STATUS
            case _:
                return Lane.OTHER

    def reference(self, form: Mapping[str, object] | None, received: Received) -> str:
        """Return the URL of the image, or the name and content of the file."""
        match form:
            case {"file_url": str(url), **rest} if "file" not in rest:
                return url
            case {"file": Upload() as upload, **rest} if "file_url" not in rest:
                return reference_of_upload(upload)
            case _:
                return reference_of_body(form, received)

    # --- Upload -------------------------------------------------------------------------------

    def admit(self, call: Call) -> Order | Answer:
        """Return what an upload orders, or its 401, 403, 429, 413, 400, 422 or 402."""
        refusal = self._refuse_key(call) or self._refuse_pace(call, "submit")
        if refusal is not None:
            return refusal

        if call.received.size_bytes > BODY_BYTES_MAX:
            return _error(413, "payload_too_large")

        if call.form is None:
            return _error(400, "bad_request", "The request body could not be read")

        details = removit_form.problems(call.form)
        if details:
            return _validation(details)

        if call.account.credits_left() == 0:
            return _error(402, "insufficient_credits")

        return removit_form.order_of(call.form)

    def accepted(self, call: Call, job: Job) -> Answer:
        """Return 202 with the id."""
        return json_answer(202, {"job_id": job.id, "status": "queued", "mode": job.order.task})

    def _refuse_key(self, call: Call) -> Answer | None:
        headers = call.received.headers
        key = headers.get("x-api-key")
        if key is None:
            scheme, _, token = headers.get("authorization", "").partition(" ")
            key = token if scheme.lower() == "bearer" else ""

        if not key:
            return _error(401, "unauthorized", "API key missing")

        submits = call.received.path == UPLOAD_PATH
        if not call.account.knows_key(key) or (submits and call.account.is_unauthorized()):
            return _error(401, "unauthorized", "API key invalid")

        if submits and call.account.is_forbidden():
            return _error(403, "forbidden")

        return None

    def _refuse_pace(self, call: Call, lane: str) -> Answer | None:
        """Return 429 if the plan has a limit: Removit documents none."""
        plan = call.account.plan
        if lane == "submit":
            limit, knob = Limit(plan.submits_per_minute, plan.submits_per_day), "throttle"
        else:
            limit, knob = Limit(plan.status_per_minute, plan.status_per_day), "status_throttle"

        if not call.is_throttled(lane, limit, knob):
            return None

        return json_answer(429, {"error": "too_many_requests"}, call.retry_after())

    # --- Status -------------------------------------------------------------------------------

    def job_id(self, received: Received) -> str:
        """Return the query's `job_id`."""
        return received.query.get("job_id", "")

    def refuse_read(self, call: Call) -> Answer | None:
        """Return 401, 429 or 422."""
        refusal = self._refuse_key(call) or self._refuse_pace(call, "status")
        if refusal is None and not self.job_id(call.received):
            return _validation({"job_id": ["This value should not be blank."]})

        return refusal

    def progress(self, call: Call, job: Job | None) -> Answer:
        """Return the state of a job in the words of the status page."""
        phase = look_at(job, call)
        if job is None or phase is Phase.UNKNOWN:
            return _error(404, "not_found")

        if phase is Phase.LAGGING:
            return json_answer(202, {})

        if phase is Phase.REJECTED:
            return _rejected(job)

        if phase is Phase.PENDING:
            return json_answer(200, _pending(call, job))

        return json_answer(200, self._done(call, job, hollow=phase is Phase.HOLLOW))

    def _done(self, call: Call, job: Job, *, hollow: bool) -> dict[str, Any]:
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

        urls = {
            name: self._files.url(job, f"{name}.{job.order.format}", call.now_s) for name in names
        }
        if job.order.single:
            return body | {"final_url": urls[names[-1]]}

        return body | {"final_urls": urls}

    # --- Everything else ----------------------------------------------------------------------

    def other(self, call: Call) -> Answer:
        """Return 405 for a known path, 404 for any other."""
        if call.received.path in (UPLOAD_PATH, STATUS_PATH):
            return _error(405, "method_not_allowed")

        return _error(404, "not_found")

    def unavailable(self, call: Call) -> Answer:
        """Return the documented 503, which reads as: no job was made."""
        return _error(503, "credits_service_unavailable")

    def server_error(self, call: Call) -> Answer:
        """Return 500, 502 or 503 to a read, 500 to an upload, or a gateway's page."""
        if call.strikes("html"):
            return html_answer(502, "502 Bad Gateway")

        if call.received.path == UPLOAD_PATH:
            return _error(500, "internal_error")

        word = call.pick("status_error", ("internal_error", "external_api_error", "credits"))
        match word:
            case "credits":
                return self.unavailable(call)
            case "external_api_error":
                return _error(502, word)
            case _:
                return _error(500, word)


def _pending(call: Call, job: Job) -> dict[str, Any]:
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


_REFUND_WORDS: Final = {
    "done": "done",  # the only one that the pages print
    "already": "already_done",
    "unconfirmed": "not_confirmed",
}


def _rejected(job: Job) -> Answer:
    body: dict[str, Any] = {"error": "Service unavailable", "code": 503, "status": "rejected"}
    if job.course.refund in _REFUND_WORDS:
        body["refund"] = _REFUND_WORDS[job.course.refund]

    return json_answer(503 if job.course.under_503 else 200, body)


def _validation(details: removit_form.Details) -> Answer:
    return json_answer(422, {"error": "validation", "details": details})


def _error(status: int, error: str, message: str | None = None) -> Answer:
    body = {"error": error} if message is None else {"error": error, "message": message}
    return json_answer(status, body)
