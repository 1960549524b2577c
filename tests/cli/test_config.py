"""`batcher config`: every setting with its true origin, and all that is wrong, at once."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from batcher.adapters.runfile import write_run_file
from batcher.cli.app import cli
from batcher.cli.flags.config_file import line_of
from batcher.cli.flags.wishes import RUN_OPTIONS
from batcher.core.settings import Frozen, Settings

TOKEN = "t0ken-of-the-webhook"


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("REMOVIT_API_KEY", "DEAPI_API_KEY"):
        monkeypatch.delenv(name, raising=False)


def shown(*words: str) -> dict[str, tuple[str, str]]:
    """Return the settings that are shown: value and origin by name."""
    done = CliRunner().invoke(cli, ["config", "show", "--json", *words])
    assert done.exit_code == 0, done.output
    lines: list[dict[str, Any]] = json.loads(done.stdout)
    return {line["name"]: (line["value"], line["origin"]) for line in lines}


def test_the_origin_is_the_one_that_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Flag over variable over file over default, each named so that one finds it."""
    Path("batcher.toml").write_text(
        '# ours\nrate = "1/m"\nin_flight = 11\n"job-timeout" = 60\nfail-on = ["failed>1%"]\n'
        '[set]\nmode = "clipping"\n'
    )
    monkeypatch.setenv("BATCHER_RATE", "2/m")
    monkeypatch.setenv("BATCHER_IN_FLIGHT", "22")
    found = shown("--rate", "3/m")

    assert found["rate"] == ("3/m", "flag --rate")
    assert found["in-flight"] == ("22", "environment BATCHER_IN_FLIGHT")
    assert found["job-timeout"] == ("1m", "batcher.toml line 4")
    assert found["fail-on"] == ("failed>1%", "batcher.toml line 5")
    assert found["set"] == ("mode=clipping", "batcher.toml line 6")
    assert found["grace"] == ("30s", "default")
    assert found["max-jobs"] == ("none", "default")


def test_every_setting_is_shown() -> None:
    """Whatever may be written down is there, but for what one call alone is about."""
    expected = {name.replace("_", "-") for name in RUN_OPTIONS} - {"json", "dry-run"}

    assert expected | {"key of removit", "key of deapi"} == set(shown())


def test_no_secret_is_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a key and of the address of `--notify` one sees whether, and where."""
    monkeypatch.setenv("BATCHER_NOTIFY", f"https://hooks.example/{TOKEN}")
    monkeypatch.setenv("REMOVIT_API_KEY", TOKEN)
    found = shown("--provider", "removit")

    assert found["notify"] == ("set (from BATCHER_NOTIFY)", "environment BATCHER_NOTIFY")
    assert found["key of removit"][0] == "set (from REMOVIT_API_KEY)"
    assert "key of deapi" not in found
    assert TOKEN not in str(found)


def test_a_run_that_exists_has_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its file counts in place of `batcher.toml`; what is given now counts more, if it may."""
    Path("r").mkdir()
    frozen = Frozen(provider="deapi", base_url="https://a.example", manifest="/m", params={"n": 1})
    write_run_file(Path("r/run.toml"), frozen, Settings(rate="9/m", max_jobs=7))
    Path("batcher.toml").write_text('rate = "1/m"\nquiet = true\nmax-jobs = 3\n')
    monkeypatch.setenv("BATCHER_IN_FLIGHT", "22")
    found = shown("r", "--max-jobs", "none")

    assert found["provider"] == ("deapi", "run.toml, frozen")
    assert found["set"] == ("n=1", "run.toml, frozen")
    assert found["rate"] == ("9/m", "run.toml")
    assert found["max-jobs"] == ("none", "flag --max-jobs")
    assert found["in-flight"] == ("22", "environment BATCHER_IN_FLIGHT")
    assert found["quiet"] == ("no", "default")
    refused = CliRunner().invoke(cli, ["config", "show", "r", "--base-url", "https://b.example"])
    assert (refused.exit_code, "belongs to the run" in refused.output) == (2, True)


def test_the_table_has_the_origin_if_asked() -> None:
    """For people: one line a setting."""
    plain = CliRunner().invoke(cli, ["config", "show"]).stdout.splitlines()
    told = CliRunner().invoke(cli, ["config", "show", "--origin"]).stdout.splitlines()

    assert [line.split()[0] for line in plain] == [line.split()[0] for line in told]
    assert any(line.startswith("grace ") and line.endswith(" default") for line in told)
    assert not any(line.endswith(" default") for line in plain)


def test_check_tells_all_that_is_wrong_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Unknown keys with what may have been meant, values with their line, variables; exit 2."""
    Path("batcher.toml").write_text(
        "in-flihgt = 5\nrate = 'fast'\njob-timeout = '5m'\nfail-on = 'failed>q'\nnope = 1\n"
    )
    monkeypatch.setenv("BATCHER_INFLIGHT", "3")
    monkeypatch.setenv("BATCHER_GRACE", "soon")
    monkeypatch.setenv("BATCHER_QUIET", "yes")
    monkeypatch.setenv("BATCHER_NOTIFY", f"http://hooks.example/{TOKEN}")
    done = CliRunner().invoke(cli, ["config", "check"])

    assert done.exit_code == 2
    starts = [
        "batcher.toml: no setting 'in-flihgt'. Did you mean 'in-flight'?",
        "batcher.toml: no setting 'nope'.",
        "batcher.toml line 2: rate: 'fast' is not a rate",
        "batcher.toml line 4: fail-on: 'failed>q' is no condition",
        "BATCHER_GRACE: 'soon' is not a duration",
        "BATCHER_INFLIGHT is not known; did you mean BATCHER_IN_FLIGHT?",
        "BATCHER_NOTIFY: plain http is for this machine alone",
    ]
    lines = sorted(done.stdout.splitlines())
    assert len(lines) == len(starts), done.stdout
    for line, start in zip(lines, sorted(starts), strict=True):
        assert line.startswith(start)

    assert TOKEN not in done.output


@pytest.mark.parametrize("text", [None, 'rate = "5/s"\nset = { mode = "clipping" }\n'])
def test_check_of_what_can_be_used(text: str | None) -> None:
    """0 and one line, with a file or without."""
    if text is not None:
        Path("batcher.toml").write_text(text)

    done = CliRunner().invoke(cli, ["config", "check"])

    assert (done.exit_code, done.stdout.count("\n")) == (0, 1)


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("a = 1\nin-flight = 2", 2),
        ("in_flight=2", 1),
        ("'in-flight' = 2", 1),
        ("[other]\nin-flight = 2", None),
        ("[in-flight]\na = 2", 1),
        ("in-flight.a = 2", 1),
        ("# in-flight = 2", None),
        ("in-flight-2 = 2", None),
    ],
)
def test_where_a_setting_stands(text: str, line: int | None) -> None:
    """The line in which a person finds it."""
    assert line_of(text, "in_flight") == line
