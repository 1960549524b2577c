"""`batcher plan` says what is known before a run, sends nothing, and uses what was learned."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from batcher.adapters.learned import Learned
from batcher.cli.app import cli
from batcher.core.polling.durations import Durations, Look
from batcher.providers import provider_named

DEAPI = "https://api.deapi.ai"
REMOVIT = "https://api.removit.eu"
ROW = {"prompt": "a shoe", "model": "Flux1schnell", "width": 768, "height": 768, "steps": 4}
CLASS = provider_named("deapi", {"task": "generations"}).job_class(ROW)
CALLS = ("--webhook-listen", "127.0.0.1:8080", "--webhook-url", "https://hooks.example/b")


@pytest.fixture(autouse=True)
def in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither a batcher.toml nor what somebody's runs have learned counts."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("BATCHER_STATE_DIR", str(tmp_path / "state"))


def plan(provider: str, *words: str, rows: int, **row: object) -> Result:
    """Return what a plan of so many rows says."""
    own = row or {"file_url": "https://a.example/1.jpg"}
    lines = (json.dumps({"id": f"r{n}", **own}) for n in range(rows))
    Path("m.jsonl").write_text("".join(f"{line}\n" for line in lines))
    return CliRunner().invoke(cli, ["plan", "m.jsonl", "--provider", provider, *words])


def told(provider: str, *words: str, rows: int, **row: object) -> str:
    """Return its text; every line of it fits a terminal."""
    done = plan(provider, *words, rows=rows, **row)
    assert done.exit_code == 0, done.output
    assert max(map(len, done.stdout.splitlines())) <= 80
    return done.stdout


def found(provider: str, *words: str, rows: int, **row: object) -> dict[str, Any]:
    """Return its object."""
    value = json.loads(plan(provider, *words, "--json", rows=rows, **row).stdout.splitlines()[-1])
    assert value["kind"] == "plan"
    return dict(value)


def learn(provider: str, base_url: str, name: str, duration_s: float, count: int = 60) -> None:
    """Leave what earlier runs learned of one class of jobs."""
    looks = (Look(0.0, 0.9 * duration_s, False), Look(0.9 * duration_s, 1.1 * duration_s, True))
    durations = Durations(look for _ in range(count) for look in looks)
    durations.curve()
    Learned(provider, base_url).save({name: durations.kept()})


def test_nothing_learned_is_said() -> None:
    """A least time by the limits alone, and that the rest is not known."""
    text = told("removit", rows=100)

    assert "time     at least 20 s\n" in text
    assert "limit    submit limit 5/s: 100 submits take 20 s\n" in text
    assert "not known yet how long they take: nothing learned of these jobs" in text


def test_what_earlier_runs_learned_is_used() -> None:
    """How long the jobs take makes the time, with how sure that is, and which limit binds."""
    learn("removit", REMOVIT, "clipping png", 50.0)
    text = told("removit", "--in-flight", "5", rows=100)
    value = found("removit", "--in-flight", "5", rows=100)

    assert "limit    in-flight limit 5: 100 jobs take " in text
    assert "next: submit limit 5/s: 100 submits take 20 s\n" in text
    assert "jobs     about 50 s each" in text
    assert "learned from 60 jobs" in " ".join(text.split())
    assert "faster   with --in-flight " in text
    assert value["known"] is True
    assert 900 < value["seconds"]["p50"] < 1_200
    assert value["seconds"]["p10"] <= value["seconds"]["p50"] <= value["seconds"]["p90"]
    assert value["limits"][0]["limit"] == "in-flight limit"


def test_a_days_limit_of_status_reads() -> None:
    """It is told in days, and webhooks stand beside it where the API makes calls."""
    learn("deapi", DEAPI, CLASS, 20.0)
    words = ("--set", "task=generations", "--rate", "5/s")
    text = told("deapi", *words, rows=1_000, seed=1, **ROW)
    calls = told("deapi", *words, *CALLS, rows=1_000, seed=1, **ROW)

    assert "time     6 days\n" in text
    assert re.search(r"^limit    status limit 200/d: 1,0\d\d status reads take 6 days$", text, re.M)
    assert "warning  200 status reads a day: 6 days, or turn webhooks on\n" in text
    assert "faster   with webhooks (docs/webhooks.md): 5 days" in text
    assert "turn webhooks on" not in calls
    assert "reads    about 1,000: the API calls when a job is done\n" in calls


def test_a_time_that_is_too_short_is_warned_of() -> None:
    """So many rows of the night, and the rest stays pending."""
    text = " ".join(told("removit", "--max-duration", "10s", rows=100).split())

    assert "--max-duration leaves 10 s: at most 50 of 100 jobs; the rest stays pending" in text


def test_jobs_beyond_their_time_are_warned_of() -> None:
    """Jobs that take longer than they are followed end exhausted, though they are paid for."""
    learn("removit", REMOVIT, "clipping png", 50.0)
    text = told("removit", "--job-timeout", "30s", rows=10)

    assert "of the jobs take longer than --job-timeout 30 s" in " ".join(text.split())
    assert "job-timeout" not in told("removit", rows=10)


def test_costs_and_limits_of_jobs() -> None:
    """By the user's own word, for as many jobs as may be made."""
    text = told("removit", "--cost-per-job", "0.02", "--max-jobs", "30", rows=100)

    assert "cost     0.60: 30 jobs at 0.02\n" in text
    assert "30 submits" in text


@pytest.mark.parametrize(("rows", "code"), [(0, 0), (2, 3)])
def test_bad_rows_and_no_rows(rows: int, code: int) -> None:
    """3: some rows are bad, and those are not counted; without rows there is nothing to do."""
    done = plan("removit", rows=rows, mode="no-such-mode")

    assert done.exit_code == code
    assert "time     nothing to do: no row is left" in done.stdout


def test_nothing_is_made() -> None:
    """A plan leaves no run directory and no file."""
    told("removit", rows=3)

    assert [path.name for path in Path.cwd().iterdir()] == ["m.jsonl"]


def test_a_dry_run_says_the_same() -> None:
    """`run --dry-run` and `plan` share their lines."""
    text = told("removit", rows=40)
    words = ["run", "m.jsonl", "--provider", "removit", "--dry-run"]
    dry = " ".join(CliRunner().invoke(cli, words).stdout.split())

    for line in text.splitlines()[2:]:
        assert " ".join(line.split()) in dry
