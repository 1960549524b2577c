"""deAPI's catalogue as a check: what a model says is enforced, and nothing is guessed."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batcher.core.model import LocalFile
from batcher.core.verdict import Model
from batcher.providers.base import Files, Problem
from batcher.providers.deapi.dialect import DeApi

SIDES = {"min_width": 256, "max_width": 2_048, "min_height": 256, "max_height": 2_048}
FLUX = Model(
    "Flux1schnell",
    frozenset({"generations"}),
    {**SIDES, "resolution_step": 128, "min_steps": 1, "max_steps": 10},
    {"supports_guidance": False},
)
KLEIN = Model(
    "Klein",
    frozenset({"generations", "edits"}),
    {"max_width": 1_536, "max_height": 1_536, "min_steps": 4, "max_steps": 4}
    | {"max_input_images": 3},
    {"supports_guidance": False},
)
QWEN = Model(
    "Qwen",
    frozenset({"edits"}),
    {"min_guidance": 1, "max_guidance": 20, "max_steps": 50},
    {"supports_guidance": True},
)
BEN = Model("Ben2", frozenset({"background-removals"}), {"min_width": 128, "max_width": 2_048})
MUSIC = Model("AceStep", frozenset({"txt2music"}))
BARE = Model("Bare", frozenset())
CATALOGUE = (FLUX, KLEIN, QWEN, BEN, MUSIC, BARE)

PICTURE: dict[str, object] = {"prompt": "x", "model": "Flux1schnell", "steps": 4, "seed": -1}
SIZED = {**PICTURE, "width": 512, "height": 512}
EDIT = {**PICTURE, "model": "Klein"}


def problems(
    task: str, row: dict[str, object], files: Files = (), models: tuple[Model, ...] = CATALOGUE
) -> list[Problem]:
    """Return the problems of a row, once the catalogue is known."""
    return DeApi({"task": task}).informed(models).problems(row, files)


def files(number: int = 1, *pixels: int) -> Files:
    """Return local images, whose pixels are known or not."""
    size = (pixels[0], pixels[1]) if pixels else None
    return tuple(LocalFile(f"/m/{n}.png", 9, size) for n in range(number))


def hard(found: list[Problem]) -> dict[str, str]:
    """Return what makes a row unusable, by field."""
    return {problem.field: problem.message for problem in found if not problem.warning}


# --- The model itself --------------------------------------------------------------------------


@pytest.mark.parametrize("task", ["generations", "edits", "background-removals", "upscales"])
def test_without_a_catalogue_nothing_is_guessed(task: str) -> None:
    """Any slug and any numbers pass until the API's own list was read; so with an empty list."""
    row = {**SIZED, "model": "of-tomorrow", "steps": 9_999, "width": 7, "guidance": 99}
    sent = files(1, 4_000, 4_000) if task != "generations" else ()
    assert hard(DeApi({"task": task}).problems(row, sent)) == {}
    assert hard(problems(task, row, sent, models=())) == {}


def test_unknown_model_names_the_ones_there_are() -> None:
    """A slug that is not listed is refused, with the slugs of that task."""
    found = hard(problems("generations", {**SIZED, "model": "flux-schnell"}))
    assert found == {
        "model": "is flux-schnell; the account's catalogue has no such model. "
        "For generations there are: Flux1schnell, Klein"
    }


def test_model_of_another_task_is_told() -> None:
    """A model that does something else is refused, and what it does is said."""
    found = hard(problems("edits", {**EDIT, "model": "AceStep"}, files()))
    assert "for txt2music, not for edits" in found["model"]
    assert "Klein, Qwen" in found["model"]


def test_default_models_are_checked_too() -> None:
    """The model that batcher fills in is no better known than one of a row."""
    assert hard(problems("background-removals", {}, files())) == {}
    assert "none" in hard(problems("upscales", {}, files()))["model"]


