"""Unattended runs as real processes: who is told what at the end, and with which exit code."""

from __future__ import annotations

import json
import signal
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from batcher.cli.app import cli
from tests.cli.processes import KEY, LIMIT_S, Api, Shell, read_until, simulated
from tests.support.hostile import Hostile, Peer, hostile

pytestmark = pytest.mark.e2e

RUN = "runs/m-removit"
TOKEN = "t0ken-of-the-webhook"
TELL = (  # a command that keeps what it was given
    "import json, os, sys; json.dump({'environ': dict(os.environ), 'given': sys.stdin.read()}, "
    "open(sys.argv[1], 'w'))"
)


@dataclass
class NightShell(Shell):
    """A shell with more in its environment."""

    more: dict[str, str] = field(default_factory=dict)

    @property
    def environ(self) -> dict[str, str]:
        """Return the environment of the commands."""
        return {**super().environ, **self.more}


@pytest.fixture(scope="module")
def calm() -> Iterator[Api]:
    """An API that does everything at once."""
    with simulated("duration=0") as api:
        yield api


@pytest.fixture(scope="module")
def deaf() -> Iterator[Api]:
    """An API that makes every job and never answers the submit."""
    with simulated("duration=0,drop_after=1") as api:
        yield api


@pytest.fixture(scope="module")
def slow() -> Iterator[Api]:
    """An API whose jobs take longer than any test."""
    with simulated("duration=600") as api:
        yield api


@pytest.fixture
def shell(tmp_path: Path, calm: Api) -> NightShell:
    """A folder with a manifest of three rows, and the calm API."""
    shell = NightShell(tmp_path, calm.base_url)
    shell.write_manifest(3)
    return shell


def told(folder: Path) -> dict[str, Any]:
    """Return what the command of `--on-finish` was given."""
    found: dict[str, Any] = json.loads((folder / "told.json").read_text())
    return found


def command(folder: Path) -> str:
    """Return a command that keeps what it was given."""
    (folder / "tell.py").write_text(TELL)
    return f"'{sys.executable}' '{folder}/tell.py' '{folder}/told.json'"


@contextmanager
def listening(status: int = 200) -> Iterator[tuple[Hostile, list[dict[str, Any]]]]:
    """Receive messages."""
    bodies: list[dict[str, Any]] = []

    def serve(peer: Peer) -> None:
        bodies.append(json.loads(peer.request().body))
        peer.answer(status, b"", "Connection: close")

    with hostile(serve) as server:
        yield server, bodies


def test_a_good_end_is_told_to_the_command_and_to_nobody_else(shell: NightShell) -> None:
    """It gets counts, state and summary, and no key; on the screen there is nothing."""
    shell.more = {"BATCHER_ON_FINISH": command(shell.folder), "OTHER": f"has {KEY} in it"}
    with listening() as (server, bodies):
        shell.more["BATCHER_NOTIFY"] = f"{server.url}/{TOKEN}"
        done = shell.do(*shell.run_words("--quiet"))

    found = told(shell.folder)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert bodies == []  # no trouble
    assert (
        found["environ"].items()
        >= {
            "BATCHER_RUN_DIR": str(shell.folder / RUN),
            "BATCHER_EXIT_CODE": "0",
            "BATCHER_STATE": "finished",
            "BATCHER_STOPPED": "",
            "BATCHER_ROWS": "3",
            "BATCHER_SUCCEEDED": "3",
            "BATCHER_IN_DOUBT": "0",
        }.items()
    )
    assert json.loads(found["given"]) == json.loads(
        (shell.folder / RUN / "summary.json").read_text()
    )
    text = json.dumps(found)
    assert KEY not in text
    assert TOKEN not in text
    assert "BATCHER_ON_FINISH" not in found["environ"]


