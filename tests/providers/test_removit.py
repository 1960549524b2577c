"""Removit: what may be sent. What is answered stands in `payloads/removit`."""

from __future__ import annotations

import pytest

from batcher.core.errors import UsageError
from batcher.core.model import LocalFile
from batcher.providers.base import Files, Limits, Problem
from batcher.providers.removit.dialect import Removit

URL = "https://shop.example.com/a.jpg"
FILE = LocalFile("/m/a.png", 12)
FILES = (FILE,)


def problems(row: dict[str, object], files: Files = (), **params: object) -> list[Problem]:
    """Return the problems of a row in a run with *params*."""
    return Removit(params).problems(row, files)


def fields(found: list[Problem]) -> list[str]:
    """Return the fields of what is not only a warning."""
    return [problem.field for problem in found if not problem.warning]


# --- Where the image comes from --------------------------------------------------------------


@pytest.mark.parametrize(
    ("row", "files", "field"),
    [
        ({}, (), "file"),
        ({"file_url": None, "file": ""}, (), "file"),
        ({"file_url": URL, "file": "a.png"}, FILES, "file_url"),
        ({"file_url": URL, "file": "a.png"}, (), "file_url"),
        ({"file": "gone.png"}, (), "file"),
    ],
)
def test_exactly_one_source(row: dict[str, object], files: Files, field: str) -> None:
    """The API takes a file or an address; neither and both are found before sending."""
    assert fields(problems(row, files)) == [field]


@pytest.mark.parametrize(
    "url",
    [
        *(
            "/a.jpg",
            "a.jpg",
            "ftp://e.com/a",
            "https://",
            "https:///a.jpg",
            "http://[::1",
            "data:,x",
        ),
        *(7, ["https://e.com"], "https://e.com/a b.jpg", "https://e.com/\n", "https://\ud800.com/"),
    ],
)
def test_file_url_is_an_absolute_web_address(url: object) -> None:
    """Anything but an absolute http(s) address with a host is refused here, not by the API."""
    found = problems({"file_url": url})
    assert fields(found) == ["file_url"]
    assert "http:// or https://" in found[0].message


@pytest.mark.parametrize("url", [URL, "http://e.com", "HTTPS://E.com/ø.jpg?x=1", "http://[::1]/a"])
def test_web_addresses_are_taken(url: str) -> None:
    """Whether an address is public is for the API to find out."""
    assert problems({"file_url": url}) == []


@pytest.mark.parametrize("name", ["a.PNG", "a.jpeg", "a.avif", "a.tif", "a.svg", "a.psd", "a.gif"])
def test_documented_types_are_taken(name: str) -> None:
    """Every documented type is known by its extension, in any case."""
    assert problems({"file": name}, (LocalFile(f"/m/{name}", 1),)) == []


@pytest.mark.parametrize("name", ["a.bmp", "a.txt", "a", ".png", "a.png.exe"])
def test_other_types_are_refused(name: str) -> None:
    """A file of another type is refused with the list of those that are taken."""
    found = problems({"file": name}, (LocalFile(f"/m/{name}", 1),))
    assert fields(found) == ["file"]
    assert ".webp" in found[0].message


def test_empty_file_is_refused() -> None:
    """A file without a byte is no image."""
    assert fields(problems({"file": "a.png"}, (LocalFile("/m/a.png", 0),))) == ["file"]


# --- Parameters ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "value", "allowed"),
    [
        ("mode", "Background", "background, clipping, params"),
        ("mode", 5, "background, clipping, params"),
        ("delivery_mode", "urls", "url, final_url"),
        ("output_format", "gif", "png, jpg, jpeg, psd, tiff, webp"),
        ("output_format", ["png"], "png, jpg, jpeg, psd, tiff, webp"),
    ],
)
def test_allowed_values_are_named(name: str, value: object, allowed: str) -> None:
    """A value that the API would refuse is refused with the values that it takes."""
    found = problems({"file_url": URL, name: value})
    assert fields(found) == [name]
    assert allowed in found[0].message


@pytest.mark.parametrize("params", [None, "", {}])
def test_mode_params_needs_params(params: object) -> None:
    """`mode=params` without a parameter set is a 422 that need not be sent."""
    assert fields(problems({"file_url": URL, "mode": "params", "params": params})) == ["params"]
    assert problems({"file_url": URL, "mode": "params"}, params="Test-Api") == []


def test_params_without_a_mode_is_a_problem() -> None:
    """It would be paid for as a plain clipping, so the row says what it means first."""
    assert fields(problems({"file_url": URL, "params": "Test-Api"})) == ["mode"]


def test_params_of_another_mode_is_a_warning() -> None:
    """An explicit other mode wins: the parameters stay out and `check` says so."""
    found = problems({"file_url": URL, "mode": "clipping", "params": "Test-Api"})
    assert [(problem.field, problem.warning) for problem in found] == [("params", True)]