def test_model_that_names_no_task_is_not_judged() -> None:
    """An entry without types is an entry of which nothing is known."""
    assert hard(problems("upscales", {"model": "Bare"}, files())) == {}


def test_long_lists_are_cut() -> None:
    """A message names a dozen models, not hundreds."""
    many = tuple(Model(f"m{n:03}", frozenset({"ocr"})) for n in range(100))
    assert len(hard(problems("ocr", {}, files(), models=many))["model"]) < 300


# --- Numbers -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"width": 255}, "is 255; Flux1schnell takes 256 to 2048 in multiples of 128"),
        ({"width": 2_049}, "is 2049; Flux1schnell takes 256 to 2048 in multiples of 128"),
        ({"height": 500}, "is 500; Flux1schnell takes 256 to 2048 in multiples of 128"),
        ({"steps": 11}, "is 11; Flux1schnell takes 1 to 10"),
        ({"guidance": 3.5}, "is 3.5; Flux1schnell has none: leave it out, or set 0"),
        ({"model": "Klein", "steps": 5}, "is 5; Klein takes 4 only"),
        ({"model": "Klein", "width": 1_600}, "is 1600; Klein takes at most 1536"),
    ],
)
def test_numbers_outside_are_refused(change: dict[str, object], said: str) -> None:
    """A number that the model does not take is refused with what it takes."""
    field = next(name for name in change if name != "model")
    assert hard(problems("generations", {**SIZED, **change})) == {field: said}


@pytest.mark.parametrize(
    "change",
    [
        *({"width": 256}, {"width": 2_048}, {"height": 640}, {"steps": 1}, {"steps": 10}),
        *({"guidance": 0}, {"guidance": 0.0}),
    ],
)
def test_numbers_at_the_edge_pass(change: dict[str, object]) -> None:
    """The least, the most and every multiple between them are taken."""
    assert problems("generations", {**SIZED, **change}) == []


def test_guidance_follows_the_model() -> None:
    """Needed where the model has it, and then in its range; its absence is told, not refused."""
    row = {**EDIT, "model": "Qwen"}
    left_out = problems("edits", row, files())
    assert [(problem.field, problem.warning) for problem in left_out] == [("guidance", True)]
    assert hard(problems("edits", {**row, "guidance": 21}, files())) == {
        "guidance": "is 21; Qwen takes 1 to 20"
    }
    assert problems("edits", {**row, "guidance": 7.5}, files()) == []


@pytest.mark.parametrize(
    "limits",
    [
        {"min_steps": 9.0, "max_steps": 3.0},
        {"min_steps": 0.0, "max_steps": 0.0},
        {"max_width": -1.0, "resolution_step": 0.0},
        {"resolution_step": 1.0},
        {"resolution_step": -8.0},
    ],
)
def test_limits_that_are_none_refuse_nothing(limits: dict[str, float]) -> None:
    """Zeros, negatives and a least above the most are no limits that anybody meant."""
    odd = Model("Flux1schnell", frozenset({"generations"}), limits)
    assert problems("generations", SIZED, models=(odd,)) == []


# --- Images ------------------------------------------------------------------------------------


@pytest.mark.parametrize(("number", "fine"), [(1, True), (3, True), (4, False)])
def test_number_of_images(number: int, *, fine: bool) -> None:
    """An edit takes as many images as its model says."""
    found = hard(problems("edits", EDIT, files(number)))
    assert found == ({} if fine else {"file": "names 4 images; Klein takes at most 3"})


def test_untold_number_is_a_warning() -> None:
    """The default of the docs is one; where the model does not say, a row is not refused for it."""
    row = {**EDIT, "model": "Qwen", "guidance": 2}
    found = problems("edits", row, files(2))
    assert [(problem.field, problem.warning) for problem in found] == [("file", True)]
    assert problems("edits", row, files(1)) == []


