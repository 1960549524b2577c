"""deAPI's image tasks and models, and what each of them allows.

Rule: data, from https://docs.deapi.ai/models and the endpoints' own pages. The real catalogue
changes and depends on the account: a client has to ask for it. Its entries differ in form on
purpose, as they do in the specification and its samples.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, Final

from batcher.simulator.faults import FaultPlan


@dataclass(frozen=True, slots=True)
class Task:
    """One endpoint below `/api/v2/images/`."""

    word: str  # in the path
    slug: str  # among a model's inference types
    title: str  # in messages
    multipart: bool = True


TASKS: Final[Mapping[str, Task]] = {
    task.word: task
    for task in (
        Task("generations", "txt2img", "Text To Image", multipart=False),
        Task("edits", "img2img", "Image To Image"),
        Task("background-removals", "img-rmbg", "Image Background Removal"),
        Task("upscales", "img-upscale", "Image Upscale"),
        Task("ocr", "img2txt", "Image To Text"),
    )
}


@dataclass(frozen=True, slots=True)
class Model:
    """One model. Sizes in pixels per side; 0 = no limit of its own."""

    slug: str
    tasks: tuple[str, ...]  # slugs of tasks
    size: tuple[int, int, int] = (0, 0, 1)  # least, most, step
    steps: tuple[int, int] = (1, 0)  # least, most
    inputs_max: int = 1
    guided: bool = True  # takes `guidance`
    partner: bool = False  # settled after the job; status tells its price
    boosts: bool = True  # has a guide by which prompts are made better

    def as_json(self) -> dict[str, Any]:
        """Return the model as the catalogue prints it; PHP prints an empty object as a list."""
        is_real = self.slug in MODELS
        return {
            "name": self.slug.replace("_", " "),
            "slug": self.slug,
            "inference_types": _TYPES.get(self.slug, list)(self.tasks),
            "tags": [] if is_real else ["experimental"],
            "status": "standard_model" if is_real else "test_model",
            "info": self._info() if self.size[1] else [],
        }

    def _info(self) -> dict[str, Any]:
        least, most, step = self.size
        limits = {
            "min_width": least,
            "max_width": most,
            "min_height": least,
            "max_height": most,
            "resolution_step": step,
            "min_steps": self.steps[0],
            "max_steps": self.steps[1],
            "max_input_images": self.inputs_max,
        }
        info: dict[str, dict[str, Any]] = {
            "limits": limits,
            "features": {"supports_guidance": self.guided},
            "defaults": {"steps": self.steps[0]},
        }
        if self.slug in _AS_TEXT:
            info = {part: {n: str(int(v)) for n, v in info[part].items()} for part in info}

        return {part: info[part] for part in _PARTS.get(self.slug, tuple(info))}


# Tasks as an object, as the specification types them: by name, or a list that PHP numbered.
_TYPES: Final[Mapping[str, Callable[[tuple[str, ...]], object]]] = {
    "gpt-image-2": lambda tasks: dict.fromkeys(tasks, True),
    "ZAnimeDistill_8Step_INT8": lambda tasks: {str(n): word for n, word in enumerate(tasks)},
}
_AS_TEXT: Final = ("QwenImageEdit_Plus_NF4",)  # numbers and flags of `info` are text
_PARTS: Final[Mapping[str, tuple[str, ...]]] = {  # of `info`, where not all are there
    "ZAnimeDistill_8Step_INT8": ("limits",),
    "Ben2": ("limits", "defaults"),
}
MODELS: Final[Mapping[str, Model]] = {
    model.slug: model
    for model in (
        Model("Ben2", ("img-rmbg",), (128, 2048, 1)),
        Model("RealESRGAN_x4", ("img-upscale",)),
        Model("Nanonets_Ocr_S_F16", ("img2txt",)),
        Model("Flux1schnell", ("txt2img",), (256, 2048, 128), (1, 10), guided=False),
        Model("Flux_2_Klein_4B_BF16", ("txt2img", "img2img"), (256, 1536, 16), (4, 4), 3, False),
        Model("ZImageTurbo_INT8", ("txt2img",), (256, 2048, 16), (1, 50), guided=False),
        Model("ZAnimeDistill_8Step_INT8", ("txt2img",), (256, 2048, 16), (1, 50), guided=False),
        Model("QwenImageEdit_Plus_NF4", ("img2img",), (256, 2048, 8), (1, 50)),
        Model("gpt-image-1.5", ("txt2img", "img2img"), partner=True, boosts=False),
        Model("gpt-image-2", ("txt2img", "img2img"), partner=True, boosts=False),
        Model("nano-banana-2", ("txt2img",), partner=True, boosts=False),
    )
}

_LIMIT_MAX: Final = 50
_LIMIT_DEFAULT: Final = 25
_LIMIT_BEFORE: Final = 15  # default in the era of the old overview


def model_named(slug: str, plan: FaultPlan) -> Model | None:
    """Return a model of the catalogue, also one that the account's plan leaves out."""
    return MODELS.get(slug) or _more(plan.models_more).get(slug)


def is_in_plan(model: Model, plan: FaultPlan) -> bool:
    """Whether the account may use a model."""
    return plan.plan_models == "all" or not model.partner


def page_of_models(plan: FaultPlan, query: Mapping[str, str], route: str) -> dict[str, Any]:
    """Return one page of the catalogue. `per_page` is ignored; an unknown filter finds nothing.

    The oldest era wraps it all into one more `data`.
    """
    wanted = query.get("filter[inference_types]")
    known = [*MODELS.values(), *_more(plan.models_more).values()]
    listed = [
        model
        for model in known
        if is_in_plan(model, plan) and (wanted is None or set(wanted.split(",")) & set(model.tasks))
    ]
    default = _LIMIT_BEFORE if plan.era == "e2" else _LIMIT_DEFAULT
    limit = min(_LIMIT_MAX, _number(query.get("limit"), default))
    page = _number(query.get("page"), 1)
    last = max(1, -(-len(listed) // limit))
    body = {
        "data": [model.as_json() for model in listed[(page - 1) * limit : page * limit]],
        "links": _links(route, page, last),
        "meta": {
            "current_page": page,
            "last_page": last,
            "per_page": limit,
            "total": len(listed),
            "path": route,
        },
    }
    return {"data": body} if plan.era == "e2" else body


@cache
def _more(count: int) -> Mapping[str, Model]:
    """Return models that nobody has heard of."""
    tasks = ("img-rmbg",)
    models = (Model(f"Community_{n}", tasks, (64, 4096, 1)) for n in range(1, count + 1))
    return {model.slug: model for model in models}


def _links(route: str, page: int, last: int) -> dict[str, str | None]:
    def link(number: int) -> str | None:
        return f"{route}?page={number}" if 1 <= number <= last else None

    return {"first": link(1), "last": link(last), "prev": link(page - 1), "next": link(page + 1)}


def _number(text: str | None, default: int) -> int:
    return max(1, int(text)) if text and text.isdecimal() else default
