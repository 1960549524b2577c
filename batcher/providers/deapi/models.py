"""What a row must not say because of its model: deAPI's own catalogue, as a check before sending.

Rule: a row is refused only for what the catalogue says in so many words (a slug, a task, a least, a
most, a step, a number of images). What it leaves out, or says in a way that cannot be one, refuses
nothing: the API's own 422 costs no money. Names of limits and features as the docs and the vendor's
own clients read them (https://docs.deapi.ai/models; deapi-ai/mcp-server-deapi).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Final

from batcher.core.verdict import Model
from batcher.providers.base import Files, Problem
from batcher.providers.deapi.limits import models_of
from batcher.providers.deapi.tasks import Task
from batcher.providers.reading import raw_of
from batcher.providers.uploads import name_of

NAMES_MAX: Final = 12  # models that a message lists
EXAMPLES_MAX: Final = 3  # of them where no catalogue was read
SPELLINGS: Final = {  # a row's parameter -> what its least and most are called after min_ and max_
    "width": ("width",),
    "height": ("height",),
    "steps": ("steps",),
    "guidance": ("guidance", "cfg_scale"),
}
STEPPED: Final = ("width", "height")


def model_problems(
    models: Mapping[str, Model], task: Task, sent: Mapping[str, object], files: Files
) -> Iterator[Problem]:
    """Yield what is wrong between a row that would be *sent* and the catalogue, if there is one."""
    slug = sent.get("model")
    if not models or not isinstance(slug, str):
        return

    model = models.get(slug)
    if model is None or not _does(model, task):
        yield Problem("model", _no_such(models, task, slug, model))
        return

    yield from _value_problems(model, sent)
    yield from _file_problems(model, task, sent, files)


def naming_models(
    problems: Iterable[Problem], models: Mapping[str, Model], task: Task, sent: Mapping[str, object]
) -> Iterator[Problem]:
    """Yield *problems*; the one of a row without a model also says which models there are."""
    for problem in problems:
        is_missing = problem.field == "model" and "model" not in sent
        names = _choice(models, task) if is_missing else ""
        yield replace(problem, message=problem.message + names) if names else problem


def _choice(models: Mapping[str, Model], task: Task) -> str:
    """Return the catalogue's models for a task; without one, examples and who knows the rest."""
    if models:
        return f". For {task.name} there are: {_listed(models, task)}"

    examples = models_of(task.name)[:EXAMPLES_MAX]
    more = "; `check --preflight` names those of your account"
    return f", such as {', '.join(examples)}, …{more}" if examples else more


def _does(model: Model, task: Task) -> bool:
    """Tell whether a model is for a task; one that names no task at all is not judged."""
    return not model.tasks or task.name in model.tasks


def _no_such(models: Mapping[str, Model], task: Task, slug: str, model: Model | None) -> str:
    """Say which models there are instead."""
    why = "the account's catalogue has no such model"
    if model is not None:
        why = f"that model is for {', '.join(sorted(model.tasks))}, not for {task.name}"

    return f"is {raw_of(slug)}; {why}. For {task.name} there are: {_listed(models, task)}"


def _listed(models: Mapping[str, Model], task: Task) -> str:
    """Return the names of the models for a task."""
    names = sorted(slug for slug, each in models.items() if task.name in each.tasks)
    more = ["…"] if len(names) > NAMES_MAX else []
    return ", ".join(names[:NAMES_MAX] + more) or "none"


def _value_problems(model: Model, sent: Mapping[str, object]) -> Iterator[Problem]:
    """Yield which of the row's numbers the model does not take."""
    for name in SPELLINGS:
        value = sent.get(name)
        if isinstance(value, int | float) and not isinstance(value, bool):
            rule = _broken(model, name, value)
            if rule is not None:
                yield Problem(name, f"is {value}; {rule}")

    if model.features.get("supports_guidance") and "guidance" not in sent:
        text = f"is left out, but {model.slug} has it and the API's specification asks for it"
        yield Problem("guidance", text, warning=True)


def _file_problems(
    model: Model, task: Task, sent: Mapping[str, object], files: Files
) -> Iterator[Problem]:
    """Yield what is wrong with the images that go in, as far as their pixels are known."""
    if task.upload is None or not files:
        return

    if task.upload.field_of_several is not None:
        yield from _number_problems(model, len(files))

    if task.sized():
        yield from _inherited_size(model, sent, files)
        return

    for file in files:
        for name, pixels in zip(STEPPED, file.pixels or (), strict=False):
            if rule := _broken(model, name, pixels, stepped=False):
                yield Problem("file", f"{name_of(file)} has a {name} of {pixels} pixels; {rule}")


def _number_problems(model: Model, number: int) -> Iterator[Problem]:
    """Yield what is wrong with the number of images."""
    most = model.limits.get("max_input_images", 0)
    if 0 < most < number:
        yield Problem("file", f"names {number} images; {model.slug} takes at most {most:g}")
    elif number > 1 and most <= 0:
        text = f"names {number} images; of {model.slug} no number is told, and 1 is the default"
        yield Problem("file", text, warning=True)


def _inherited_size(model: Model, sent: Mapping[str, object], files: Files) -> Iterator[Problem]:
    """Warn of sides that the first image gives because the row does not: they may be adjusted."""
    for name, pixels in zip(STEPPED, files[0].pixels or (), strict=False):
        if name not in sent and (rule := _broken(model, name, pixels)):
            text = f"is left out, so the {pixels} of the first image count; {rule}"
            yield Problem(name, text, warning=True)


def _broken(model: Model, name: str, value: float, *, stepped: bool = True) -> str | None:
    """Return the model's rule for a number, if it is broken."""
    if name == "guidance" and model.features.get("supports_guidance") is False:
        return f"{model.slug} has none: leave it out, or set 0" if value else None

    least, most = _bounds(model, name)
    step = model.limits.get("resolution_step", 0) if stepped and name in STEPPED else 0
    fits = (least is None or value >= least) and (most is None or value <= most)
    if fits and (step <= 1 or value % step == 0):
        return None

    in_steps = f" in multiples of {step:g}" if step > 1 else ""
    return f"{model.slug} takes {_range(least, most)}{in_steps}"


def _bounds(model: Model, name: str) -> tuple[float | None, float | None]:
    """Return a least and a most, under whichever names they have; 0 and a crossed pair are none."""
    least, most = (
        next(
            (model.limits[end + word] for word in SPELLINGS[name] if end + word in model.limits), 0
        )
        for end in ("min_", "max_")
    )
    if 0 < most < least:
        return None, None

    return least if least > 0 else None, most if most > 0 else None


def _range(least: float | None, most: float | None) -> str:
    """Return what is allowed, in words."""
    if least is not None and most is not None:
        return f"{least:g} to {most:g}" if least < most else f"{most:g} only"

    if least is not None:
        return f"at least {least:g}"

    return "any" if most is None else f"at most {most:g}"
