"""What deAPI's jobs cost: plausible, and a function of task, model, size and steps alone.

Rule: the points that https://docs.deapi.ai/pricing and its calculators give lie on these lines, but
for rounding; what lies between them, and the prices of background removals and upscales, are ours.
A client has to ask. Amounts are USD; results are nanos.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from batcher.core.money import nanos
from batcher.simulator.deapi.catalogue import Model, Task
from batcher.simulator.faults import FaultPlan
from batcher.simulator.wire import Upload

_SQUARE: Final = 512 * 512
_UNKNOWN_PIXELS: Final = 1024 * 1024  # of an image whose head does not tell its size
_STARS: Final = {"low": 0.5, "medium": 1.0, "high": 2.0}  # quality of partner models
_BOOST: Final = 0.0004  # for a prompt that the API makes better
_PARTNER: Final = 0.04

# One job of a square picture, 512 pixels a side, and the steps that this price holds for.
_GENERATIONS: Final[Mapping[str, tuple[float, int]]] = {
    "Flux1schnell": (0.00136, 4),
    "ZImageTurbo_INT8": (0.0034, 8),
    "Flux_2_Klein_4B_BF16": (0.00186, 4),
    "ZAnimeDistill_8Step_INT8": (0.0030, 8),
}
# The price of an edit is asked without any size, so it has no part in it.
_EDITS: Final[Mapping[str, tuple[float, int]]] = {
    "QwenImageEdit_Plus_NF4": (0.0179, 20),
    "Flux_2_Klein_4B_BF16": (0.0031, 4),
}
# A job, and each pixel of its image.
_IMAGES: Final[Mapping[str, tuple[float, float]]] = {
    "ocr": (0.00045, 8.4e-9),
    "background-removals": (0.0004, 1.5e-9),
    "upscales": (0.0006, 3.2e-9),
}


def price_of(task: Task, model: Model, form: Mapping[str, object], plan: FaultPlan) -> int:
    """Return the price of a job in nanos; of a partner's model it is an estimate."""
    if plan.price_usd:
        return nanos(plan.price_usd)

    boost = _BOOST if str(form.get("enhance_prompt")).lower() in ("true", "1") else 0.0
    if model.partner:
        return nanos(_PARTNER * _STARS.get(str(form.get("quality")), 1.0) + boost)

    return nanos(_of_native(task, model, form) + boost)


def _of_native(task: Task, model: Model, form: Mapping[str, object]) -> float:
    match task.word:
        case "generations":
            usd, steps = _GENERATIONS[model.slug]
            pixels = int(str(form["width"])) * int(str(form["height"]))
            return usd * pixels / _SQUARE * int(str(form["steps"])) / steps
        case "edits":
            usd, steps = _EDITS[model.slug]
            return usd * int(str(form["steps"])) / steps
        case _:
            usd, usd_per_pixel = _IMAGES[task.word]
            return usd + usd_per_pixel * _pixels(form)


def _pixels(form: Mapping[str, object]) -> int:
    image = form.get("image")
    if isinstance(image, Upload):
        size = image.pixels
        return _UNKNOWN_PIXELS if size is None else size[0] * size[1]

    return int(str(form["width"])) * int(str(form["height"]))
