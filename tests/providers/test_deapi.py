"""deAPI: what may be sent, and how often. What is answered stands in `payloads/deapi`."""

from __future__ import annotations

import orjson
import pytest
from msgspec.structs import replace

from batcher.core.errors import UsageError
from batcher.core.exchange import Response
from batcher.core.model import LocalFile, Refund
from batcher.core.pacing.rates import parse_rate
from batcher.core.verdict import Doubt, JobFailed, Later
from batcher.providers.base import Files, Limits, Problem
from batcher.providers.deapi.answers import REASONS
from batcher.providers.deapi.dialect import DeApi
from batcher.providers.deapi.tasks import IMAGE, TASKS, VERSIONS

FILE = LocalFile("/m/a.png", 12)
FILES = (FILE,)
PICTURE = {"prompt": "a shoe", "model": "Flux1schnell", "steps": 4, "seed": -1}
GENERATION = {**PICTURE, "width": 512, "height": 512}


def problems(task: str, row: dict[str, object], files: Files = ()) -> list[Problem]:
    """Return the problems of a row of a task."""
    return DeApi({"task": task}).problems(row, files)


def fields(found: list[Problem]) -> list[str]:
    """Return the fields of what is not only a warning."""
    return [problem.field for problem in found if not problem.warning]


# --- The task --------------------------------------------------------------------------------


def test_missing_task_says_how_to_set_it() -> None:
    """Without a task there is no path; the message names both ways and all tasks."""
    found = DeApi({}).problems({"file": "a.png"}, FILES)
    assert fields(found) == ["task"]
    assert "--set task=" in found[0].message
    assert all(task in found[0].message for task in TASKS)
    assert DeApi({}).merged({"file": "a.png", "model": "Ben2"}) == {}


@pytest.mark.parametrize("task", ["img-rmbg", "Edits", 5, ["edits"]])
def test_unknown_task_of_a_row_is_a_problem(task: object) -> None:
    """A row's own task wins over the run's, so an unknown one is not papered over."""
    found = DeApi({"task": "edits"}).problems({"file": "a.png", "task": task}, FILES)
    assert fields(found) == ["task"]
    assert "background-removals" in found[0].message


@pytest.mark.parametrize(
    "params", [{"task": "img-rmbg"}, {"task": None}, {"tier": "gold"}, {"tier": []}]
)
def test_settings_are_checked_before_the_run(params: dict[str, object]) -> None:
    """A task or tier that cannot be is a usage error, with the values that can."""
    with pytest.raises(UsageError, match=r"known are|allowed are"):
        DeApi(params)


def test_a_row_may_choose_its_task() -> None:
    """The row's task makes the path; the run's parameters that it does not take stay out."""
    provider = DeApi({"task": "edits", "prompt": "x", "tier": "premium"})
    request = provider.submit({"task": "upscales", "file": "a.png"}, FILES)
    assert request.path == "/api/v2/images/upscales"
    assert request.form == (("model", "RealESRGAN_x4"),)


# --- The file --------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["a.tiff", "a.avif", "a.svg", "a.psd", "a.heic", "a"])
def test_types_that_are_not_taken(name: str) -> None:
    """Only the documented image types are sent."""
    found = problems("background-removals", {"file": name}, (LocalFile(f"/m/{name}", 1),))
    assert fields(found) == ["file"]
    assert ".webp" in found[0].message


@pytest.mark.parametrize(
    ("size_bytes", "fine"), [(10_000_000, True), (10_000_001, False), (0, False)]
)
def test_size_of_a_file(size_bytes: int, *, fine: bool) -> None:
    """10 MB are read as 10,000,000 bytes, the smaller of the two readings."""
    assert IMAGE.bytes_max == 10_000_000
    found = problems("upscales", {"file": "a.png"}, (LocalFile("/m/a.png", size_bytes),))
    assert (fields(found) == []) is fine


@pytest.mark.parametrize(
    ("pixels", "fine"),
    [((64, 5_000), True), (None, True), ((63, 100), False), ((100, 5_001), False)],
)
def test_pixels_of_a_file(pixels: tuple[int, int] | None, *, fine: bool) -> None:
    """64 to 5000 pixels a side are taken by every task; what is not known is no problem."""
    for task, row in (("upscales", {}), ("edits", PICTURE)):
        found = problems(task, row, (LocalFile("/m/a.png", 9, pixels),))
        assert (fields(found) == []) is fine
        if not fine:
            assert "64 to 5000" in found[0].message


