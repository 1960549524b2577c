"""Every promised flag is there, sets what it says, and comes from where it may come."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
import msgspec
import pytest

from batcher.adapters.runfile import read_run_file, write_run_file
from batcher.cli.app import cli
from batcher.cli.commands.run.command import command as run
from batcher.cli.flags.given import given_settings
from batcher.cli.flags.table import FLAGS
from batcher.cli.flags.wishes import RUN_OPTIONS, new_settings, resumed_settings
from batcher.core.settings import Frozen, Settings

PROMISED = {
    "--base-url", "--set", "--rate", "--status-rate", "--in-flight", "--connections",
    "--job-timeout", "--max-attempts", "--on-doubt", "--max-duplicates", "--download",
    "--limit", "--dry-run", "--finish-by", "--max-duration", "--max-jobs", "--max-failures",
    "--max-wait", "--max-outage", "--wait-for-credits", "--grace", "--allow-private", "--quiet",
    "--json", "--log-level", "--provider", "--run-dir", "--api-key-file", "--allow-changed",
    "--on-500", "--variants", "--max-cost", "--cost-per-job", "--quote", "--webhook-listen",
    "--webhook-url", "--claim-wait",
}  # fmt: skip


def options(command: click.Command) -> set[str]:
    """Return every flag that a command takes."""
    return {name for param in command.params for name in param.opts}


def parsed(*words: str) -> dict[str, Any]:
    """Return what `batcher run` would be called with."""
    return run.make_context("run", ["m.jsonl", "--provider", "removit", *words]).params


@pytest.fixture(autouse=True)
def in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No batcher.toml of anybody counts."""
    monkeypatch.chdir(tmp_path)


def test_no_promised_flag_is_missing() -> None:
    """`run` takes every published flag."""
    assert options(run) >= PROMISED


def test_no_key_can_be_given_as_a_value() -> None:
    """A key in an argument list can be read by every user of the machine."""
    assert not [name for name in options(run) if "key" in name and name not in KEY_FLAGS]


KEY_FLAGS = {"--api-key-file", "--new-key"}


def test_every_setting_has_its_flag_and_every_flag_its_setting() -> None:
    """No field of Settings is out of reach, none is set by two flags."""
    fields = [flag.field for flag in FLAGS]

    assert sorted(fields) == sorted(field.name for field in msgspec.structs.fields(Settings))


def test_what_exists_may_change_its_settings_and_nothing_else() -> None:
    """`resume` and `retry` take every setting, and none of what a run is about."""
    for name in ("resume", "retry"):
        command = cli.get_command(click.Context(cli), name)
        assert command is not None
        assert options(command) >= {flag.name for flag in FLAGS}
        assert not options(command) & {"--provider", "--base-url", "--set", "--download"}


def test_nothing_given_is_all_defaults() -> None:
    """Defaults are those of Settings; the command line has none of its own."""
    assert given_settings(parsed()) == {}
    assert new_settings(parsed(), "https://api.example") == Settings()


def test_flags_set_what_they_say() -> None:
    """Each flag reaches its field, in the field's unit."""
    words = (
        "--rate 60/m --status-rate 2/s --in-flight 5 --connections 3 --submit-timeout 1m "
        "--status-timeout 5s --download-stall 9 --download-bytes-max 77 --job-timeout 1h "
        "--max-attempts 2 --on-doubt resubmit --max-duplicates 4 --on-500 hold --allow-changed "
        "--allow-private --limit 8 --max-jobs 9 --max-failures 5% --max-wait 2m --max-outage 3m "
        "--max-duration 4m --finish-by 2999-01-01T00:00Z --wait-for-credits --grace 0 --new-key "
        "--variants clipping,compose --max-cost 12.5 --cost-per-job 0.05 --quote --claim-wait 3m "
        "--webhook-listen [::1]:8080 --webhook-url https://hooks.example/batcher/"
    )
    settings = new_settings(parsed(*words.split()), "https://api.example")

    assert settings == Settings(
        rate="60/m",
        status_rate="2/s",
        in_flight=5,
        connections=3,
        submit_timeout_s=60,
        status_timeout_s=5,
        download_stall_s=9,
        download_bytes_max=77,
        job_timeout_s=3_600,
        max_attempts=2,
        on_doubt="resubmit",
        max_duplicates=4,
        on_500="hold",
        allow_changed=True,
        allow_private=True,
        limit=8,
        max_jobs=9,
        max_failures="5%",
        max_wait_s=120,
        max_outage_s=180,
        max_duration_s=240,
        finish_by=settings.finish_by,
        wait_for_credits=True,
        grace_s=0,
        new_key=True,
        variants=("clipping", "compose"),
        max_cost=12.5,
        cost_per_job=0.05,
        quote=True,
        claim_wait_s=180,
        webhook_listen="[::1]:8080",
        webhook_url="https://hooks.example/batcher",
    )
    assert settings.finish_by is not None


def test_flag_beats_variable_beats_file_beats_default(monkeypatch: pytest.MonkeyPatch) -> None:
    """The published precedence, on one setting in each place."""
    Path("batcher.toml").write_text(
        'rate = "1/m"\nin-flight = 11\nmax_jobs = 12\njob-timeout = 60\nwait-for-credits = true\n'
        'set = { seed = 4, prompt = "a b" }\nvariants = ["a", "b"]\nmax-cost = 1e-05\n'
        "cost-per-job = 1\n"
    )
    monkeypatch.setenv("BATCHER_RATE", "2/m")
    monkeypatch.setenv("BATCHER_IN_FLIGHT", "22")
    flags = parsed("--rate", "3/m")
    settings = new_settings(flags, "https://api.example")

    assert (settings.rate, settings.in_flight, settings.max_jobs) == ("3/m", 22, 12)
    assert (settings.job_timeout_s, settings.wait_for_credits) == (60, True)
    assert (settings.variants, settings.max_cost) == (("a", "b"), 1e-05)
    assert settings.cost_per_job == 1
    assert settings.connections == Settings().connections
    assert flags["set"] == (("seed", 4), ("prompt", "a b"))