@pytest.mark.parametrize(
    ("pixels", "fine"), [((), True), ((128, 64), True), ((2_048, 5_000), True), ((127, 64), False)]
)
def test_pixels_of_what_goes_in(pixels: tuple[int, ...], *, fine: bool) -> None:
    """Where an image's own size counts, it has to be one that the model takes; unknown passes."""
    found = hard(problems("background-removals", {}, files(1, *pixels)))
    text = "0.png has a width of 127 pixels; Ben2 takes 128 to 2048"
    assert found == ({} if fine else {"file": text})


def test_steps_are_for_what_comes_out() -> None:
    """A step is a rule for the size that is asked for; an image that goes in has any size."""
    stepped = Model("Ben2", BEN.tasks, {**BEN.limits, "resolution_step": 64})
    assert problems("background-removals", {}, files(1, 131, 997), models=(stepped,)) == []


def test_size_that_an_edit_inherits_is_told() -> None:
    """Without a size the first image's counts; the API may adjust it, so it is only told."""
    found = problems("edits", EDIT, files(1, 1_600, 1_000))
    assert [(problem.field, problem.warning) for problem in found] == [("width", True)]
    assert problems("edits", {**EDIT, "width": 512}, files(1, 1_600, 1_000)) == []


def test_informed_leaves_the_first_as_it_was() -> None:
    """Being informed makes another dialect: one that stands elsewhere knows no more than before."""
    provider = DeApi({"task": "generations"})
    row = {**SIZED, "steps": 99}
    assert hard(provider.informed(CATALOGUE).problems(row, ())) != {}
    assert hard(provider.problems(row, ())) == {}
    assert provider.informed(CATALOGUE).submit(SIZED, ()) == provider.submit(SIZED, ())


@given(
    limits=st.dictionaries(
        st.sampled_from([*SIDES, "resolution_step", "min_steps", "max_steps", "max_guidance"]),
        st.floats(allow_nan=True, allow_infinity=True),
    ),
    row=st.fixed_dictionaries(
        {name: st.one_of(st.integers(), st.text(max_size=3)) for name in ("width", "steps")}
    ),
    pixels=st.one_of(st.none(), st.tuples(st.integers(1, 6_000), st.integers(1, 6_000))),
)
def test_any_catalogue_is_checked_against(
    limits: dict[str, float], row: dict[str, object], pixels: tuple[int, int] | None
) -> None:
    """Whatever a catalogue says, a check is an answer and never an accident."""
    model = Model("m", frozenset({"edits", "ocr"}), limits)
    image = (LocalFile("/m/a.png", 9, pixels),)
    for task in ("edits", "ocr"):
        for problem in problems(task, {**EDIT, **row, "model": "m"}, image, (model,)):
            assert problem.message


@pytest.mark.parametrize("task", ["generations", "edits"])
def test_a_row_without_a_model_is_told_which_there_are(task: str) -> None:
    """The catalogue's own; without one, a few that are known, and who knows the rest."""
    row = {name: value for name, value in SIZED.items() if name != "model"}
    known = hard(problems(task, row, files() if task == "edits" else ()))["model"]
    blind = hard(problems(task, row, files() if task == "edits" else (), ()))["model"]

    there_are = {"generations": "Flux1schnell, Klein", "edits": "Klein, Qwen"}
    assert known.endswith(f"For {task} there are: {there_are[task]}")
    first = {"generations": "Flux1schnell, ", "edits": "Flux_2_Klein_4B_BF16, "}
    assert f"such as {first[task]}" in blind
    assert blind.endswith("…; `check --preflight` names those of your account")


def test_only_a_missing_model_is_told_the_others() -> None:
    """A model of the wrong type is another mistake, and other missing values name no model."""
    found = hard(problems("generations", {**SIZED, "model": 7, "prompt": ""}, (), ()))

    assert set(found) == {"model", "prompt"}
    assert "such as" not in found["model"] + found["prompt"]