@pytest.mark.parametrize("value", [5, 1.5, True, ["Test-Api"]])
def test_params_is_a_name_or_an_object(value: object) -> None:
    """Nothing else is documented."""
    found = problems({"file_url": URL, "mode": "params", "params": value})
    assert fields(found) == ["params"]
    assert "an object or a string" in found[0].message


def test_what_json_cannot_hold_is_a_problem() -> None:
    """A half character from a broken manifest is found before the request is built."""
    row: dict[str, object] = {"file_url": URL, "mode": "params", "params": "caf\ud800"}
    assert fields(problems(row)) == ["params"]


@pytest.mark.parametrize(
    ("column", "meant"),
    [
        ("ouput_format", "output_format"),
        ("Mode", "mode"),
        ("fileurl", "file_url"),
        ("param", "params"),
    ],
)
def test_near_miss_is_a_warning(column: str, meant: str) -> None:
    """A column that is nearly a parameter is told, and not sent."""
    row: dict[str, object] = {"file": "a.png", column: "webp"}
    found = [problem for problem in problems(row, FILES) if problem.warning]
    assert [(problem.field, meant in problem.message) for problem in found] == [(column, True)]


def test_no_near_miss_beside_the_name_itself() -> None:
    """Columns of one's own are nobody's business where the parameter they resemble is given."""
    assert problems({"file_url": URL, "mode": "clipping", "model": "X-100", "sku": 1}) == []


# --- Values of the run and of a CSV ----------------------------------------------------------


def test_row_wins_over_run() -> None:
    """A row's own value wins; a null or an empty cell is no value."""
    provider = Removit({"output_format": "png", "delivery_mode": "url"})
    row = {"file_url": URL, "output_format": "webp", "delivery_mode": None, "sku": 1}
    merged = {"file_url": URL, "output_format": "webp", "delivery_mode": "url"}
    assert provider.merged(row) == merged


def test_a_number_given_to_set_is_meant_as_text() -> None:
    """A command line knows no types: a parameter set may be called 2024."""
    merged = Removit({"params": 2024}).merged({})
    assert merged == {"params": "2024"}
    with pytest.raises(UsageError, match="reads as the number"):
        Removit({"params": 2024.10})


def test_mistyped_set_names_what_was_meant() -> None:
    """A mistyped `--set` would leave a whole run without its parameter."""
    with pytest.raises(UsageError, match="did you mean output_format"):
        Removit({"ouput_format": "webp"})


def test_csv_cells_are_converted_where_unambiguous() -> None:
    """An object in a cell is an object, a name stays a name, other columns stay text."""
    cells: dict[str, object] = {"params": '{"a": 1}', "mode": "params", "sku": "007", "x": "{}"}
    assert Removit({}).typed(cells) == {
        "params": {"a": 1},
        "mode": "params",
        "sku": "007",
        "x": "{}",
    }
    assert Removit({}).typed({"params": "{broken"}) == {"params": "{broken"}
    assert Removit({}).typed({"params": "2024"}) == {"params": "2024"}


def test_nothing_is_published_about_limits() -> None:
    """No page speaks of limits, so our own cautious rate counts."""
    assert Removit({}).limits() == Limits(None, None)


# --- Results ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("row", "ending"),
    [
        ({}, "png"),
        ({"output_format": "jpg"}, "jpg"),
        ({"output_format": "jpeg"}, "jpg"),
        ({"output_format": "psd"}, "psd"),
        ({"output_format": "tiff"}, "tiff"),
        ({"output_format": "webp"}, "webp"),
        ({"output_format": None}, "png"),
    ],
)
def test_expected_ending(row: dict[str, object], ending: str) -> None:
    """Every variant comes in the format that was asked for; jpg and jpeg are one format."""
    for variant in ("final", "clipping", "shadowTop", "psd"):
        assert Removit({}).expected(row, variant) == ending


def test_expected_ending_of_the_run() -> None:
    """A run's own format counts where a row has none."""
    assert Removit({"output_format": "webp"}).expected({}, "final") == "webp"


def test_one_file_is_taken() -> None:
    """An upload is one image: a list of one is, a longer one is refused, an empty one is none."""
    assert problems({"file": ["a.png"]}, FILES) == []
    found = problems({"file": ["a.png", "b.png"]}, FILES * 2)
    assert fields(found) == ["file"]
    assert "one is taken" in found[0].message
    assert "needs `file` or `file_url`" in problems({"file": []})[0].message


def test_there_is_nothing_to_ask() -> None:
    """No page knows a balance, a price, a list of models or a call: none of them is pretended."""
    assert Removit({}).account is None
    assert Removit({}).callbacks is None
    assert Removit({}).informed([]).problems({"file_url": URL}, ()) == []