@pytest.mark.parametrize(
    "value", ['{"mode": "params", "params": {"a": 1}}', 'mode=params\nparams={"a": 1}\n']
)
def test_the_variable_of_set(value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is a JSON object, or one pair a line, so that values may have blanks."""
    monkeypatch.setenv("BATCHER_SET", value)

    assert parsed()["set"] == (("mode", "params"), ("params", {"a": 1}))


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("in-flihgt = 5", "in-flihgt.*Did you mean 'in-flight'"),
        ("nonsense = 5", "nonsense"),
        ("rate = {}", "rate"),
        ("rate = 'fast'", "not a rate"),
        ("rate = ", "TOML"),
    ],
)
def test_a_file_that_cannot_be_meant(text: str, told: str) -> None:
    """A key that is no flag, or a value that is none, is refused and named."""
    Path("batcher.toml").write_text(text)

    with pytest.raises(click.UsageError, match=told):
        parsed()


def test_a_wrong_value_is_told_with_the_place_where_it_stands(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Nobody looks for a slip in a command that does not have it."""
    Path("batcher.toml").write_text("job-timeout = 'soon'")
    with pytest.raises(click.UsageError, match=r"^batcher.toml: job-timeout: 'soon' is not a"):
        parsed()

    monkeypatch.setenv("BATCHER_JOB_TIMEOUT", "later")
    with pytest.raises(click.UsageError, match=r"^BATCHER_JOB_TIMEOUT: 'later' is not a"):
        parsed()

    with pytest.raises(click.BadParameter, match=r"^'now' is not a"):
        parsed("--job-timeout", "now")


def test_a_variable_that_is_nearly_ours_is_warned_of(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A limit that silently does nothing costs money; a variable of somebody else is none."""
    monkeypatch.setenv("BATCHER_INFLIGHT", "3")
    monkeypatch.setenv("BATCHER_SEEDS", "3")
    monkeypatch.setenv("BATCHER_IN_FLIGHT", "3")

    assert parsed()["in_flight"] == 3
    told = capsys.readouterr().err
    assert told.count("\n") == 1
    assert "BATCHER_INFLIGHT is not known; did you mean BATCHER_IN_FLIGHT?" in told


def test_help_is_there_whatever_the_file_says() -> None:
    """Somebody whose file is refused must be able to look up the flags."""
    Path("batcher.toml").write_text("nonsense = 5")

    with pytest.raises(click.exceptions.Exit) as left:
        parsed("--help")

    assert left.value.exit_code == 0


def test_loopback_implies_private_files() -> None:
    """A base URL on this machine has its result files there too, unless that is refused."""
    assert new_settings(parsed(), "http://127.0.0.1:8080").allow_private
    assert not new_settings(parsed("--no-allow-private"), "http://[::1]:80").allow_private


def test_a_resume_keeps_what_is_not_given() -> None:
    """Flags given now replace, `none` removes, the rest is as the run was started."""
    stored = Settings(rate="1/m", max_jobs=5, limit=7, in_flight=3, variants=("a",), max_cost=5)
    gone = ("--max-jobs", "none", "--variants", "none", "--max-cost", "none")
    flags = parsed(*gone, "--in-flight", "9")

    assert resumed_settings(stored, flags, now=0.0) == Settings(rate="1/m", limit=7, in_flight=9)


def test_a_run_keeps_every_setting(tmp_path: Path) -> None:
    """What `run.toml` says after a run was started is what it was started with, tuples and all."""
    settings = Settings(
        variants=("a", "b"),
        max_cost=1e-05,
        cost_per_job=5.0,
        quote=True,
        webhook_listen="[::1]:8080",
        webhook_url="https://hooks.example/batcher",
        claim_wait_s=60.0,
    )
    frozen = Frozen(provider="deapi", base_url="https://api.example", manifest="/m.jsonl")
    write_run_file(tmp_path / "run.toml", frozen, settings)

    assert read_run_file(tmp_path / "run.toml") == (frozen, settings)


def test_a_deadline_of_last_night_is_forgotten() -> None:
    """A finish time that is over would stop every resume at once; one to come holds."""
    stored = Settings(finish_by=1_000.0)

    assert resumed_settings(stored, parsed(), now=1_000.0).finish_by is None
    assert resumed_settings(stored, parsed(), now=999.0).finish_by == 1_000.0


@pytest.mark.parametrize(
    ("words", "download"),
    [
        ([], None),
        (["--download", "out"], "out"),
        (["--download"], "in-run"),
        (["--download", "--quiet"], "in-run"),
        (["--download=out"], "out"),
    ],
)
def test_download_with_and_without_a_folder(words: list[str], download: str | None) -> None:
    """Its folder may be left out."""
    assert parsed(*words)["download"] == download


def test_everything_that_run_takes_may_be_written_down() -> None:
    """`batcher.toml` and BATCHER_ variables know each option of `run`, and no other."""
    options = {param.name for param in run.params if isinstance(param, click.Option)}

    assert set(RUN_OPTIONS) == options
