"""What deAPI takes: one row for each image task, and the two versions by which it is reached.

Rule: one table. `TASKS` says for each task how it is sent, what it takes and what its price depends
on; the dialect reads it and knows no task by name. Sources, as of autumn 2026: the vendor's OpenAPI
files of both versions, https://docs.deapi.ai/limits-and-quotas for files, and
https://docs.deapi.ai/models for model names. How often it may be asked: `deapi_limits`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from batcher.providers.parameters import Kind, Parameter
from batcher.providers.uploads import Upload

IMAGE: Final = Upload(
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
    side_pixels=(64, 5_000),
)
IMAGES: Final = Upload(
    field=IMAGE.field,
    types=IMAGE.types,
    field_of_several="images[]",
    bytes_max=IMAGE.bytes_max,
    bytes_total_max=75_000_000,  # "75 MB" for a whole request, beyond it is a 413
    side_pixels=IMAGE.side_pixels,
)


@dataclass(frozen=True, slots=True)
class Version:
    """One of the two request surfaces over the same jobs, keys, limits and models."""

    name: str
    submit: str  # path of a task
    price: str  # put after it
    job: str  # path before the job's id
    balance: str
    models: str
    lacks: frozenset[str] = frozenset()  # parameters that it does not know
    signs: bool = True  # it takes a secret to sign its calls with


VERSIONS: Final = {
    version.name: version
    for version in (
        Version(
            "v2",
            submit="/api/v2/images/{task.name}",
            price="/price",
            job="/api/v2/jobs/",
            balance="/api/v2/account/balance",
            models="/api/v2/models",
        ),
        Version(
            "v1",
            submit="/api/v1/client/{task.slug}",
            price="/price-calculation",
            job="/api/v1/client/request-status/",
            balance="/api/v1/client/balance",
            models="/api/v1/client/models",
            lacks=frozenset({"quality", "enhance_prompt"}),
            signs=False,
        ),
    )
}


@dataclass(frozen=True, slots=True)
class Task:
    """One kind of job."""

    name: str  # as a row says it: the last word of its path in version 2
    slug: str  # among a model's `inference_types`; of images also the last word in version 1
    about: str
    parameters: tuple[Parameter, ...]
    priced: tuple[str, ...]  # parameters that the question for a price takes
    upload: Upload | None = IMAGE  # None: no image goes in, the request is JSON
    priced_by_pixels: bool = False  # the question takes the image, or its width and height

    def path(self, version: Version) -> str:
        """Return where it is submitted."""
        return version.submit.format(task=self)

    def sized(self) -> bool:
        """Tell whether a row says the size of the picture; if not, its image's own size counts."""
        return any(parameter.name == "width" for parameter in self.parameters)


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
    Parameter("quality", "a tier, for models that have tiers; not in version 1"),
    Parameter(
        "enhance_prompt",
        "let the API rewrite the prompt, for a fee that no quoted price includes; not in version 1",
        (Kind.BOOLEAN,),
    ),
)
_PICTURE_PRICED = ("prompt", "negative_prompt", "model", "loras", "guidance", "steps", "quality")


def _side(name: str, *, required: bool) -> Parameter:
    """Return one side of the picture."""
    about = f"{name} in pixels; limits and steps are the model's"
    return Parameter(name, about, (Kind.INTEGER,), minimum=1, required=required)


_ALL = (
    Task(
        "background-removals",
        "img-rmbg",
        "cut an image out, as a transparent PNG",
        (_model("Ben2"),),
        priced=("model",),
        priced_by_pixels=True,
    ),
    Task(
        "upscales",
        "img-upscale",
        "enlarge an image",
        (_model("RealESRGAN_x4"),),
        priced=("model",),
        priced_by_pixels=True,
    ),
    Task(
        "ocr",
        "img2txt",
        "read the text of an image",
        (
            _model("Nanonets_Ocr_S_F16"),
            Parameter("language", "the text's language, such as en"),
            Parameter("format", "text or json", choices=("text", "json")),
            Parameter("return_result_in_response", "hand the text out itself", (Kind.BOOLEAN,)),
        ),
        priced=("model",),  # language and format "do not affect the price" (docs, pricing)
        priced_by_pixels=True,
    ),
    Task(
        "generations",
        "txt2img",
        "make an image from a prompt",
        (*_PICTURE, _side("width", required=True), _side("height", required=True)),
        priced=(*_PICTURE_PRICED, "seed", "width", "height"),
        upload=None,
    ),
    Task(
        "edits",
        "img2img",
        "change an image by a prompt",
        (*_PICTURE, _side("width", required=False), _side("height", required=False)),
        priced=(*_PICTURE_PRICED, "seed"),  # no sizes, no image: the question takes none
        upload=IMAGES,
    ),
)
TASKS: Final = {task.name: task for task in _ALL}
PARAMETERS: Final = tuple({p.name: p for task in _ALL for p in task.parameters}.values())