def test_only_edits_take_several_files() -> None:
    """A row with a list of images is an edit; the other tasks take one."""
    assert fields(problems("edits", PICTURE, FILES * 3)) == []
    found = problems("ocr", {}, FILES * 2)
    assert fields(found) == ["file"]
    assert "one is taken" in found[0].message


def test_each_of_several_files_is_checked() -> None:
    """One bad image among good ones is named, and all of them fit into one request."""
    found = problems("edits", PICTURE, (FILE, LocalFile("/m/b.tiff", 9), LocalFile("/m/c.png", 0)))
    assert [problem.message.split()[0] for problem in found] == ["b.tiff", "c.png"]
    large = (LocalFile("/m/a.png", 10_000_000),)
    assert fields(problems("edits", PICTURE, large * 7)) == []
    assert "75,000,000" in problems("edits", PICTURE, large * 8)[0].message


def test_an_edit_names_one_field() -> None:
    """`image` and `images[]` exclude each other: the number of files chooses."""
    provider = DeApi({"task": "edits"})
    for number, field in ((1, "image"), (2, "images[]"), (5, "images[]")):
        parts = provider.submit(PICTURE, FILES * number).files
        assert [part.field for part in parts] == [field] * number
        assert [part.size_bytes for part in parts] == [FILE.size_bytes] * number


def test_addresses_are_not_taken() -> None:
    """The native API takes files only; a row with an address hears exactly that."""
    found = problems("background-removals", {"file_url": "https://e.com/a.png"})
    assert fields(found) == ["file"]
    assert "no file_url" in found[0].message
    assert fields(problems("ocr", {})) == ["file"]


def test_generation_takes_no_file() -> None:
    """A file beside a prompt is told, and not sent."""
    found = problems("generations", {**GENERATION, "file": "a.png"}, FILES)
    assert [(problem.field, problem.warning) for problem in found] == [("file", True)]
    request = DeApi({"task": "generations"}).submit({**GENERATION, "file": "a.png"}, FILES)
    assert request.files == ()
    assert request.json is not None


# --- Parameters ------------------------------------------------------------------------------


def test_what_is_required() -> None:
    """Every required field is named; those with one known value are filled in."""
    sizes = ["width", "height"]
    assert fields(problems("generations", {})) == ["prompt", "model", "steps", "seed", *sizes]
    assert fields(problems("edits", {}, FILES)) == ["prompt", "model", "steps", "seed"]
    for task, model in (("background-removals", "Ben2"), ("ocr", "Nanonets_Ocr_S_F16")):
        assert problems(task, {}, FILES) == []
        assert DeApi({"task": task}).merged({})["model"] == model


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("steps", "4", "a whole number"),
        ("steps", 4.0, "a whole number"),
        ("steps", True, "a whole number"),
        ("steps", 0, "at least 1"),
        ("width", -512, "at least 1"),
        ("seed", -2, "at least -1"),
        ("guidance", "high", "a number"),
        ("guidance", float("nan"), "a number"),
        ("enhance_prompt", "yes", "true or false"),
        ("enhance_prompt", 1, "true or false"),
        ("prompt", {"a": 1}, "a string"),
        ("seed", 10**30, "JSON cannot hold it"),
        ("loras", {"name": "n"}, "an array"),
        ("loras", ["n"], "objects like"),
        ("loras", [{"name": "n", "weight": -1}], "objects like"),
        ("loras", [{"name": "n", "weight": True}], "objects like"),
        ("loras", [{"name": "n", "weight": 1, "api_key": "x"}], "objects like"),
    ],
)
def test_wrong_values_are_named(name: str, value: object, said: str) -> None:
    """A value of a wrong type or range is a problem that says what is allowed."""
    found = problems("generations", {**GENERATION, name: value})
    assert fields(found) == [name]
    assert said in found[0].message


def test_ocr_format_is_one_of_two() -> None:
    """The allowed values stand in the message."""
    found = problems("ocr", {"format": "xml"}, FILES)
    assert fields(found) == ["format"]
    assert "text, json" in found[0].message


@pytest.mark.parametrize("name", ["scale", "webhook_url", "webhook_secret"])
def test_names_of_the_api_that_stay_out_are_told(name: str) -> None:
    """A column that the API knows and batcher does not send is a warning, and is not sent."""
    row: dict[str, object] = {"file": "a.png", name: "4"}
    found = problems("upscales", row, FILES)
    assert [(problem.field, problem.warning) for problem in found] == [(name, True)]
    assert problems("upscales", {"file": "a.png", name: None}, FILES) == []
    with pytest.raises(UsageError, match="no such parameter"):
        DeApi({name: "4"})


