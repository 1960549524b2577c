"""`batcher bench`: it spends nothing that nobody agreed to, and what it does is an ordinary run."""

from __future__ import annotations

import json
import signal
from pathlib import Path

import orjson
import pytest
from click.testing import CliRunner, Result

from batcher.adapters.manifest import open_manifest
from batcher.cli.app import cli
from batcher.cli.commands.bench.rows import write_rows
from batcher.core.errors import UsageError
from batcher.engine.rows import ProviderCheck
from batcher.providers import provider_named
from tests.cli.processes import KEY, Shell, read_until, simulated

FAR = ("--rate", "5/s", "--duration", "10s", "--run-dir", "runs/load")
PRICED = ("--cost-per-job", "0.05")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a manifest of three rows, and a key."""
    Shell(tmp_path).write_manifest(3)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("REMOVIT_API_KEY", KEY)
    return tmp_path


def bench(*words: str, given: str | None = None) -> Result:
    """Call it against an address where nobody listens."""
    target = ("m.jsonl", "--provider", "removit", "--base-url", "http://127.0.0.1:9")
    return CliRunner().invoke(cli, ["bench", *target, *words], input=given)


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ((*FAR, "--yes"), "--max-jobs: must be given"),
        ((*FAR, *PRICED, "--max-jobs", "9", "--yes"), "--max-cost: must be given"),
        ((*FAR, *PRICED, "--max-jobs", "9", "--max-cost", "0.04", "--yes"), "not enough for one"),
        ((*FAR, "--max-jobs", "9"), "pass --yes if this is meant"),
        (("--rate", "fast", *FAR[2:], "--max-jobs", "9"), "write 5/s, or steps"),
    ],
)
def test_nothing_is_made_without_caps_and_a_word(
    folder: Path, words: tuple[str, ...], told: str
) -> None:
    """Exit code 2, one clear line, and no run directory."""
    done = bench(*words)
    assert done.exit_code == 2
    assert told in done.stderr
    assert not (folder / "runs").exists()


def test_it_says_what_it_will_spend(folder: Path) -> None:
    """Jobs within both caps, how long, and at most how much."""
    done = bench(*FAR, *PRICED, "--max-jobs", "40", "--max-cost", "1.20")
    assert "24 jobs at http://127.0.0.1:9: 5/s, 5 s" in done.stderr
    assert "cut off by its caps; all of it would be 50 jobs" in done.stderr
    assert "they cost up to 1.20" in done.stderr


def test_a_directory_that_is_there_is_left_alone(folder: Path) -> None:
    """A load test begins anew, or not at all."""
    (folder / "runs/load").mkdir(parents=True)
    done = bench(*FAR, "--max-jobs", "9", "--yes")
    assert done.exit_code == 2
    assert "is there already" in done.stderr


def test_rows_come_again_under_numbers(folder: Path) -> None:
    """Bytes, first ids and the folders of files stay; a row that cannot be sent stops it all."""
    (folder / "a.png").write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(32))
    body = '{"id":"x", "file":"a.png",  "big":1.10}'
    (folder / "in").mkdir()
    source, provider = folder / "rows.jsonl", provider_named("removit", {})
    source.write_text('{"id":"x","file_url":"https://a.example/1.jpg"}\n{"file":"a.png"}\n')
    write_rows(folder / "in/load.jsonl", str(source), provider, 5)
    read = open_manifest(str(folder / "in/load.jsonl"))
    entries = list(read.entries(ProviderCheck(provider)))
    derived = entries[1].id
    assert [entry.id for entry in entries] == ["x", derived, "x~2", f"{derived}~2", "x~3"]
    assert {entry.base for entry in entries} == {None, str(folder)}
    assert [entry.problem for entry in entries] == [None] * 5
    assert orjson.loads(entries[3].body) == {"file": "a.png"}
    source.write_text(body.replace("a.png", "gone.png"))
    with pytest.raises(UsageError, match=r"rows\.jsonl:1: .*a load test takes good rows only"):
        write_rows(folder / "in/other.jsonl", str(source), provider, 5)

    assert not (folder / "in/other.jsonl").exists()


@pytest.mark.e2e
def test_a_load_is_a_run_that_was_measured(tmp_path: Path) -> None:
    """So many jobs and no more, each row once; and what was measured can be told again."""
    shell = Shell(tmp_path)
    shell.write_manifest(7)
    words = ("--rate", "10/s,20/s", "--duration", "1s", "--max-jobs", "25", "--yes", "--json")
    with simulated("duration=0.1,rejected=0.2", seed=3) as api:
        target = ("m.jsonl", "--provider", "removit", "--base-url", api.base_url)
        done = shell.do("bench", *target, "--run-dir", "runs/load", *words)

    assert done.returncode == 3, done.stderr
    assert api.counts["submits"] == api.counts["jobs"] == 25
    (run,) = json.loads(done.stdout.splitlines()[-1])["runs"]
    assert [step["jobs"] for step in run["load"]] == [10, 15]
    assert [step["sent"] for step in run["load"]] == [10, 15]
    assert run["summary"]["rows"] == run["ended"] == 25
    assert KEY not in done.stdout + done.stderr
    again = shell.do("compare", "runs/load", "--json")
    assert json.loads(again.stdout)["runs"][0]["load"] == run["load"]
    status = shell.do("status", "runs/load", "--json")
    assert json.loads(status.stdout)["state"] == "finished"


@pytest.mark.e2e
def test_an_interrupted_load_is_collected_and_makes_no_more(tmp_path: Path) -> None:
    """The command it names follows the open jobs; the API sees no further submit."""
    shell = Shell(tmp_path)
    shell.write_manifest(3)
    words = ("--rate", "20/s", "--duration", "60s", "--max-jobs", "500", "--yes", "--json")
    with simulated("duration=2") as api:
        target = ("m.jsonl", "--provider", "removit", "--base-url", api.base_url)
        child = shell.start("bench", *target, "--run-dir", "runs/load", *words)
        read_until(child, "job.accepted", 5)
        child.send_signal(signal.SIGINT)
        _, told = child.communicate(timeout=60)
        (command,) = [line for line in told.splitlines() if line.startswith("next: ")]
        made = command.split("--max-jobs ")[1].split()[0]
        resumed = shell.do("resume", "runs/load", "--max-jobs", made)

    assert child.returncode == 130
    assert resumed.returncode == 4, resumed.stderr
    assert api.counts["submits"] == api.counts["jobs"] == int(made)
    status = json.loads(shell.do("status", "runs/load", "--json").stdout)
    assert (status["succeeded"], status["accepted"]) == (int(made), 0)
