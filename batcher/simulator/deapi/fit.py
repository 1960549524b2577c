"""Whether a submit to deAPI fits its model: size, steps, images, and what the model can do.

Rule: only what the catalogue says of a model is held against a field, and only if the field itself
is in order. Whether an image must fit its model's sizes is a knob, because only others say so.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Final

from batcher.simulator.deapi.catalogue import Model, Task, is_in_plan, model_named
from batcher.simulator.deapi.fields import is_true
from batcher.simulator.faults import FaultPlan
from batcher.simulator.wire import Upload

Errors = dict[str, list[str]]
ModelCheck = Callable[[Model, object], str]  # what a value must be, or nothing


def model_problems(
    task: Task, form: Mapping[str, object], errors: Errors, plan: FaultPlan
) -> Errors:
    """Return what is wrong with the fields of a submit for the model that they name."""
    model = model_named(str(form["model"]), plan)
    if model is None:
        return {"model": ["The selected model does not exist."]}

    if task.slug not in model.tasks:
        return {"model": [f"The selected model does not support {task.title}."]}

    if not is_in_plan(model, plan):
        text = "This model is not available on your plan. Please upgrade to access it."
        return {"model": [text]}

    found: Errors = {}
    for name, check in _model_checks(plan):
        value = form.get(name)
        if value is not None and name not in errors:
            problem = check(model, value)
            if problem:
                found[name] = [f"The {name} field {problem}"]

    return found


def _model_checks(plan: FaultPlan) -> Iterable[tuple[str, ModelCheck]]:
    yield from _MODEL_CHECKS.items()
    if plan.image_limits == "model":
        yield "image", _fits_image


def _fits_size(model: Model, value: object) -> str:
    least, most, step = model.size
    pixels = int(str(value))
    if not most:
        return ""

    if pixels < least:
        return f"must be at least {least}."

    if pixels > most:
        return f"must not be greater than {most}."

    return f"must be a multiple of {step}." if pixels % step else ""


def _fits_steps(model: Model, value: object) -> str:
    least, most = model.steps
    steps = int(str(value))
    if steps < least:
        return f"must be at least {least}."

    return f"must not be greater than {most}." if most and steps > most else ""


def _fits_guidance(model: Model, value: object) -> str:
    return "" if model.guided or float(str(value)) == 0 else "is not supported by this model."


def _fits_inputs(model: Model, value: object) -> str:
    count = len(value) if isinstance(value, list) else 1
    return f"must not have more than {model.inputs_max} items." if count > model.inputs_max else ""


def _fits_image(model: Model, value: object) -> str:
    least, most, _ = model.size
    size = value.pixels if isinstance(value, Upload) else None
    if not size or not most or least <= min(size) <= max(size) <= most:
        return ""

    return f"must have between {least} and {most} pixels on each side."


def _has_guide(model: Model, value: object) -> str:
    return "is not supported by this model." if is_true(value) and not model.boosts else ""


_MODEL_CHECKS: Final[Mapping[str, ModelCheck]] = {
    "enhance_prompt": _has_guide,
    "width": _fits_size,
    "height": _fits_size,
    "steps": _fits_steps,
    "guidance": _fits_guidance,
    "images[]": _fits_inputs,
}