def test_near_misses_are_warnings() -> None:
    """A mistyped column is told; `mode` is one letter from `model` and may be a column."""
    found = problems(
        "generations", {**GENERATION, "promt": "x", "negativ_prompt": "y", "mode": "z"}
    )
    assert [(problem.field, problem.warning) for problem in found] == [("negativ_prompt", True)]


def test_csv_cells_are_converted_where_unambiguous() -> None:
    """Numbers, booleans and lists are read; what is none stays text and is a problem then."""
    cells: dict[str, object] = {
        "steps": "4",
        "seed": "-1",
        "guidance": "3.5",
        "width": " 512 ",
        "height": "5.5",
        "enhance_prompt": "TRUE",
        "loras": '[{"name":"n","weight":1}]',
        "prompt": "7",
        "sku": "007",
    }
    assert DeApi({}).typed(cells) == {
        "steps": 4,
        "seed": -1,
        "guidance": 3.5,
        "width": 512,
        "height": "5.5",
        "enhance_prompt": True,
        "loras": [{"name": "n", "weight": 1}],
        "prompt": "7",
        "sku": "007",
    }


@pytest.mark.parametrize("cell", ["1e999", "nan", "inf", "1_000", "٣", "9" * 400, "0x10", "1,5"])
def test_csv_numbers_that_are_none_stay_text(cell: str) -> None:
    """A cell that JSON has no number for is left as it is, for the check to find."""
    assert DeApi({}).typed({"guidance": cell, "steps": cell}) == {"guidance": cell, "steps": cell}


# --- Version 1 -------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "value"), [("quality", "low"), ("enhance_prompt", False)])
def test_version_1_lacks_two_fields(name: str, value: object) -> None:
    """What version 1 does not know is refused, in a row and in the run, and never sent."""
    found = DeApi({"task": "generations", "api": "v1"}).problems({**GENERATION, name: value}, ())
    assert fields(found) == [name]
    assert "api=v2" in found[0].message
    assert name not in DeApi({"task": "generations", "api": "v1"}).merged({name: value})
    assert fields(problems("generations", {**GENERATION, name: value})) == []
    with pytest.raises(UsageError, match="version v1 of the API does not know it"):
        DeApi({"api": "v1", name: value})


def test_version_is_one_of_two() -> None:
    """Another version is a usage error that names both."""
    strange: list[object] = ["v3", 1, None, []]
    for api in strange:
        with pytest.raises(UsageError, match="v2, v1"):
            DeApi({"api": api})


def test_versions_differ_in_paths_only() -> None:
    """What goes out is the same but for its address, so that nothing else can drift apart."""
    for task in TASKS:
        row, sent = (GENERATION, FILES[:0]) if task == "generations" else (PICTURE, FILES)
        one, other = (DeApi({"task": task, "api": api}).submit(row, sent) for api in VERSIONS)
        assert other.path.startswith("/api/v1/client/")
        assert replace(other, path=one.path) == one


# --- Results and failures --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("task", "row", "variant", "ending"),
    [
        ("generations", {}, "result", "png"),
        ("edits", {}, "jpg", "jpg"),
        ("background-removals", {}, "webp", "webp"),
        ("upscales", {"format": "text"}, "result", "png"),
        ("ocr", {}, "result", None),
        ("ocr", {"format": "text"}, "result", "txt"),
        ("ocr", {"format": "json"}, "result", "json"),
        ("ocr", {"format": None}, "result", None),
    ],
)
@pytest.mark.parametrize("api", ["v1", "v2"])
def test_expected_ending(
    task: str, row: dict[str, object], variant: str, ending: str | None, api: str
) -> None:
    """Images are PNG, alternates what they are called, and a text what the row asked for."""
    assert DeApi({"task": task, "api": api}).expected(row, variant) == ending


def test_documented_reasons_are_told_as_they_are() -> None:
    """Only a reason that nobody documented is marked; all of them are kept."""
    for reason in [*sorted(REASONS), "NEW_REASON"]:
        body = orjson.dumps({"data": {"status": "error", "error_reason": reason}})
        verdict = DeApi({}).read_status(Response(200, body))
        assert isinstance(verdict, JobFailed)
        assert verdict.error.message.startswith(reason)
        assert ("undocumented" in verdict.error.message) is (reason == "NEW_REASON")


