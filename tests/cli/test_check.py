"""`check` finds what `run` would reject, says where, and spends nothing."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from batcher.cli.app import cli
from batcher.cli.commands.check.command import SHOWN_MAX
from batcher.cli.commands.check.survey import Totals, survey
from batcher.providers import provider_named

GOOD = '{"id": "%s", "file_url": "https://a.example/%s.jpg"}'


@pytest.fixture(autouse=True)
def in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No batcher.toml of anybody counts, and paths are short."""
    monkeypatch.chdir(tmp_path)


def check(*lines: str, more: tuple[str, ...] = ()) -> Result:
    """Check a manifest of these lines."""
    Path("m.jsonl").write_text("".join(f"{line}\n" for line in lines), "utf-8")
    return CliRunner().invoke(cli, ["check", "m.jsonl", "--provider", "removit", *more])


def test_good_rows() -> None:
    """0, and one line that counts them."""
    result = check(GOOD % (1, 1), "", GOOD % (2, 2))

    assert (result.exit_code, result.stdout) == (0, "2 rows: 2 good, 0 bad\n")


def test_a_bad_row_is_named_by_line_and_field() -> None:
    """3, and `file:line: field: message` with the physical line."""
    result = check(GOOD % (1, 1), "", '{"id": "x", "file_url": "nowhere"}', "{")

    assert result.exit_code == 3
    lines = result.stdout.splitlines()
    assert lines[0].startswith("m.jsonl:3: file_url: must be an absolute http")
    assert lines[1].startswith("m.jsonl:4: is not JSON")
    assert lines[2] == "3 rows: 1 good, 2 bad (file_url 1, unreadable 1)"


def test_the_second_row_with_an_id_is_bad_wherever_it_stands() -> None:
    """An id that stands in two rows is told at the later one; derived ids never collide."""
    anonymous = '{"file_url": "https://a.example/x.jpg"}'
    rows = [GOOD % (n, n) for n in range(300)]
    result = check(*rows, GOOD % (7, "other"), anonymous, anonymous)

    assert result.exit_code == 3
    assert "m.jsonl:301: id: another row before it has the same id" in result.stdout
    assert "303 rows: 302 good, 1 bad" in result.stdout


def test_a_near_miss_is_a_warning_told_once() -> None:
    """A column that is nearly a parameter is told with its first line; it makes no row bad."""
    near = '{"id": "%s", "file_url": "https://a.example/1.jpg", "ouput_format": "png"}'
    result = check(GOOD % (1, 1), *(near % n for n in range(2, 7)))

    assert result.exit_code == 0
    found = [line for line in result.stdout.splitlines() if "ouput_format" in line]
    assert len(found) == 1
    assert found[0].startswith("m.jsonl:2: warning: ouput_format: ")
    assert found[0].endswith("(5 rows)")
    assert result.stdout.endswith("6 rows: 6 good, 0 bad, 1 warning\n")


def test_many_problems_are_cut_for_people_and_whole_for_programs() -> None:
    """Twenty on the screen, then how many more; --json has them all and then the totals."""
    bad = [f'{{"id": "{n}", "file_url": "nowhere"}}' for n in range(SHOWN_MAX + 5)]
    shown = check(*bad).stdout.splitlines()
    told = [json.loads(line) for line in check(*bad, more=("--json",)).stdout.splitlines()]

    assert len(shown) == SHOWN_MAX + 2
    assert shown[SHOWN_MAX] == "… and 5 more; --json prints them all"
    assert [item["line"] for item in told[:-1]] == list(range(1, SHOWN_MAX + 6))
    assert told[0].items() >= {"id": "0", "field": "file_url", "kind": "invalid_row"}.items()
    assert told[-1].items() >= {"kind": "totals", "rows": 25, "good": 0, "bad": 25}.items()


def test_a_row_of_a_table_is_named_by_its_number_and_id() -> None:
    """A record can span lines, so its number is no line; what the row has instead is listed."""
    Path("m.csv").write_text('id,SKU,Bild-URL\nART-1,"two\nlines",x\n,3,y\n', "utf-8")
    result = CliRunner().invoke(cli, ["check", "m.csv", "--provider", "removit"])

    assert result.stdout.splitlines()[:2] == [
        "m.csv: row 1 (id ART-1): file: needs `file` or `file_url`; has: id, SKU, Bild-URL",
        "m.csv: row 2: file: needs `file` or `file_url`; has: SKU, Bild-URL",
    ]


