"""The command line as a whole: help at once, one clear line for a mistake, quiet pipes."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from batcher import __version__
from batcher.cli.app import COMMANDS, cli

HEAVY = ("aiohttp", "anyio", "structlog", "rich", "sqlite3", "asyncio")
WITH_HELP = [*COMMANDS, "doubt list", "doubt adopt", "doubt resubmit", "doubt fail"]


def loaded_by(*words: str) -> set[str]:
    """Return which heavy libraries a command loads."""
    script = (
        "import sys; from batcher.cli.app import cli\n"
        "try: cli.main(sys.argv[1:], prog_name='batcher')\n"
        f"finally: sys.stderr.write(' '.join(m for m in {HEAVY} if m in sys.modules))"
    )
    child = subprocess.run(
        [sys.executable, "-c", script, *words], capture_output=True, text=True, check=False
    )
    assert child.returncode == 0, child.stderr
    return set(child.stderr.split())


@pytest.mark.parametrize("words", ["", *WITH_HELP])
def test_help_loads_nothing_heavy(words: str) -> None:
    """Help is there at once, because what a run needs is not loaded for it."""
    assert loaded_by(*words.split(), "--help") == set()


def test_small_commands_load_little(tmp_path: Path) -> None:
    """`check` and `providers` are no run: no HTTP, no log, no event loop."""
    manifest = tmp_path / "m.jsonl"
    manifest.write_text('{"file_url": "https://a.example/1.jpg"}\n')

    assert loaded_by("providers") == set()
    assert loaded_by("check", str(manifest), "--provider", "removit") == set()


@pytest.mark.parametrize("name", WITH_HELP)
def test_every_help_has_examples(name: str) -> None:
    """Each command shows how it is used, and -h is --help."""
    result = CliRunner().invoke(cli, [*name.split(), "-h"])

    assert result.exit_code == 0
    assert "Examples:" in result.output or name.startswith("doubt ")
    if name != "simulate":  # its knobs are a table, each with a line about itself
        assert max(map(len, result.output.splitlines())) <= 80


def test_every_command_in_the_list_exists() -> None:
    """The list is written down so that nothing need be imported; file or folder has the name."""
    folder = Path(__file__).parents[2] / "batcher" / "cli" / "commands"
    found = {file.stem for file in (*folder.glob("[a-z]*.py"), *folder.glob("[a-z]*"))}

    assert found == set(COMMANDS)
    for name in COMMANDS:
        assert isinstance(cli.get_command(click.Context(cli), name), click.Command)


def test_each_command_is_one_line_of_the_help() -> None:
    """What a command is for is read at a glance, also on 80 columns."""
    told = CliRunner().invoke(cli, ["--help"]).output.splitlines()
    width = max(map(len, COMMANDS))

    assert all(f"  {name:<{width}}  {about}" in told for name, about in COMMANDS.items())
    assert max(map(len, told)) <= 80


def test_version() -> None:
    """--version says which batcher it is."""
    assert CliRunner().invoke(cli, ["--version"]).output == f"batcher {__version__}\n"


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["frobnicate"], "No such command 'frobnicate'. Try"),
        (["chekc", "m.jsonl"], "No such command 'chekc' (did you mean 'check'?). Try"),
        (["run"], "Missing argument 'MANIFEST'"),
        (["run", "m.jsonl"], "Missing option '--provider'"),
        (["run", "m.jsonl", "--provider", "nobody"], "'nobody' is not one of"),
        (["run", "m.jsonl", "--provider", "removit", "--job-timeout", "soon"], "write 15m"),
        (["run", "m.jsonl", "--provider", "removit", "--rte", "1/m"], "--rte"),
        (["run", "m.jsonl", "--provider", "removit"], "REMOVIT_API_KEY"),
        (["run", "m.jsonl", "--provider", "deapi"], "DEAPI_API_KEY"),
        (["resume", "nowhere"], "is no run directory"),
        (["status", "nowhere"], "is no run directory"),
        (["retry", "nowhere"], "is no run directory"),
        (["doubt", "list", "nowhere"], "is no run directory"),
        (["doubt", "resubmit", "nowhere"], "give ids, or --from FILE, or --all"),
        (["doubt", "fail", "nowhere", "a", "--all"], "give ids, or --from FILE, or --all"),
        (["doubt", "adopt", "nowhere", "a"], "give ID and JOB_ID"),
        (["check", "nowhere.jsonl", "--provider", "removit"], "cannot be read"),
        (["providers", "nobody"], "no provider 'nobody'"),
        (["simulate", "--provider", "removit", "--host", "0.0.0.0"], "loopback"),
        (["simulate", "--provider", "removit", "--faults", "luck=1"], "luck"),
    ],
)
def test_a_mistake_gets_one_line_and_2(
    words: list[str], told: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What cannot be used is named in one line on standard error, and nothing is made."""
    monkeypatch.chdir(tmp_path)
    for name in ("REMOVIT_API_KEY", "DEAPI_API_KEY"):
        monkeypatch.delenv(name, raising=False)

    result = CliRunner().invoke(cli, words)

    assert result.exit_code == 2
    assert result.stdout == ""
    assert result.stderr.startswith("batcher: ")
    assert result.stderr.count("\n") == 1
    assert told in result.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "url",
    [
        "http://api.example",
        "http://10.0.0.1",
        "http://127.0.0.1.example",
        "http://localhost.example",
        "ftp://api.example",
        "api.example",
        "https://user:pw@api.example",
        "https://api.example?x=1",
        "https://api.example#x",
        "https://:80",
        "https://api.example:port",
        "https://[::1",
    ],
)
def test_a_key_goes_nowhere_it_must_not(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Plain http leaves this machine for nobody; anything that is no origin is refused."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("REMOVIT_API_KEY", "test-key")
    words = ["run", "m.jsonl", "--provider", "removit", "--base-url", url]
    result = CliRunner().invoke(cli, words)

    assert result.exit_code == 2
    assert "--base-url" in result.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_reader_that_leaves_is_no_error() -> None:
    """A closed pipe ends a printing command quietly, as if by SIGPIPE."""
    child = subprocess.Popen(
        [sys.executable, "-m", "batcher", "providers", "deapi"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert child.stdout is not None
    child.stdout.close()
    _, err = child.communicate()

    assert (child.returncode, err) == (141, b"")