@pytest.mark.parametrize("retryable", [True, False, None, "true", 1])
@pytest.mark.parametrize("refunded", [True, False, None, "yes", 0])
def test_rerun_needs_both_words(retryable: object, refunded: object) -> None:
    """A job is run again on its own only if two plain booleans say so; money is never guessed."""
    job = {"status": "error", "retryable": retryable, "refunded": refunded}
    verdict = DeApi({}).read_status(Response(200, orjson.dumps({"data": job})))
    assert isinstance(verdict, JobFailed)
    assert verdict.rerun is (retryable is True and refunded is True)
    assert verdict.error.retriable is (retryable is True)
    done = Refund.DONE if refunded is True else Refund.UNCONFIRMED
    assert verdict.refund == (None if refunded is None else done)


def test_a_long_message_leaves_room_for_the_rest() -> None:
    """However long the API explains itself, the reason and the time are in the record."""
    job = {"status": "error", "error_reason": "R" * 400, "error_message": "m" * 4_000}
    body = orjson.dumps({"data": {**job, "failed_at": "2026-08-07T11:43:45+00:00"}})
    verdict = DeApi({}).read_status(Response(200, body))
    assert isinstance(verdict, JobFailed)
    assert verdict.error.message.startswith("RRR")
    assert len(verdict.error.message) <= 300


# --- Limits ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("params", "submit", "status"),
    [
        ({"task": "background-removals"}, "5/m,100/d", "50/m,200/d"),
        ({"task": "upscales", "tier": "basic"}, "5/m,100/d", "50/m,200/d"),
        ({"task": "ocr"}, "5/m,50/d", "50/m,200/d"),
        ({"task": "generations"}, "3/m,100/d", "50/m,200/d"),
        ({"task": "edits"}, "1/m,15/d", "50/m,200/d"),
        ({"task": "background-removals", "tier": "premium"}, "300/m,100000/d", "300/m"),
        ({"task": "ocr", "tier": "premium"}, "65/m,18000/d", "300/m"),
        (
            {"task": "generations", "tier": "premium", "model": "Flux1schnell"},
            "45/m,13000/d",
            "300/m",
        ),
        (
            {"task": "edits", "tier": "premium", "model": "QwenImageEdit_Plus_NF4"},
            "2/m,860/d",
            "300/m",
        ),
        (
            {"task": "edits", "tier": "premium", "model": "Flux_2_Klein_4B_BF16"},
            "60/m,17000/d",
            "300/m",
        ),
        ({"task": "generations", "tier": "premium", "model": "new"}, "20/m", "300/m"),
        ({}, "1/m", "50/m,200/d"),
        ({"tier": "premium"}, "2/m", "300/m"),
    ],
)
def test_published_limits(params: dict[str, object], submit: str, status: str) -> None:
    """The tier, the task and the model choose the published limits; unknown takes the lowest."""
    assert DeApi(params).limits() == Limits(submit, status, status)
    assert parse_rate(submit).windows
    assert parse_rate(status).windows


def test_tier_is_never_sent() -> None:
    """It is a setting of ours; a row's own column of that name is the user's business."""
    provider = DeApi({"task": "upscales", "tier": "premium"})
    assert provider.merged({"tier": "gold"}) == {"task": "upscales", "model": "RealESRGAN_x4"}


# --- Money -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "body", [b"", b"{}", b"[]", b'{"message":5}', b'{"message":"x","data":{"id":1}}']
)
def test_500_needs_the_apis_own_body(body: bytes) -> None:
    """Only a message and no data is the documented body; anything else proves nothing."""
    assert isinstance(DeApi({}).read_submit(Response(500, body)), Doubt)


@pytest.mark.parametrize("status", [501, 502, 504, 505, 520, 522, 524, 529, 599])
def test_only_500_is_declared(status: int) -> None:
    """The same body under another 5xx is a gateway's, so it is a doubt."""
    verdict = DeApi({}).read_submit(Response(status, b'{"message":"Server Error"}'))
    assert isinstance(verdict, Doubt)


@pytest.mark.parametrize("reset", ["1e9", "soon", "", "99999999999", "1689999999"])
def test_absurd_daily_reset_is_ignored(reset: str) -> None:
    """A reset that is no time of the coming days leaves an hour; one in the past a minute."""
    headers = {"x-ratelimit-type": "daily", "x-ratelimit-daily-reset": reset}
    verdict = DeApi({}).read_submit(Response(429, b"", headers, received_at=1_790_000_000.0))
    assert isinstance(verdict, Later)
    assert verdict.retry_after_s == (60.0 if reset == "1689999999" else 3_600.0)
