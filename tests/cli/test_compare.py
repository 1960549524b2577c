"""`batcher compare`: runs from disk, in 80 columns, as JSON and as a page with nothing strange."""

from __future__ import annotations

import json
import stat
from pathlib import Path
from random import Random

import msgspec
import pytest
from click.testing import CliRunner, Result

from batcher.adapters.runfile import write_run_file
from batcher.cli.app import cli
from batcher.core.load import Load, steps_of
from batcher.core.model import iso
from batcher.core.settings import Frozen, Settings
from tests.report.pages import read

STRANGE = "</style><script>alert(1)</script>"
BEGAN = 1_800_000_000.0


def make_run(folder: Path, rows: int, job_s: float, *, seed: int, failed: float = 0.0) -> Path:
    """Write what a run of *rows* rows leaves: `run.toml` and outcome files."""
    folder.mkdir(parents=True)
    frozen = Frozen(
        provider="removit", base_url="https://a.example", manifest="-", params={"mode": STRANGE}
    )
    write_run_file(folder / "run.toml", frozen, Settings(in_flight=10 * seed))
    rng = Random(seed)
    files: dict[str, list[bytes]] = {"succeeded": [], "failed": []}
    for n in range(rows):
        name = "failed" if rng.random() < failed else "succeeded"
        took_s = job_s * (1 + n / rows) + rng.uniform(0, 0.02)
        files[name].append(record(n, took_s, at=BEGAN + n / 10))

    for name, lines in files.items():
        rng.shuffle(lines)
        (folder / f"{name}.jsonl").write_bytes(b"\n".join([*lines, b""]))

    return folder


def record(n: int, took_s: float, *, at: float) -> bytes:
    """Return an outcome record, as far as a comparison reads it."""
    accepted, seen = at + 0.2, at + 0.2 + took_s
    times = {"submitted": iso(at), "accepted": iso(accepted), "done_seen": iso(seen)}
    return json.dumps(
        {
            "id": f"row-{n}",
            "line": n + 1,
            "job_id": f"j{n}",
            "cost": 0.05,
            "attempts": {"status": 2},
            "time": {**times, "job_s": took_s},
        }
    ).encode()


@pytest.fixture
def runs(tmp_path: Path) -> tuple[Path, Path]:
    """Two runs of the same 300 rows: the other one takes 0.1 s longer for each, and fails more."""
    one = make_run(tmp_path / "one", 300, 1.0, seed=1, failed=0.02)
    return one, make_run(tmp_path / "other", 300, 1.1, seed=2, failed=0.25)


def compare(*words: object) -> Result:
    """Compare runs."""
    return CliRunner().invoke(cli, ["compare", *map(str, words)])


def test_what_differs_is_told_and_what_may_be_chance_too(runs: tuple[Path, Path]) -> None:
    """Job times and failures differ, submits do not; pairs see the 0.1 to 0.2 s of each row."""
    done = compare(*runs, "--json")
    assert done.exit_code == 0
    found = json.loads(done.stdout)
    words = {each["figure"]: each["word"] for each in found["differences"]}
    assert words["job_s_p50"] == "slower"
    assert words["failed"] == "more"
    assert words["succeeded"] == "less"
    assert words["submit_s_p50"] == "within noise"
    assert words["reads_per_job"] == "the same"
    (pair,) = found["pairs"]
    assert (pair["rows"], pair["one_of"], pair["jobs"]) == (300, 1, 300)
    assert 0.1 < pair["job_s_median"]["low"] < pair["job_s_median"]["high"] < 0.2
    assert pair["p_value"] < 1e-6


def test_a_run_does_not_differ_from_itself(runs: tuple[Path, Path]) -> None:
    """No number of it, and no row."""
    found = compare(runs[0], runs[0])
    assert "Nothing differs beyond noise." in found.stdout
    assert "slower" not in found.stdout


def test_what_chance_makes_is_called_noise(tmp_path: Path) -> None:
    """A tenth fails in both, by other draws: the counts differ, and neither is called worse."""
    one = make_run(tmp_path / "one", 300, 1.0, seed=1, failed=0.1)
    other = make_run(tmp_path / "other", 300, 1.0, seed=2, failed=0.1)
    found = json.loads(compare(one, other, "--json").stdout)
    (failed,) = [each for each in found["differences"] if each["figure"] == "failed"]
    assert failed["value"] != 0
    assert failed["low"] < 0 < failed["high"]
    assert (failed["is_noise"], failed["word"]) == (True, "within noise")


