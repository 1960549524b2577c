"""What deAPI's image tasks accept: one table of fields for each task, and the models' own limits.

Rule: everything that https://docs.deapi.ai/api/v2 does not allow is an error under the name of its
field, in the words of the frame behind it where the pages print them. Fields that a task does not
name are refused too, which the pages say of `scale` only: a client that sends them has a defect.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from batcher.simulator.deapi_catalogue import MODELS, Model, Task
from batcher.simulator.deapi_fields import Check, boolean, choice, image, integer, number, text

Errors = dict[str, list[str]]


def _loras(value: object) -> str:
    good = isinstance(value, list) and all(
        isinstance(lora, dict)
        and isinstance(lora.get("name"), str)
        and isinstance(lora.get("weight"), (int, float))
        and lora["weight"] >= 0
        for lora in value
    )
    return "" if good else "must be an array of names and weights."


def _webhook_url(value: object) -> str:
    good = isinstance(value, str) and value.startswith("https://") and len(value) <= 2048
    return "" if good else "must be a valid URL with https of at most 2048 characters."


def _webhook_secret(value: object) -> str:
    good = isinstance(value, str) and 32 <= len(value) <= 255
    return "" if good else "must be between 32 and 255 characters."


def _images(value: object) -> str:
    listed = value if isinstance(value, list) else [value]
    return next((problem for one in listed if (problem := image(one))), "")


_REQUIRED: Final[Mapping[str, tuple[str, ...]]] = {
    "generations": ("prompt", "model", "width", "height", "steps", "seed"),
    "edits": ("prompt", "model", "steps", "seed"),
    "background-removals": ("image", "model"),
    "upscales": ("image", "model"),
    "ocr": ("image", "model"),
}
_WEBHOOK: Final[Mapping[str, Check]] = {
    "webhook_url": _webhook_url,
    "webhook_secret": _webhook_secret,
}
_GENERATIVE: Final[Mapping[str, Check]] = {
    "prompt": text,
    "model": text,
    "width": integer,
    "height": integer,
    "steps": integer,
    "guidance": number,
    "seed": integer,
    "negative_prompt": text,
    "loras": _loras,
    "quality": text,
    "enhance_prompt": boolean,
    **_WEBHOOK,
}
_ONE_IMAGE: Final[Mapping[str, Check]] = {"image": image, "model": text, **_WEBHOOK}
_CHECKS: Final[Mapping[str, Mapping[str, Check]]] = {
    "generations": _GENERATIVE,
    "edits": {**_GENERATIVE, "image": image, "images[]": _images},
    "background-removals": _ONE_IMAGE,
    "upscales": _ONE_IMAGE,
    "ocr": {
        **_ONE_IMAGE,
        "language": text,
        "format": choice("text", "json"),
        "return_result_in_response": boolean,
    },
}


def problems(task: Task, form: Mapping[str, object]) -> Errors:
    """Return what is wrong with the fields of a submit, by field."""
    checks = _CHECKS[task.word]
    errors: Errors = {
        name: [f"The {name} field is required."]
        for name in _REQUIRED[task.word]
        if form.get(name) in (None, "")
    }
    for name, value in form.items():
        if name not in checks and not (task.word == "edits" and name.startswith("loras[")):
            errors[name] = [f"The {name} field is prohibited."]
        elif name in checks and value is not None and name not in errors:
            problem = checks[name](value)
            if problem:
                errors[name] = [f"The {name} field {problem}"]

    return errors | _together(task, form, errors)


def _together(task: Task, form: Mapping[str, object], errors: Errors) -> Errors:
    """Return what only shows between fields, or with the model."""
    found: Errors = {}
    if form.get("webhook_secret") is not None and form.get("webhook_url") is None:
        found["webhook_url"] = ["The webhook url field is required when webhook secret is present."]

    if task.word == "edits" and ("image" in form) == ("images[]" in form):
        found["image"] = ["The image field is required, or images, but not both."]

    if "model" not in errors:
        found |= _model_problems(task, form, errors)

    return found


def _model_problems(task: Task, form: Mapping[str, object], errors: Errors) -> Errors:
    model = MODELS.get(str(form["model"]))
    if model is None:
        return {"model": ["The selected model does not exist."]}

    if task.slug not in model.tasks:
        return {"model": [f"The selected model does not support {task.title}."]}

    found: Errors = {}
    for name, check in _MODEL_CHECKS.items():
        value = form.get(name)
        if value is not None and name in _CHECKS[task.word] and name not in errors:
            problem = check(model, value)
            if problem:
                found[name] = [f"The {name} field {problem}"]

    return found


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


_MODEL_CHECKS: Final[Mapping[str, Callable[[Model, object], str]]] = {
    "width": _fits_size,
    "height": _fits_size,
    "steps": _fits_steps,
    "guidance": _fits_guidance,
    "images[]": _fits_inputs,
}