def test_an_image_of_a_folder_is_named() -> None:
    """A folder has no lines: the file's name within it is told."""
    Path("photos/shop").mkdir(parents=True)
    Path("photos/shop/1.png").touch()
    result = CliRunner().invoke(cli, ["check", "photos", "--provider", "removit"])

    assert result.stdout.splitlines()[0] == "photos: shop/1.png: file: 1.png is empty"


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("a.jsonl", b'[\n{"id": 1}\n]\n', "is a JSON array"),
        ("a.json", b'[{"id": 1}, {"id": 2}]', "is a JSON array"),
        ("a.png", b"\x89PNG\r\n\x1a\n\0\0", "is an image (png)"),
        ("a.xlsx", b"PK\x03\x04\0\0", "save a spreadsheet as CSV"),
    ],
)
def test_what_is_no_manifest_is_called_by_its_name(name: str, content: bytes, told: str) -> None:
    """A file that was never meant to be read line by line gets one line itself, and exit code 2."""
    Path(name).write_bytes(content)
    result = CliRunner().invoke(cli, ["check", name, "--provider", "removit"])

    assert (result.exit_code, result.stdout) == (2, "")
    assert told in result.stderr


def test_an_empty_manifest_is_good_with_a_warning() -> None:
    """0, and standard error says that there is nothing."""
    result = check()

    assert (result.exit_code, result.stdout) == (0, "0 rows: 0 good, 0 bad\n")
    assert "has no rows" in result.stderr


def test_what_stands_in_a_row_cannot_paint() -> None:
    """A message that quotes a row shows its control characters as text, also as JSON."""
    row = json.dumps({"id": "x", "file_url": "https://a.example/1", "mode": "\x1b[2J\u202e"})
    lone = '{"id": "y", "file_url": "https://a.example/1", "mode": "\\ud800"}'
    result = check(row, lone)

    assert "\x1b" not in result.stdout
    assert "\u202e" not in result.stdout
    assert check(row, lone, more=("--json",)).exit_code == 3


def test_set_and_limit_count() -> None:
    """A parameter for all rows is checked with each; only the first rows are read."""
    rows = [GOOD % (n, n) for n in range(3)]

    assert check(*rows, more=("--set", "mode=nonsense")).exit_code in (2, 3)
    assert "1 row: 1 good" in check(*rows, "{", more=("--limit", "1")).stdout


def test_only_rows_that_can_be_used_are_priced() -> None:
    """Not one that is wrong, has a wrong id, or cannot be read: each is handed on once or never."""
    Path("m.jsonl").write_text("\n".join([GOOD % (1, 1), "{", GOOD % ("", 2), "{}", GOOD % (3, 3)]))
    lines: list[int] = []
    found = survey(
        "m.jsonl",
        provider_named("removit", {}),
        Totals(),
        usable=lambda line, _values, _files: lines.append(line),
    )

    assert len(list(found)) == 3
    assert lines == [1, 5]


def test_a_variable_of_the_check_is_no_slip(monkeypatch: pytest.MonkeyPatch) -> None:
    """BATCHER_QUOTES is nearly BATCHER_QUOTE, and is meant."""
    monkeypatch.setenv("BATCHER_QUOTES", "5")

    assert check(GOOD % (1, 1)).stderr == ""


@pytest.mark.parametrize(
    "words", [("--quotes", "5"), ("--cost-per-job", "1"), ("--base-url", "https://a.example")]
)
def test_a_flag_that_would_do_nothing(words: tuple[str, ...]) -> None:
    """Whoever asks for money and not for the API gets no silent answer."""
    result = check(GOOD % (1, 1), more=words)

    assert (result.exit_code, result.stdout) == (2, "")
    assert f"{words[0]}: does nothing without --preflight" in result.stderr


def test_what_is_written_down_for_run_does_not_disturb_a_check() -> None:
    """The file's base URL and cost are for runs; the check needs neither them nor the network."""
    Path("batcher.toml").write_text("base-url = 'https://a.example'\ncost-per-job = 0.5\n")

    assert check(GOOD % (1, 1)).stdout == "1 row: 1 good, 0 bad\n"
