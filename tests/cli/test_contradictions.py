"""What cannot be meant together is refused before a key is read or anything is made."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from batcher.adapters.runfile import read_run_file, write_run_file
from batcher.cli.app import cli
from batcher.core.settings import Frozen, Settings

LISTEN = ("--webhook-listen", "127.0.0.1:8080")
URL = ("--webhook-url", "https://hooks.example/batcher")


@pytest.fixture(autouse=True)
def in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No batcher.toml and no key of anybody counts."""
    monkeypatch.chdir(tmp_path)
    for name in ("REMOVIT_API_KEY", "DEAPI_API_KEY"):
        monkeypatch.delenv(name, raising=False)


def run(provider: str, *words: str) -> Result:
    """Start a run of an empty manifest."""
    Path("m.jsonl").touch()
    return CliRunner().invoke(cli, ["run", "m.jsonl", "--provider", provider, *words])


@pytest.mark.parametrize(
    ("provider", "words", "told"),
    [
        ("deapi", LISTEN, "--webhook-listen: needs --webhook-url too"),
        ("deapi", URL, "--webhook-url: needs --webhook-listen HOST:PORT too"),
        ("removit", (*LISTEN, *URL), "--webhook-listen: Removit makes no calls"),
        ("deapi", (*LISTEN, *URL, "--set", "api=v1"), "with --set api=v1; leave out the one or"),
        (
            "deapi",
            (*LISTEN, "--webhook-url", "https://localhost:8443/x"),
            "--webhook-url: localhost is this machine itself, where the API cannot reach it",
        ),
        ("removit", ("--max-cost", "5"), "--max-cost: Removit quotes no price"),
        ("removit", ("--quote",), "--quote: Removit quotes no price"),
        ("deapi", ("--claim-wait", "5m"), "--claim-wait: does nothing without --webhook-listen"),
        ("removit", ("--claim-wait", "2m"), "--claim-wait: does nothing without"),
    ],
)
@pytest.mark.parametrize("more", [(), ("--dry-run",)])
def test_a_run_that_nobody_can_want(
    provider: str, words: tuple[str, ...], told: str, more: tuple[str, ...]
) -> None:
    """2, one line that says how to mend it, and nothing on disk; a dry run says the same."""
    result = run(provider, *words, *more)

    assert (result.exit_code, result.stdout, result.stderr.count("\n")) == (2, "", 1)
    assert told in result.stderr
    assert [path.name for path in Path().iterdir()] == ["m.jsonl"]


@pytest.mark.parametrize(
    ("provider", "words"),
    [
        ("deapi", (*LISTEN, *URL)),
        ("deapi", ("--max-cost", "5", "--quote")),
        ("deapi", ("--set", "api=v1", "--max-cost", "5")),
        ("removit", ("--max-cost", "5", "--cost-per-job", "0.05")),
        ("removit", ("--wait-for-credits",)),
    ],
)
def test_a_run_that_somebody_wants(provider: str, words: tuple[str, ...]) -> None:
    """What goes together is let pass: then only the key is missing."""
    assert run(provider, *words, "--dry-run").exit_code == 0
    assert "no API key: set" in run(provider, *words).stderr


def test_variants_without_files_are_a_warning() -> None:
    """They choose among files that nobody fetches; the run goes on."""
    result = run("removit", "--variants", "clipping", "--dry-run")

    assert result.exit_code == 0
    assert "warning: --variants" in result.stderr
    assert "warning" not in run("removit", "--variants", "clipping", "--download").stderr


@pytest.mark.parametrize("command", ["resume", "retry"])
def test_a_run_that_exists_is_held_to_the_same(command: str) -> None:
    """One flag more can break what was whole; `run.toml` stays as it is."""
    Path("run").mkdir()
    file = Path("run/run.toml")
    frozen = Frozen(provider="deapi", base_url="https://api.example", manifest="/m.jsonl")
    write_run_file(file, frozen, Settings(webhook_listen=LISTEN[1], webhook_url=URL[1]))
    before = file.read_bytes()
    half = CliRunner().invoke(cli, [command, "run", "--webhook-listen", "none"])
    none = CliRunner().invoke(
        cli, [command, "run", "--webhook-listen", "none", "--webhook-url", "none"]
    )

    assert (half.exit_code, "needs --webhook-listen" in half.stderr) == (2, True)
    assert (none.exit_code, "DEAPI_API_KEY" in none.stderr) == (2, True)
    assert file.read_bytes() == before
    assert read_run_file(file)[1].webhook_url == URL[1]


def test_an_address_that_cannot_be_is_told_with_its_place() -> None:
    """Also one in the file, where nobody would look."""
    Path("batcher.toml").write_text('webhook-url = "http://hooks.example"\n')
    result = run("deapi", *LISTEN)

    assert result.exit_code == 2
    assert "batcher.toml: webhook-url: 'http://hooks.example': the API calls over" in result.stderr


def test_a_claim_wait_that_is_written_down_for_all_runs_is_no_mistake(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Only the command itself is refused: a variable may be meant for the runs with webhooks."""
    monkeypatch.setenv("BATCHER_CLAIM_WAIT", "5m")

    assert run("deapi", "--set", "task=ocr", "--dry-run").exit_code == 0


def test_a_resume_with_webhooks_may_wait_for_longer() -> None:
    """The flags of a run that was started with webhooks count; taken away, the wait is idle."""
    Path("m.jsonl").touch()
    Path("r").mkdir()
    settings = Settings(webhook_listen=LISTEN[1], webhook_url=URL[1])
    frozen = Frozen(
        provider="deapi", base_url="https://api.deapi.ai", manifest=str(Path("m.jsonl"))
    )
    write_run_file(Path("r/run.toml"), frozen, settings)
    longer = CliRunner().invoke(cli, ["resume", "r", "--claim-wait", "5m"])
    none = ("--webhook-listen", "none", "--webhook-url", "none")
    idle = CliRunner().invoke(cli, ["resume", "r", "--claim-wait", "5m", *none])

    assert "DEAPI_API_KEY" in longer.stderr  # it came as far as the key
    assert "--claim-wait: does nothing without" in idle.stderr
