"""deAPI's image tasks, both versions, as its documentation describes them: https://docs.deapi.ai.

Rule: the order of checks is the edge (user agent), 401 and 403, 429, 413, 422 for fields, then
money (422 for the balance, 402 for a key's limit): limits count before validation. A job that fails
after it was accepted is never an HTTP error.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from batcher.simulator.api import Lane
from batcher.simulator.call import Call
from batcher.simulator.chance import Chance
from batcher.simulator.deapi.catalogue import Task, model_named
from batcher.simulator.deapi.errors import error, server_error
from batcher.simulator.deapi.fields import is_true
from batcher.simulator.deapi.form import known_to_first
from batcher.simulator.deapi.hooks import compose, target_of
from batcher.simulator.deapi.jobs import job_body
from batcher.simulator.deapi.limits import limit_headers, status_limit, submit_limit
from batcher.simulator.deapi.prices import price_of
from batcher.simulator.deapi.questions import answer_question
from batcher.simulator.deapi.refusals import (
    edge,
    refuse_form,
    refuse_key,
    refuse_money,
    refuse_pace,
    refuse_size,
)
from batcher.simulator.deapi.routes import Kind, Route, route_of
from batcher.simulator.faults import FaultPlan
from batcher.simulator.files import Files
from batcher.simulator.form import reference_of_body, reference_of_upload
from batcher.simulator.hooks import Notice, Target
from batcher.simulator.jobs import Phase, look_at
from batcher.simulator.ledger import Job, Order
from batcher.simulator.wire import Answer, Received, Upload, html_answer, json_answer

_HOOK_FIELDS: Final = frozenset({"webhook_url", "webhook_secret"})
_TEXT_FORMATS: Final = {"text": "txt", "json": "json"}


class DeApi:
    """The native API of deAPI; keys are bearer tokens."""

    def __init__(self, files: Files) -> None:
        self._files = files

    def lane(self, received: Received) -> Lane:
        """Return the lane of the task routes and of the job routes."""
        route = route_of(received.path)
        if route is None or received.method != route.kind.method:
            return Lane.OTHER

        return _LANES.get(route.kind, Lane.OTHER)

    def reference(self, form: Mapping[str, object] | None, received: Received) -> str:
        """Return name and content of the image of a removal; else everything that is sent.

        Where the API is to call says nothing of the row: a client may name another URL each time.
        """
        mine = None if form is None else {n: v for n, v in form.items() if n not in _HOOK_FIELDS}
        match mine:
            case {"image": Upload() as upload, "model": _, **rest} if not rest:
                task = _task(received)
                word = "" if task.word == "background-removals" else f" {task.word}"
                return reference_of_upload(upload) + word
            case _:
                return reference_of_body(mine, received)

    # --- Submit -------------------------------------------------------------------------------

    def admit(self, call: Call) -> Order | Answer:
        """Return what a submit orders, or the answer that refuses it."""
        task, plan = _task(call.received), call.account.plan
        _forget_unknown(call)
        model_word = str((call.form or {}).get("model", ""))
        refusal = (
            refuse_key(call, submits=True)
            or refuse_pace(call, *submit_limit(plan, task.word, model_word))
            or refuse_size(call)
            or refuse_form(call, task)
        )
        if refusal is not None:
            return _with_limits(call, refusal)

        order = _order(task, call.form or {}, plan)
        refusal = refuse_money(call, 0 if order.is_late else order.price)
        return order if refusal is None else _with_limits(call, refusal)

    def accepted(self, call: Call, job: Job) -> Answer:
        """Return 200 with the id."""
        return _with_limits(call, json_answer(200, {"data": {"request_id": job.id}}))

    # --- Job ----------------------------------------------------------------------------------

    def job_id(self, received: Received) -> str:
        """Return the last part of a job route."""
        route = route_of(received.path)
        return "" if route is None else route.job_id

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

    # --- Webhooks -----------------------------------------------------------------------------

    def target(self, call: Call) -> Target | None:
        """Return who is to be called about the job of a submit."""
        return target_of(call)

    def compose(
        self, notice: Notice, plan: FaultPlan, chance: Chance
    ) -> tuple[Mapping[str, str], bytes]:
        """Return headers and body of a call."""
        return compose(notice, plan, chance, self._files)

    # --- Everything else ----------------------------------------------------------------------

    def other(self, call: Call) -> Answer:
        """Answer the balance, the models, prices, and unknown routes."""
        route = route_of(call.received.path)
        if route is None or call.received.method != route.kind.method:
            return edge(call) or _no_such_route(call, route)

        return _with_limits(call, answer_question(call, route))

    def unavailable(self, call: Call) -> Answer:
        """Return 503 of the frame, or of the gateway before it."""
        if call.strikes("html"):
            return html_answer(503, "503 Service Temporarily Unavailable")

        return _with_limits(call, error(call, 503, "Service Unavailable"))

    def server_error(self, call: Call) -> Answer:
        """Return the documented 500, or a gateway's page."""
        return _with_limits(call, server_error(call))


_LANES: Final[Mapping[Kind, Lane]] = {Kind.SUBMIT: Lane.SUBMIT, Kind.JOB: Lane.STATUS}


def _task(received: Received) -> Task:
    route = route_of(received.path)
    assert route is not None  # noqa: S101  # `lane` has said so
    assert route.task is not None  # noqa: S101  # a submit is one of a task
    return route.task


def _forget_unknown(call: Call) -> None:
    """Leave out what version 1 does not know, and count it."""
    route = route_of(call.received.path)
    if call.form is None or route is None or route.task is None or route.version == 2:
        return

    known = known_to_first(route.task, call.form)
    if len(known) < len(call.form):
        call.account.ledger.tally["unknown fields"] += len(call.form) - len(known)
        call.form = known


def _order(task: Task, form: Mapping[str, object], plan: FaultPlan) -> Order:
    model = model_named(str(form["model"]), plan)
    assert model is not None  # noqa: S101  # its fields were checked
    is_text = task.word == "ocr"
    return Order(
        task.word,
        _TEXT_FORMATS[str(form.get("format") or "text")] if is_text else "png",
        model=model.slug,
        inline=is_true(form.get("return_result_in_response", False)),
        prompt=str(form["prompt"]) if is_true(form.get("enhance_prompt", False)) else "",
        price=price_of(task, model, form, plan),
        is_late=model.partner,
    )


def _no_such_route(call: Call, route: Route | None) -> Answer:
    path = call.received.path
    if route is None:
        return error(call, 404, f"The route {path} could not be found.")

    return error(call, 405, f"The {call.received.method} method is not supported for {path}.")


def _with_limits(call: Call, answer: Answer) -> Answer:
    """Add where the call stands, but to pages: they come from machines before the API."""
    if "json" not in answer.headers["content-type"]:
        return answer

    headers = limit_headers(call)
    return Answer(answer.status, answer.body, {**answer.headers, **headers}) if headers else answer
