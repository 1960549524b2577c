"""deAPI's image tasks and models, and what each of them allows.

Rule: data, from https://docs.deapi.ai/models and the endpoints' own pages. The real catalogue
changes and depends on the account: a client has to ask for it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final


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

    def as_json(self) -> dict[str, Any]:
        """Return the model as the catalogue prints it; some have an empty list for `info`."""
        return {
            "name": self.slug.replace("_", " "),
            "slug": self.slug,
            "inference_types": list(self.tasks),
            "tags": [],
            "status": "standard_model",
            "info": self._info() if self.size[1] else [],
        }

    def _info(self) -> dict[str, Any]:
        least, most, step = self.size
        limits: dict[str, int] = {
            "min_width": least,
            "max_width": most,
            "min_height": least,
            "max_height": most,
            "resolution_step": step,
            "min_steps": self.steps[0],
            "max_steps": self.steps[1],
            "max_input_images": self.inputs_max,
        }
        features = {"supports_guidance": self.guided}
        return {"limits": limits, "features": features, "defaults": {"steps": self.steps[0]}}


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
        Model("gpt-image-1.5", ("txt2img", "img2img"), partner=True),
        Model("gpt-image-2", ("txt2img", "img2img"), partner=True),
        Model("nano-banana-2", ("txt2img",), partner=True),
    )
}

_LIMIT_MAX: Final = 50
_LIMIT_DEFAULT: Final = 25


def page_of_models(query: Mapping[str, str], route: str) -> dict[str, Any]:
    """Return one page of the catalogue. `per_page` is ignored; an unknown filter finds nothing."""
    wanted = query.get("filter[inference_types]")
    listed = [m for m in MODELS.values() if wanted is None or set(wanted.split(",")) & set(m.tasks)]
    limit = min(_LIMIT_MAX, _number(query.get("limit"), _LIMIT_DEFAULT))
    page = _number(query.get("page"), 1)
    last = max(1, -(-len(listed) // limit))
    return {
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


def _links(route: str, page: int, last: int) -> dict[str, str | None]:
    def link(number: int) -> str | None:
        return f"{route}?page={number}" if 1 <= number <= last else None

    return {"first": link(1), "last": link(last), "prev": link(page - 1), "next": link(page + 1)}


def _number(text: str | None, default: int) -> int:
    return max(1, int(text)) if text and text.isdecimal() else default
