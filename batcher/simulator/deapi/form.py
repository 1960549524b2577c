"""What deAPI's image tasks accept: one table of fields for each task.

Rule: everything that https://docs.deapi.ai/api/v2 does not allow is an error under the name of its
field, in the words of the frame behind it where the pages print them. Fields that a task does not
name are refused too, which the pages say of `scale` only: a client that sends them has a defect.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from batcher.simulator.call import Call
from batcher.simulator.deapi.catalogue import Task
from batcher.simulator.deapi.fields import (
    Check,
    boolean,
    choice,
    image,
    integer,
    number,
    text,
)
from batcher.simulator.deapi.fit import Errors, model_problems
from batcher.simulator.faults import FaultPlan


def _loras(value: object) -> str:
    good = isinstance(value, list) and all(
        isinstance(lora, dict)
        and isinstance(lora.get("name"), str)
        and isinstance(lora.get("weight"), (int, float))
        and lora["weight"] >= 0
        for lora in value
    )
    return "" if good else "must be an array of names and weights."


_LORA: Final = re.compile(r"loras\[([0-9]{1,3})\]\[(name|weight)\]")


def _lora_fields(form: Mapping[str, object]) -> Errors:
    """Check LoRAs as forms spell them, `loras[0][name]` and `loras[0][weight]`."""
    found: dict[str, dict[str, object]] = {}
    errors: Errors = {}
    for name, value in form.items():
        spelled = _LORA.fullmatch(name)
        if spelled is not None:
            found.setdefault(spelled[1], {})[spelled[2]] = value
        elif name.startswith("loras["):
            errors[name] = [f"The {name} field is prohibited."]

    for n, lora in found.items():
        if lora.keys() != {"name", "weight"}:
            errors[f"loras.{n}"] = [f"The loras.{n} field must have a name and a weight."]
        elif number(lora["weight"]) or float(str(lora["weight"])) < 0:
            errors[f"loras.{n}.weight"] = [f"The loras.{n}.weight field must be at least 0."]

    return errors


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


_SECOND_ONLY: Final = ("webhook_secret", "quality", "enhance_prompt")  # not in version 1


def fitting_form(call: Call, *, multipart: bool) -> Mapping[str, object]:
    """Return the fields of a body that came in the encoding that is due; else none."""
    kind = call.received.headers.get("content-type", "")
    fits = kind.startswith("multipart/form-data" if multipart else "application/json")
    return (call.form or {}) if fits else {}


def known_to_first(task: Task, form: Mapping[str, object]) -> dict[str, object]:
    """Return the fields that version 1 knows; what it does with others is not documented."""
    checks = _CHECKS[task.word]
    return {
        name: value
        for name, value in form.items()
        if name not in _SECOND_ONLY and (name in checks or _LORA.fullmatch(name))
    }


def problems(task: Task, form: Mapping[str, object], plan: FaultPlan) -> Errors:
    """Return what is wrong with the fields of a submit, by field."""
    checks = _CHECKS[task.word]
    errors: Errors = {
        name: [f"The {name} field is required."]
        for name in _REQUIRED[task.word]
        if form.get(name) in (None, "")
    }
    is_edit = task.word == "edits"
    for name, value in form.items():
        if name not in checks and not (is_edit and name.startswith("loras[")):
            errors[name] = [f"The {name} field is prohibited."]
        elif name in checks and value is not None and name not in errors:
            problem = checks[name](value)
            if problem:
                errors[name] = [f"The {name} field {problem}"]

    return errors | (_lora_fields(form) if is_edit else {}) | _together(task, form, errors, plan)


def _together(task: Task, form: Mapping[str, object], errors: Errors, plan: FaultPlan) -> Errors:
    """Return what only shows between fields, or with the model."""
    found: Errors = {}
    if form.get("webhook_secret") is not None and form.get("webhook_url") is None:
        found["webhook_url"] = ["The webhook url field is required when webhook secret is present."]

    if task.word == "edits" and ("image" in form) == ("images[]" in form):
        found["image"] = ["The image field is required, or images, but not both."]

    if "model" not in errors:
        mine = {name: form[name] for name in form if name in _CHECKS[task.word]}
        found |= model_problems(task, mine, errors, plan)

    return found