def test_trouble_is_told_to_all_and_the_token_to_nobody(shell: NightShell, deaf: Api) -> None:
    """A message with the summary, a line on the screen; no file of the run has the address."""
    shell.base_url = deaf.base_url
    with listening() as (server, bodies):
        secret = shell.folder / "notify"
        secret.write_text(f"{server.url}/{TOKEN}\n")
        secret.chmod(0o600)
        shell.more = {"BATCHER_NOTIFY_FILE": str(secret), "BATCHER_FAIL_ON": "failed > 0"}
        done = shell.do(*shell.run_words("--quiet"))

    (body,) = bodies
    assert done.returncode == 0  # no row failed
    assert "3 rows in doubt: answer lost" in done.stderr
    assert body.items() >= {"in_doubt": 3, "exit_code": 0, "state": "finished"}.items()
    assert body["text"] == ("m-removit: finished, 0 of 3 rows succeeded, 3 in doubt; exit code 0")
    assert TOKEN not in done.stderr + done.stdout
    files = [path.read_bytes() for path in (shell.folder / RUN).iterdir() if path.is_file()]
    assert not any(TOKEN.encode() in content for content in files)


def test_what_fails_at_the_end_is_told_and_changes_nothing(shell: NightShell) -> None:
    """With always every end is told; what fails then is one line, and the exit code stays.

    What the command prints goes to standard error: standard output has the events.
    """
    with listening(404) as (server, bodies):
        shell.more = {"BATCHER_NOTIFY": f"{server.url}/{TOKEN}", "BATCHER_NOTIFY_WHEN": "always"}
        words = shell.run_words("--json", "--on-finish", "sh -c 'echo said; exit 9'")
        done = shell.do(*words)

    assert done.returncode == 0
    assert [body["exit_code"] for body in bodies] == [0]
    assert done.stderr.splitlines()[-3:] == [
        "batcher: --notify: answered HTTP 404",
        "said",
        "batcher: --on-finish: sh ended with exit code 9",
    ]
    assert all(line.startswith("{") for line in done.stdout.splitlines())


def test_a_signal_is_an_end_too(shell: NightShell, slow: Api) -> None:
    """After SIGTERM the command is run, once the directory is free again, and learns why."""
    shell.base_url = slow.base_url
    child = shell.start(*shell.run_words("--json", "--on-finish", command(shell.folder)))
    read_until(child, "job.accepted", 3)
    child.send_signal(signal.SIGTERM)
    child.communicate(timeout=LIMIT_S)

    assert child.returncode == 143
    assert (
        told(shell.folder)["environ"].items()
        >= {
            "BATCHER_EXIT_CODE": "143",
            "BATCHER_STATE": "stopped",
            "BATCHER_STOPPED": "interrupted",
            "BATCHER_ACCEPTED": "3",
        }.items()
    )


def test_a_signal_to_the_last_words_ends_them_and_not_the_exit_code(shell: NightShell) -> None:
    """A command that hangs is ended by the signal that a person or systemd sends."""
    child = shell.start(*shell.run_words("--quiet", "--on-finish", "sh -c 'echo here; sleep 600'"))
    assert child.stderr is not None
    first = next(child.stderr)
    child.send_signal(signal.SIGTERM)
    _, err = child.communicate(timeout=LIMIT_S)

    assert first == "here\n"
    assert child.returncode == 0
    assert err == "batcher: --on-finish: sh was interrupted\n"


