"""What deAPI takes: one row for each image task, with its parameters and its published limits.

Rule: one table. `TASKS` says for each task how it is sent, what it takes and how often; the dialect
reads it and knows no task by name. Sources, as of autumn 2026: the v2 OpenAPI file for fields,
https://docs.deapi.ai/limits-and-quotas for limits and file sizes, https://docs.deapi.ai/models for
model names. Left out on purpose: `webhook_url` and `webhook_secret` (nobody here listens, and a
secret would be stored with the run), `scale` (the page and the specification disagree), several
images in one edit (a row has one file).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from batcher.providers.base import Limits
from batcher.providers.parameters import Kind, Parameter
from batcher.providers.uploads import Upload

UPLOAD = Upload(
    field="image",
    types={
        ".jpg": "image/jpeg",
        ".jpeg": "image/jpeg",
        ".png": "image/png",
        ".gif": "image/gif",
        ".bmp": "image/bmp",
        ".webp": "image/webp",
    },
    bytes_max=10_000_000,  # "10 MB", decimal or binary is not said: the smaller one
)
TIERS = ("basic", "premium")


@dataclass(frozen=True, slots=True)
class Quota:
    """Requests a minute and a day; None = no such limit."""

    minute: int
    day: int | None = None

    def __str__(self) -> str:
        return f"{self.minute}/m" if self.day is None else f"{self.minute}/m,{self.day}/d"


@dataclass(frozen=True, slots=True)
class Task:
    """One kind of job, under the last word of its path."""

    name: str
    about: str
    parameters: tuple[Parameter, ...]
    basic: Quota
    premium: Quota  # of a model that `models` does not list
    models: Mapping[str, Quota] = field(default_factory=dict)  # premium quotas go by model
    upload: Upload | None = UPLOAD  # None: no image goes in, the request is JSON

    @property
    def path(self) -> str:
        """Where it is submitted."""
        return f"/api/v2/images/{self.name}"


STATUS = {"basic": Quota(50, 200), "premium": Quota(300)}


def _lora_fault(value: object) -> str | None:
    """Say what is wrong with `loras`, or return None."""
    if isinstance(value, list) and all(map(_is_lora, value)):
        return None

    return 'must be objects like {"name": "…", "weight": 0.8}, with a weight of at least 0'


def _is_lora(value: object) -> bool:
    """Tell whether a value is one name and its weight, and nothing else."""
    if not isinstance(value, dict) or value.keys() != {"name", "weight"}:
        return False

    name, weight = value["name"], value["weight"]
    is_number = isinstance(weight, int | float) and not isinstance(weight, bool)
    return isinstance(name, str) and name != "" and is_number and weight >= 0


def _model(default: str | None = None) -> Parameter:
    """Return the `model` parameter; a task that has one single model takes it by itself."""
    known = "the model's slug" if default is None else f"the model's slug, {default} unless given"
    return Parameter("model", known, required=default is None, default=default)


_PICTURE = (  # what a prompt-driven task takes, whether or not an image goes in
    Parameter("prompt", "what the picture shall show", required=True),
    _model(),
    Parameter("steps", "steps of inference", (Kind.INTEGER,), minimum=1, required=True),
    Parameter("seed", "-1 for a random one", (Kind.INTEGER,), minimum=-1, required=True),
    Parameter("guidance", "0 or absent if the model has none", (Kind.NUMBER,), minimum=0),
    Parameter("negative_prompt", "what the picture shall not show"),
    Parameter("loras", "list of name and weight", (Kind.ARRAY,), check=_lora_fault),
    Parameter("quality", "a tier, for models that have tiers"),
    Parameter("enhance_prompt", "let the API rewrite the prompt, for a fee", (Kind.BOOLEAN,)),
)


def _side(name: str, *, required: bool) -> Parameter:
    """Return one side of the picture."""
    about = f"{name} in pixels; limits and steps are the model's"
    return Parameter(name, about, (Kind.INTEGER,), minimum=1, required=required)


_PARTNER = Quota(20, 500)
_ALL = (
    Task(
        "background-removals",
        "cut an image out, as a transparent PNG",
        (_model("Ben2"),),
        basic=Quota(5, 100),
        premium=Quota(300, 100_000),
    ),
    Task(
        "upscales",
        "enlarge an image",
        (_model("RealESRGAN_x4"),),
        basic=Quota(5, 100),
        premium=Quota(300, 100_000),
    ),
    Task(
        "ocr",
        "read the text of an image",
        (
            _model("Nanonets_Ocr_S_F16"),
            Parameter("language", "the text's language"),
            Parameter("format", "text or json", choices=("text", "json")),
            Parameter("return_result_in_response", "hand the text out itself", (Kind.BOOLEAN,)),
        ),
        basic=Quota(5, 50),
        premium=Quota(65, 18_000),
    ),
    Task(
        "generations",
        "make an image from a prompt",
        (*_PICTURE, _side("width", required=True), _side("height", required=True)),
        basic=Quota(3, 100),
        premium=Quota(20),
        models={
            "Flux1schnell": Quota(45, 13_000),
            "ZImageTurbo_INT8": Quota(20, 6_100),
            "Flux_2_Klein_4B_BF16": Quota(60, 17_000),
            "ZAnimeDistill_8Step_INT8": Quota(35, 10_000),
            "gpt-image-1.5": _PARTNER,
            "gpt-image-2": _PARTNER,
            "nano-banana-2": _PARTNER,
        },
        upload=None,
    ),
    Task(
        "edits",
        "change an image by a prompt",
        (*_PICTURE, _side("width", required=False), _side("height", required=False)),
        basic=Quota(1, 15),
        premium=Quota(2),
        models={
            "Flux_2_Klein_4B_BF16": Quota(60, 17_000),
            "QwenImageEdit_Plus_NF4": Quota(2, 860),
            "gpt-image-1.5": _PARTNER,
            "gpt-image-2": _PARTNER,
        },
    ),
)
TASKS = {task.name: task for task in _ALL}
PARAMETERS = tuple({p.name: p for task in _ALL for p in task.parameters}.values())


def limits_of(tier: str, task: Task | None, model: object) -> Limits:
    """Return the published limits of a run; without one task for all rows, the lowest minute rate.

    A day's cap is only named where it is certain: a wrong one would end a run for hours, while a
    429 that counts days says so itself.
    """
    if task is None:
        submit = Quota(min(_quota(tier, each, None).minute for each in _ALL))
    else:
        submit = _quota(tier, task, model)

    return Limits(str(submit), str(STATUS[tier]))


def _quota(tier: str, task: Task, model: object) -> Quota:
    """Return the quota of one task, by model where the API counts by model."""
    return task.basic if tier == "basic" else task.models.get(str(model), task.premium)