def test_of_too_few_rows_it_is_not_said_that_nothing_differs(tmp_path: Path) -> None:
    """Twelve jobs say nothing of the slowest one in a hundred: that is no finding of noise."""
    slow = make_run(tmp_path / "slow", 12, 9.0, seed=1)
    quick = make_run(tmp_path / "quick", 12, 2.0, seed=2)
    told = json.loads(compare(slow, quick, "--json").stdout)
    words = {each["figure"]: each["word"] for each in told["differences"]}
    assert words["job_s_p50"] == "faster"
    assert words["job_s_p99"] == "too few to say"


@pytest.mark.parametrize("number", [1, 2, 3, 5])
def test_it_fits_eighty_columns(runs: tuple[Path, Path], number: int) -> None:
    """However many runs, and whatever stands in their settings."""
    done = compare(*(runs * 3)[:number])
    assert done.exit_code == 0
    lines = done.stdout.splitlines()
    paths = (*(f"{letter}  " for letter in "ABCDE"), "  /")  # only these may be longer
    told = [line for line in lines if not line.startswith(paths) or "  load" in line]
    assert max(map(len, told)) <= 80
    assert "job P90" in done.stdout


def test_the_page_stands_alone_and_says_nothing_strange(
    runs: tuple[Path, Path], tmp_path: Path
) -> None:
    """Well formed, private, no script, no address; a value of a row's parameters stays text."""
    path = tmp_path / "compared.html"
    done = compare(*runs, "--html", path)
    assert done.exit_code == 0, done.stderr
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    page = read(path.read_bytes())
    assert page.all("script") == []
    assert not {"src", "href"} & {name for each in page.elements for name in each.attributes}
    (policy,) = [m for m in page.all("meta") if "http-equiv" in m.attributes]
    assert "default-src 'none'" in policy.attributes["content"]
    assert "job P50: slower" in page.text
    assert len(page.all("figure")) == 3
    again = compare(*runs, "--html", path)
    assert again.exit_code == 0


def test_only_a_page_is_replaced(runs: tuple[Path, Path], tmp_path: Path) -> None:
    """A file of somebody's own is left as it is, before anything is read."""
    path = tmp_path / "mine.html"
    path.write_text("mine")
    done = compare(*runs, "--html", path)
    assert done.exit_code == 2
    assert "is no page of batcher" in done.stderr
    assert path.read_text() == "mine"


def test_broken_lines_are_counted_and_passed_over(runs: tuple[Path, Path]) -> None:
    """A damaged record costs itself only."""
    with (runs[0] / "failed.jsonl").open("ab") as file:
        file.write(b"{broken\n")

    done = compare(runs[0])
    assert done.exit_code == 0
    assert "1 lines of the outcome files are no records" in done.stderr


def test_a_load_is_counted_from_when_jobs_were_due(tmp_path: Path) -> None:
    """A submit that left 4 s late took 4.2 s, however soon it was answered then."""
    run = make_run(tmp_path / "load", 20, 1.0, seed=1)
    late = [record(n, 1.0, at=BEGAN + n / 10 + 4 * (n >= 10)) for n in range(20)]
    (run / "succeeded.jsonl").write_bytes(b"\n".join([*late, b""]))
    load = Load(BEGAN, steps_of([10.0, 10.0], 1.0, 20))
    (run / "bench.json").write_bytes(msgspec.json.encode(load))
    done = compare(run, "--json")
    first, second = json.loads(done.stdout)["runs"][0]["load"]
    assert (first["keeps_up"], first["late"], first["achieved_per_s"]) == (True, 0, 10.0)
    assert (second["keeps_up"], second["late"], second["achieved_per_s"]) == (False, 10, 0.0)
    assert first["submit_s"]["p50"] == pytest.approx(0.2, rel=0.01)
    assert second["submit_s"]["p50"] == pytest.approx(4.2, rel=0.01)
    assert second["job_s"]["p99"] == pytest.approx(5.2, rel=0.01)
    assert "It saturates at 10/s" in compare(run).stdout
