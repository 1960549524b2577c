"""A dry run shows what would be sent and what it would cost, and no secret of it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from batcher.cli.app import cli
from tests.meta.source import ROOT

IMAGES = ROOT / "sample_manifests" / "images"
CALLS = ("--webhook-listen", "127.0.0.1:8080", "--webhook-url", "https://hooks.example/b")
EDIT = {"prompt": "both", "model": "Flux_2_Klein_4B_BF16", "steps": 4, "seed": 7}


@pytest.fixture(autouse=True)
def in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No batcher.toml of anybody counts."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("BATCHER_STATE_DIR", str(tmp_path / "state"))


def dry_run(provider: str, *words: str, **row: object) -> str:
    """Return what a dry run of two such rows says."""
    Path("m.jsonl").write_text(
        "".join(json.dumps({"id": name, **row}) + "\n" for name in ("a", "b"))
    )
    done = CliRunner().invoke(cli, ["run", "m.jsonl", "--provider", provider, "--dry-run", *words])
    assert done.exit_code == 0, done.output
    return done.stdout


def test_several_files_are_all_shown() -> None:
    """In their order, each with where it lies."""
    names = ["disc-red.png", "square-green.png"]
    files = [str(IMAGES / name) for name in names]
    told = dry_run("deapi", "--set", "task=edits", file=files, **EDIT)

    shown = [line for line in told.splitlines() if line.startswith("  images[] = @")]
    assert len(shown) == 2
    assert all(file in line for file, line in zip(files, shown, strict=True))


@pytest.mark.parametrize("task", ["edits", "generations"])
def test_what_each_submit_gets_of_its_own_is_hidden(task: str) -> None:
    """The address and the secret of calls are named, in a form and in JSON, and not invented."""
    row: dict[str, object] = {**EDIT, "task": task, "width": 768, "height": 768}
    if task == "edits":
        row["file"] = str(IMAGES / "disc-red.png")

    told = dry_run("deapi", *CALLS, **row)
    quiet = dry_run("deapi", **row)

    assert "https://hooks.example/b/***" in told
    secret = "webhook_secret = ***" if task == "edits" else '"webhook_secret":"***"'
    assert secret in told
    assert "webhook" not in quiet


def test_what_the_rows_come_to_by_the_users_own_word() -> None:
    """Rows times cost, as many as may be submitted, and where the limit would stop them."""
    url = "https://a.example/1.jpg"
    plain = dry_run("removit", file_url=url)
    one = dry_run("removit", "--cost-per-job", "0.0035", file_url=url)
    over = dry_run("deapi", "--set", "task=upscales", "--cost-per-job", "2", "--max-cost", "1.5",
                   "--max-jobs", "1", file=str(IMAGES / "disc-red.png"))  # fmt: skip

    assert "cost" not in plain
    assert "cost           0.007: 2 jobs at 0.0035" in one
    assert "setting        --cost-per-job 0.0035" in one
    assert "cost           2.00 USD: 1 job at 2.00 USD" in over
    assert "--max-cost stops the run before 1.50 USD" in over


def test_how_long_the_limits_make_it() -> None:
    """By the published limit or the one given, for as many rows as may be submitted."""
    row = {**EDIT, "file": str(IMAGES / "disc-red.png")}
    task = ("--set", "task=edits", "--set", f"model={EDIT['model']}")
    free = dry_run("deapi", *task, **row)
    paid = dry_run("deapi", *task, "--set", "tier=premium", **row)
    given = dry_run("deapi", *task, "--rate", "1/h", **row)
    one = dry_run("deapi", *task, "--rate", "1/h", "--max-jobs", "1", **row)

    assert "time           at least 2 min\n" in free
    assert "limit          submit limit 1/m: 2 submits take 2 min\n" in free
    assert "faster         with a paid account --set tier=premium: at least 2 s\n" in free
    assert "limit          submit limit 60/m: 2 submits take 2 s\n" in paid
    assert "limit          submit limit 1/h: 2 submits take 2 h\n" in given
    assert "limit          submit limit 1/h: 1 submit takes 1 h\n" in one
    assert "tier" not in given + one
    assert "paid account" not in paid


def test_a_days_cap_says_what_becomes_of_the_run() -> None:
    """It stops unless it may wait for so long; nothing is advised then."""
    words = ("--rate", "1/d")
    url = "https://a.example/1.jpg"
    stops = dry_run("removit", *words, file_url=url)
    stays = dry_run("removit", *words, "--max-wait", "25h", file_url=url)

    assert "time           at least 2 days\n" in stops
    assert "limit          submit limit 1/d: 2 submits take 2 days\n" in stops
    assert "warning        stops at each day's limit; resume goes on" in stops
    assert "2 days" in stays
    assert "stops at" not in stays


def test_settings_are_shown_as_they_are_typed() -> None:
    """What is shown can be pasted: names by commas, an amount without an exponent."""
    told = dry_run(
        "deapi", "--variants", "a,b", "--cost-per-job", "0.000000001", "--claim-wait", "3m",
        "--set", "task=upscales", *CALLS, file=str(IMAGES / "disc-red.png"),
    )  # fmt: skip

    for words in ("--variants a,b", "--cost-per-job 0.000000001", "--claim-wait 3m"):
        assert f"setting        {words}\n" in told