def test_an_error_is_an_end_too(shell: NightShell) -> None:
    """A run that owns its directory and cannot go on tells that, with its exit code."""
    shell.do(*shell.run_words())
    shell.more = {"REMOVIT_API_KEY": "of-somebody-else"}
    done = shell.do("resume", RUN, "--on-finish", command(shell.folder))

    assert done.returncode == 2
    assert "is not the one this run began with" in done.stderr
    assert told(shell.folder)["environ"]["BATCHER_EXIT_CODE"] == "2"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--on-finish", "no-such-command x"], "there is no command 'no-such-command' here"),
        (["--on-finish", "sh -c 'unclosed"], "No closing quotation"),
        (["--on-finish", ""], "names no command"),
        (["--notify", f"http://hooks.example/{TOKEN}"], "plain http is for this machine alone"),
        (["--notify", f"hooks.example/{TOKEN}"], "is no address"),
        (["--notify", f"https:///{TOKEN}"], "names no host"),
        (["--notify-file", "notify"], "others can read this address"),
        (["--metrics", "nowhere/m.prom"], "there is no folder"),
        (["--metrics", "a-folder"], "is a folder"),
        (["--metrics", "/dev/null"], "is no regular file"),
        (["--metrics-port", "99999"], "is no port"),
        (["--fail-on", "failed"], "in quotes"),
    ],
)
def test_what_cannot_work_is_refused_before_anything_is_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: list[str], said: str
) -> None:
    """2 and one line, in the evening and not in the morning; the address is not quoted."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("REMOVIT_API_KEY", KEY)
    (tmp_path / "m.jsonl").touch()
    (tmp_path / "a-folder").mkdir()
    (tmp_path / "notify").write_text(f"https://hooks.example/{TOKEN}")
    (tmp_path / "notify").chmod(0o644)
    done = CliRunner().invoke(cli, ["run", "m.jsonl", "--provider", "removit", *words])

    assert done.exit_code == 2
    assert said in done.stderr
    assert done.stderr.count("\n") == 1
    assert TOKEN not in done.output
    assert not (tmp_path / "runs").exists()


def test_a_manifest_without_rows_is_no_silence(shell: NightShell) -> None:
    """Under --quiet too: an export that broke must not look like a quiet night."""
    shell.write_manifest(0)
    done = shell.do(*shell.run_words("--quiet"))

    assert done.returncode == 0
    assert "warning: the manifest has no rows" in done.stderr


def test_which_condition_held_is_told(shell: NightShell, deaf: Api) -> None:
    """3, and the closing lines name the condition."""
    shell.base_url = deaf.base_url
    done = shell.do(
        *shell.run_words("--fail-on", "failed>0,in_doubt>10%", "--fail-on", "pending>9")
    )

    assert done.returncode == 3
    assert [line for line in done.stderr.splitlines() if line.startswith("--fail-on")] == [
        "--fail-on in_doubt>10%: 3 of 3 rows"
    ]


def test_numbers_while_it_runs_and_at_its_end(shell: NightShell, slow: Api) -> None:
    """The port says what the file says; the file is whole, for others to read, and has the end."""
    shell.base_url = slow.base_url
    words = shell.run_words("--json", "--metrics", "m.prom", "--metrics-port", "0")
    child = shell.start(*words)
    address = address_in(child.stdout)
    read_until(child, "job.accepted", 3)
    with urllib.request.urlopen(f"http://{address}/health", timeout=LIMIT_S) as answer:
        health = json.load(answer)

    with urllib.request.urlopen(f"http://{address}/metrics", timeout=LIMIT_S) as answer:
        served = answer.read().decode()

    child.send_signal(signal.SIGTERM)
    child.communicate(timeout=LIMIT_S)

    labels = 'run="m-removit",provider="removit"'
    last = (shell.folder / "m.prom").read_text()
    assert address.startswith("127.0.0.1:")
    assert (health["state"], health["run"]) == ("running", "m-removit")
    assert f'batcher_run_state{{{labels},state="running"}} 1\n' in served
    assert f"batcher_exit_code{{{labels}}} 143\n" in last
    assert f'batcher_run_stopped{{{labels},reason="interrupted"}} 1\n' in last
    assert f"batcher_jobs_open{{{labels}}} 3\n" in last
    assert not (shell.folder / ".m.prom.tmp").exists()
    assert (shell.folder / "m.prom").stat().st_mode & 0o044  # another user reads it


def address_in(lines: Any) -> str:
    """Read events until one says where the numbers are shown."""
    for line in lines:
        event = json.loads(line)
        if event["event"] == "metrics.shown":
            address: str = event["address"]
            return address

    raise AssertionError("the numbers are shown nowhere")


def test_a_port_in_use_sends_nothing(shell: NightShell, calm: Api) -> None:
    """The run is refused before its first submit, leaves nothing, and begins without the port."""
    port = calm.base_url.rpartition(":")[2]
    refused = shell.do(*shell.run_words("--metrics-port", port))
    assert refused.returncode == 2
    assert f"--metrics-port 127.0.0.1:{port}: cannot listen there" in refused.stderr
    assert not (shell.folder / RUN).exists()

    again = shell.do(*shell.run_words("--metrics"))
    assert again.returncode == 0
    assert "batcher_exit_code" in (shell.folder / RUN / "metrics.prom").read_text()
