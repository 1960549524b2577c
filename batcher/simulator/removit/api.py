"""Removit as its documentation describes it: https://removit.eu/en/docs.

Rule: the order of checks is 401, 400, 422, 402, 503. What the pages leave open (the body of 400, of
405 and of a status answer with 202, limits) is chosen so that a client must not rely on it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from batcher.core.money import nanos
from batcher.simulator.api import BODY_BYTES_MAX, Lane
from batcher.simulator.call import Call
from batcher.simulator.chance import Chance
from batcher.simulator.faults import FaultPlan
from batcher.simulator.files import Files
from batcher.simulator.form import reference_of_body, reference_of_upload
from batcher.simulator.hooks import Notice, Target
from batcher.simulator.jobs import Phase, look_at
from batcher.simulator.ledger import Job, Order
from batcher.simulator.quota import Limit
from batcher.simulator.removit import form as removit_form
from batcher.simulator.removit.jobs import done, pending, rejected
from batcher.simulator.wire import Answer, Received, Upload, html_answer, json_answer

UPLOAD_PATH: Final = "/api/v1/upload"
STATUS_PATH: Final = "/api/v1/status"


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

        return _refuse_size(call) or self._refuse_form(call) or self._order(call)

    def _refuse_form(self, call: Call) -> Answer | None:
        if call.form is None:
            return _error(400, "bad_request", "The request body could not be read")

        details = removit_form.problems(call.form)
        if details:
            return _validation(details)

        return _error(402, "insufficient_credits") if call.account.credits_left() == 0 else None

    def _order(self, call: Call) -> Order:
        return removit_form.order_of(call.form or {}, nanos(call.account.plan.price_usd))

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
            return rejected(job)

        if phase is Phase.PENDING:
            return json_answer(200, pending(call, job))

        return json_answer(200, done(call, job, self._files, hollow=phase is Phase.HOLLOW))

    # --- Webhooks: there are none --------------------------------------------------------------

    def target(self, call: Call) -> Target | None:
        """Return None: nobody is called."""
        return None

    def compose(
        self, notice: Notice, plan: FaultPlan, chance: Chance
    ) -> tuple[Mapping[str, str], bytes]:
        """Return nothing; it is never asked for."""
        return {}, b""

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


def _refuse_size(call: Call) -> Answer | None:
    plan = call.account.plan
    if call.received.size_bytes <= (plan.body_bytes_max or BODY_BYTES_MAX):
        return None

    if plan.large_as == "json":
        return _error(413, "payload_too_large")

    return html_answer(413, "413 Request Entity Too Large")


def _validation(details: removit_form.Details) -> Answer:
    return json_answer(422, {"error": "validation", "details": details})


def _error(status: int, error: str, message: str | None = None) -> Answer:
    body = {"error": error} if message is None else {"error": error, "message": message}
    return json_answer(status, body)
