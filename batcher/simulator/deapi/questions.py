"""deAPI's answers to what costs nothing: balance, price, models.

Rule: a price is asked for with less than a submit and checked less: what it passes may still be
refused. Every question has its own limit. Sources: https://docs.deapi.ai/api/v2/utilities/balance,
/models and /pricing.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from batcher.core.money import amount, nanos
from batcher.simulator.call import Call
from batcher.simulator.deapi.catalogue import Task, model_named, page_of_models
from batcher.simulator.deapi.errors import error, server_error, validation
from batcher.simulator.deapi.fields import integer
from batcher.simulator.deapi.fit import Errors
from batcher.simulator.deapi.form import fitting_form
from batcher.simulator.deapi.limits import question_limit
from batcher.simulator.deapi.prices import price_of
from batcher.simulator.deapi.refusals import refuse_key, refuse_pace
from batcher.simulator.deapi.routes import Kind, Route
from batcher.simulator.form import read_form, reference_of_body
from batcher.simulator.wire import Answer, json_answer

_CENT: Final = 10_000_000  # nanos: what a job lowers the balance by where `credits` counts jobs
_NEEDS: Final[Mapping[str, tuple[str, ...]]] = {  # asked as JSON, an edit too; others as a form
    "generations": ("model", "width", "height", "steps"),
    "edits": ("prompt", "model", "steps", "seed"),
}
_NUMBERS: Final = ("width", "height", "steps")


def answer_question(call: Call, route: Route) -> Answer:
    """Answer one of the question routes."""
    plan = call.account.plan
    if route.kind is Kind.PRICE:
        call.form = read_form(call.received)
        call.key += reference_of_body(call.form, call.received)

    call.ordinal = call.account.ledger.question_arrived(call.key)
    bucket, limit = question_limit(plan, route.kind.value)
    refusal = refuse_key(call) or refuse_pace(call, bucket, limit, knob="question_throttle")
    if refusal is not None:
        return refusal

    if call.strikes("question_error"):
        return server_error(call)

    match route.kind:
        case Kind.BALANCE:
            return _balance(call)
        case Kind.MODELS:
            return json_answer(200, page_of_models(plan, call.received.query, call.received.path))
        case _:
            assert route.task is not None  # noqa: S101  # a price is one of a task
            return _price(call, route.task)


def _balance(call: Call) -> Answer:
    plan = call.account.plan
    if plan.role == "api" and plan.era == "e5":
        text = "This API key does not have the required permissions."
        return error(call, 403, text, code="insufficient_permissions")

    body: dict[str, Any] = {"balance": amount(_told_balance(call))}
    return json_answer(200, body if plan.balance_at == "top" else {"data": body})


def _told_balance(call: Call) -> int:
    """Return the balance; where jobs are counted, a cent above the minimum for each further one."""
    held, left = call.account.held(), call.account.credits_left()
    if left is None:
        return held

    return min(held, nanos(call.account.plan.balance_min) + (left - 1) * _CENT)


def _price(call: Call, task: Task) -> Answer:
    form, plan = fitting_form(call, multipart=task.word not in _NEEDS), call.account.plan
    errors: Errors = {
        name: [f"The {name} field is required."]
        for name in _needs(task, form)
        if form.get(name) in (None, "")
    }
    for name in _NUMBERS:
        problem = integer(form[name]) if form.get(name) not in (None, "") else ""
        if problem:
            errors[name] = [f"The {name} field {problem}"]

    model = model_named(str(form.get("model", "")), plan)
    if model is None and "model" not in errors:
        errors["model"] = ["The selected model does not exist."]
    elif model is not None and task.slug not in model.tasks:
        errors["model"] = [f"The selected model does not support {task.title}."]

    if errors or model is None:
        return validation(call, errors)

    body: dict[str, Any] = {"price": amount(price_of(task, model, form, plan))}
    return json_answer(200, {"data": body | ({"is_estimated": True} if model.partner else {})})


def _needs(task: Task, form: Mapping[str, object]) -> tuple[str, ...]:
    """Return what a price is asked with: of a task on an image, the image or its size."""
    if task.word in _NEEDS:
        return _NEEDS[task.word]

    has_size = {"width", "height"} & form.keys()
    return ("model", "width", "height") if has_size else ("model", "image")
