"""deAPI's image tasks, version 2, as its documentation describes them: https://docs.deapi.ai/api/v2.

Rule: the order of checks is the edge (user agent), 401 and 403, 429, 413, 422 for fields, then
money (422 for the balance, 402 for a key's limit): limits count before validation. A job that fails
after it was accepted is never an HTTP error. Version 1 and the price routes are not simulated.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from batcher.simulator.api import Lane
from batcher.simulator.call import Call
from batcher.simulator.deapi_catalogue import TASKS, Task, page_of_models
from batcher.simulator.deapi_errors import error
from batcher.simulator.deapi_fields import is_true
from batcher.simulator.deapi_jobs import job_body
from batcher.simulator.deapi_limits import account_limit, limit_headers, status_limit, submit_limit
from batcher.simulator.deapi_refusals import (
    balance_usd,
    edge,
    refuse_form,
    refuse_key,
    refuse_money,
    refuse_pace,
)
from batcher.simulator.files import Files
from batcher.simulator.form import reference_of_body, reference_of_upload
from batcher.simulator.jobs import Phase, look_at
from batcher.simulator.ledger import Job, Order
from batcher.simulator.wire import Answer, Received, Upload, html_answer, json_answer

_IMAGES: Final = "/api/v2/images/"
_JOBS: Final = "/api/v2/jobs/"


class DeApi:
    """The native API of deAPI; keys are bearer tokens."""

    def __init__(self, files: Files) -> None:
        self._files = files

    def lane(self, received: Received) -> Lane:
        """Return the lane of the task routes and of the job route."""
        if received.method == "POST" and _task(received) is not None:
            return Lane.SUBMIT

        if received.method == "GET" and self.job_id(received):
            return Lane.STATUS

        return Lane.OTHER

    def reference(self, form: Mapping[str, object] | None, received: Received) -> str:
        """Return the name and content of the image; with a prompt, that too; else everything."""
        match form:
            case {"image": Upload() as upload, "prompt": str(prompt)}:
                return f"{reference_of_upload(upload)} {prompt}"
            case {"image": Upload() as upload}:
                return reference_of_upload(upload)
            case _:
                return reference_of_body(form, received)

    # --- Submit -------------------------------------------------------------------------------

    def admit(self, call: Call) -> Order | Answer:
        """Return what a submit orders, or the answer that refuses it."""
        task = _task(call.received)
        assert task is not None  # noqa: S101  # `lane` has said so
        refusal = (
            refuse_key(call)
            or refuse_pace(call, *submit_limit(call.account.plan, task.word, _model(call)))
            or refuse_form(call, task)
            or refuse_money(call)
        )
        if refusal is not None:
            return _with_limits(call, refusal)

        form = call.form or {}
        model = str(form["model"])
        inline = is_true(form.get("return_result_in_response", False))
        kind = "png" if task.word != "ocr" else _TEXT_FORMATS[str(form.get("format") or "text")]
        return Order(task.word, kind, model=model, inline=inline)

    def accepted(self, call: Call, job: Job) -> Answer:
        """Return 200 with the id."""
        return _with_limits(call, json_answer(200, {"data": {"request_id": job.id}}))

    # --- Job ----------------------------------------------------------------------------------

    def job_id(self, received: Received) -> str:
        """Return the last part of the job route."""
        head, slash, job_id = received.path.partition(_JOBS)
        return job_id if slash and not head and "/" not in job_id else ""

    def refuse_read(self, call: Call) -> Answer | None:
        """Return 403 of the edge, 401 or 429."""
        limit = status_limit(call.account.plan)
        refusal = refuse_key(call) or refuse_pace(call, *limit, knob="status_throttle")
        return None if refusal is None else _with_limits(call, refusal)

    def progress(self, call: Call, job: Job | None) -> Answer:
        """Return 200 with the job whatever became of it, or 404."""
        phase = look_at(job, call)
        if job is None or phase in (Phase.UNKNOWN, Phase.LAGGING):
            answer = error(call, 404, "No query results for the requested resource.")
        else:
            answer = json_answer(200, {"data": job_body(call, job, phase, self._files)})

        return _with_limits(call, answer)

    # --- Everything else ----------------------------------------------------------------------

    def other(self, call: Call) -> Answer:
        """Answer the balance, the models, and unknown routes."""
        match call.received.method, call.received.path:
            case "GET", "/api/v2/account/balance":
                return self._account_route(call, "balance")
            case "GET", "/api/v2/models":
                return self._account_route(call, "models")
            case _:
                return edge(call) or _unknown_route(call)

    def unavailable(self, call: Call) -> Answer:
        """Return 503 of the frame, or of the gateway before it."""
        if call.strikes("html"):
            return html_answer(503, "503 Service Temporarily Unavailable")

        return _with_limits(call, error(call, 503, "Service Unavailable"))

    def server_error(self, call: Call) -> Answer:
        """Return the documented 500, or a gateway's page."""
        if call.strikes("html"):
            return html_answer(502, "502 Bad Gateway")

        return _with_limits(call, error(call, 500, "Server Error"))

    def _account_route(self, call: Call, what: str) -> Answer:
        plan = call.account.plan
        refusal = refuse_key(call) or refuse_pace(call, *account_limit(plan, what), knob="")
        if refusal is not None:
            answer = refusal
        elif what == "models":
            answer = json_answer(200, page_of_models(call.received.query, call.received.path))
        elif plan.role == "api" and plan.era == "e5":
            text = "This API key does not have the required permissions."
            answer = error(call, 403, text, code="insufficient_permissions")
        else:
            answer = json_answer(200, {"data": {"balance": balance_usd(call)}})

        return _with_limits(call, answer)


_ROUTES: Final = ("/api/v2/account/balance", "/api/v2/models")
_TEXT_FORMATS: Final = {"text": "txt", "json": "json"}


def _task(received: Received) -> Task | None:
    return TASKS.get(received.path.removeprefix(_IMAGES)) if _IMAGES in received.path else None


def _unknown_route(call: Call) -> Answer:
    path = call.received.path
    if path in _ROUTES or _task(call.received) or path.startswith(_JOBS):
        return error(call, 405, f"The {call.received.method} method is not supported for {path}.")

    return error(call, 404, f"The route {path} could not be found.")


def _model(call: Call) -> str:
    return str((call.form or {}).get("model", ""))


def _with_limits(call: Call, answer: Answer) -> Answer:
    headers = limit_headers(call)
    return Answer(answer.status, answer.body, {**answer.headers, **headers}) if headers else answer
