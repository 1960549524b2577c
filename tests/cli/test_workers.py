"""`--workers`: whole runs in several real processes, killed, interrupted and led."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections import Counter
from contextlib import closing, suppress
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from _pytest.mark import ParameterSet
from click.testing import CliRunner

from batcher.adapters.sqlite import SqliteJournal
from batcher.cli.app import cli
from tests.cli.processes import LIMIT_S, Shell, simulated

pytestmark = pytest.mark.e2e

RUN = "runs/m-removit"
OUTCOMES = ("succeeded", "failed", "exhausted", "in_doubt")
LOOK_S = 0.02  # between two looks at what another process does


def soaked(*values: object) -> ParameterSet:
    """Return a case that only `make soak` tries: each process costs a second of a core."""
    return pytest.param(*values, marks=pytest.mark.soak)


@pytest.fixture
def shell(tmp_path: Path) -> Shell:
    """A folder to run in."""
    return Shell(tmp_path)


def records(folder: Path) -> dict[str, list[dict[str, Any]]]:
    """Return the records of each outcome file of a directory."""
    return {
        name: [json.loads(line) for line in (folder / f"{name}.jsonl").read_text().splitlines()]
        for name in OUTCOMES
    }


def merged_as_the_shards(run: Path) -> bool:
    """Whether each file of the run has the very lines of its shards."""
    return all(
        Counter((run / f"{name}.jsonl").read_bytes().splitlines())
        == Counter(
            line
            for shard in (run / "shards").iterdir()
            for line in (shard / f"{name}.jsonl").read_bytes().splitlines()
        )
        for name in OUTCOMES
    )


def worker_pid(run: Path, child: subprocess.Popen[str], number: int = 0, more_than: int = 0) -> int:
    """Return the process of a worker, once its shard has more jobs than so many."""
    shard = run / "shards" / f"{number:02d}"
    while True:
        assert child.poll() is None, child.stderr and child.stderr.read()
        with suppress(ValueError):  # the lock is being signed
            if jobs_of(shard) > more_than:
                return int(json.loads((shard / "run.lock").read_text())["pid"])

        time.sleep(LOOK_S)


def jobs_of(shard: Path) -> int:
    """Return how many jobs a shard has had."""
    path = shard / "journal.db"
    if not (shard / "succeeded.jsonl").exists():  # made after the journal is
        return 0

    with closing(SqliteJournal.read(path)) as journal:
        return journal.counters()["jobs_accepted"]


@pytest.mark.soak
def test_several_workers_do_what_one_does(shell: Shell) -> None:
    """Duplicates, bad lines and derived ids end in the same outcomes with 1, 2 and 3 workers."""
    lines = [f'{{"id":"r{n}","file_url":"https://a.example/{n}.jpg"}}' for n in range(20)]
    lines += ['{"file_url":"https://a.example/same.jpg"}'] * 3 + ["no json"] * 2 + ["", lines[3]]
    lines += ['{"id":"r4","file_url":"https://a.example/other.jpg"}', '{"id":"bad"}']
    (shell.folder / "m.jsonl").write_text("\n".join(lines) + "\n")
    found = []
    with simulated("duration=0") as api:
        shell.base_url = api.base_url
        for workers in (1, 2, 3):
            words = shell.run_words("--workers", str(workers), "--run-dir", f"w{workers}")
            done = shell.do(*words, "--limit", "27")
            assert done.returncode == 3, done.stderr
            found.append(
                {
                    (name, record["id"], record["line"], (record["error"] or {}).get("message"))
                    for name, each in records(shell.folder / f"w{workers}").items()
                    for record in each
                }
            )

    assert found[0] == found[1] == found[2]
    assert len(found[0]) == 27 - 0  # every line but the blank one; the last two are beyond --limit
    assert not (shell.folder / "w1/shards").exists()
    assert merged_as_the_shards(shell.folder / "w3")


def test_a_budget_holds_over_all_workers(shell: Shell) -> None:
    """21 jobs and no more are made of 60 rows; with a larger number the run goes on to its end."""
    shell.write_manifest(60)
    with simulated("duration=0") as api:
        shell.base_url = api.base_url
        first = shell.do(*shell.run_words("--workers", "2", "--max-jobs", "21"))
        made = [jobs_of(shell.folder / RUN / "shards" / number) for number in ("00", "01")]
        stop = json.loads((shell.folder / RUN / "summary.json").read_text())["stopped"]
        second = shell.do("resume", RUN, "--max-jobs", "none")

    assert first.returncode == 4, first.stderr
    assert "jobs of its part of --max-jobs; resume with a larger number" in first.stderr
    assert stop["reason"] == "budget"
    assert made == [11, 10]
    assert second.returncode == 0, second.stderr
    assert api.counts["jobs"] == 60


def test_failures_of_all_workers_count_together(shell: Shell) -> None:
    """Ten of all rows failed: no worker submits more, though none had ten of its own."""
    shell.write_manifest(400)
    with simulated("duration=0,rejected=1") as api:
        shell.base_url = api.base_url
        words = ("--workers", "2", "--rate", "40/s", "--max-failures", "10")
        done = shell.do(*shell.run_words(*words))

    assert done.returncode == 4, done.stderr
    stopped = json.loads((shell.folder / RUN / "summary.json").read_text())["stopped"]
    assert stopped["reason"] == "failure_limit"
    assert stopped["message"].endswith("rows failed; --max-failures 10")
    assert 10 < len(records(shell.folder / RUN)["failed"]) < 300


def test_workers_and_their_leader_may_be_killed(shell: Shell) -> None:
    """kill -9 of the leader, then of a worker: no row is paid twice, none is lost, files whole.

    Without their leader the workers end politely, so that no row is in doubt by that; a worker that
    is killed is started again and goes on.
    """
    shell.write_manifest(60)
    run = shell.folder / RUN
    with simulated("duration=1.5,latency=0.05") as api:
        shell.base_url = api.base_url
        first = shell.start(*shell.run_words("--workers", "2", "--rate", "16/s"))
        orphan = worker_pid(run, first)
        first.kill()
        first.communicate(timeout=LIMIT_S)
        second = shell.start("resume", RUN)
        while worker_pid(run, second) == orphan:
            time.sleep(LOOK_S)

        os.kill(worker_pid(run, second, more_than=jobs_of(run / "shards/00")), signal.SIGKILL)
        _, told = second.communicate(timeout=LIMIT_S)

    ended = records(run)
    assert second.returncode == (3 if ended["in_doubt"] else 0), told
    assert "worker 0 was killed by SIGKILL (1); it goes on where it was" in told
    assert sorted(record["id"] for each in ended.values() for record in each) == sorted(
        f"r{n}" for n in range(1, 61)
    )
    assert len(ended["succeeded"]) + len(ended["in_doubt"]) == 60
    assert (api.counts["duplicates"], api.counts["submits"] <= 60) == (0, True)
    assert merged_as_the_shards(run)


@pytest.mark.parametrize(
    ("sent", "code"), [soaked(signal.SIGINT, 130), pytest.param(signal.SIGTERM, 143)]
)
def test_a_signal_ends_all_politely(shell: Shell, sent: signal.Signals, code: int) -> None:
    """The first signal to the leader, or to all as systemd does: no row in doubt, resumable."""
    shell.write_manifest(60)
    run = shell.folder / RUN
    with simulated("duration=600,latency=0.3") as api:
        shell.base_url = api.base_url
        child = shell.start(*shell.run_words("--workers", "2"))
        pids = [worker_pid(run, child, number) for number in (0, 1)]
        for pid in (child.pid, *(pids if sent is signal.SIGTERM else [])):
            os.kill(pid, sent)

        _, told = child.communicate(timeout=LIMIT_S)
        status = json.loads(shell.do("status", RUN, "--json").stdout)

    assert child.returncode == code, told
    assert "Traceback" not in told
    assert (status["state"], status["in_doubt"], status["stopped"]["reason"]) == (
        *("stopped", 0, "interrupted"),
    )
    assert status["accepted"] == api.counts["jobs"] > 0


@pytest.mark.soak
def test_the_limit_holds_over_all_workers(shell: Shell) -> None:
    """In no second do all workers together submit more than the limit, and yet they use it."""
    shell.write_manifest(130)
    with simulated("duration=0") as api:
        shell.base_url = api.base_url
        done = shell.do(*shell.run_words("--workers", "2", "--rate", "40/s"))

    assert done.returncode == 0, done.stderr
    sent = sorted(
        datetime.fromisoformat(record["time"]["submitted"]).timestamp()
        for record in records(shell.folder / RUN)["succeeded"]
    )
    assert len(sent) == 130
    assert min(later - at for at, later in zip(sent, sent[40:], strict=False)) > 0.95
    assert sorted(later - at for at, later in zip(sent, sent[40:], strict=False))[45] < 1.5


@pytest.mark.soak
def test_what_one_worker_is_told_stops_all(shell: Shell) -> None:
    """The credits run out: every worker halts, what was paid is collected, and 4 says why."""
    shell.write_manifest(60)
    with simulated("duration=0.2,credits=20") as api:
        shell.base_url = api.base_url
        done = shell.do(*shell.run_words("--workers", "2", "--rate", "40/s"))

    ended = records(shell.folder / RUN)
    assert done.returncode == 4, done.stderr
    assert "stopped: out_of_credits" in done.stderr
    assert (len(ended["succeeded"]), api.counts["jobs"]) == (20, 20)
    assert ended["failed"] == []


@pytest.mark.soak
def test_decisions_reach_the_part_that_has_the_row(shell: Shell) -> None:
    """doubt lists all parts; a decision changes shard, merged file and summary, or nothing."""
    shell.write_manifest(12)
    run = shell.folder / RUN
    with simulated("duration=0,drop_after=0.6", seed=5) as api:
        shell.base_url = api.base_url
        shell.do(*shell.run_words("--workers", "2"))
        before = records(run)
        ids = [record["id"] for record in before["in_doubt"]]
        listed = shell.do("doubt", "list", RUN, "--json").stdout.splitlines()
        paid = before["succeeded"][0]["job_id"]
        taken = shell.do("doubt", "adopt", RUN, ids[0], paid)
        refused = shell.do("doubt", "resubmit", RUN, *ids, "r999")
        unchanged = records(run)
        failed = shell.do("doubt", "fail", RUN, *ids[:3])
        decided = records(run)
        retried = shell.do("retry", RUN)
        status = json.loads(shell.do("status", RUN, "--json").stdout)

    assert sorted(json.loads(line)["id"] for line in listed) == sorted(ids)
    assert (taken.returncode, refused.returncode, failed.returncode) == (2, 2, 0)
    assert "belongs to another row" in taken.stderr
    assert unchanged == before
    assert sorted(record["id"] for record in decided["in_doubt"]) == sorted(ids[3:])
    assert sorted(record["id"] for record in decided["failed"]) == sorted(ids[:3])
    assert retried.returncode == 3
    assert (status["in_doubt"], status["failed"]) == (len(ids) - 3, 3)
    assert api.counts["duplicates"] == 0
    assert merged_as_the_shards(run)


@pytest.mark.soak
def test_events_of_all_workers_are_one_stream(shell: Shell) -> None:
    """--json: each row's event comes once, every line is JSON, and the key is in no file."""
    shell.write_manifest(10)
    with simulated("duration=0") as api:
        shell.base_url = api.base_url
        done = shell.do(*shell.run_words("--workers", "2", "--json"))

    events = [json.loads(line) for line in done.stdout.splitlines()]
    ended = [event["id"] for event in events if event["event"] == "row.finished"]
    assert sorted(ended) == sorted(f"r{n}" for n in range(1, 11))
    files = [file for file in (shell.folder / RUN).rglob("*") if file.is_file()]
    assert not any(shell.key.encode() in file.read_bytes() for file in files)


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--max-jobs", "1"], "--max-jobs 1 is less than one for each of 2 workers"),
        (["--rate", "100/s,900/d"], "counts days"),
        (["--rate", "1/s"], "less than one for each of 2 workers"),
        (["--in-flight", "1"], "--in-flight 1 is less than one for each"),
        (["--max-cost", "1.5", "--cost-per-job", "1"], "--max-cost 1.5 is less than one job"),
        (["--on-doubt", "resubmit", "--max-duplicates", "1"], "--on-doubt resubmit is counted"),
        (["--rate", "auto"], "--rate auto is counted"),
        (["--workers", "65"], "at most 64"),
    ],
)
def test_what_cannot_be_shared_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: list[str], told: str
) -> None:
    """2, one line, and nothing is made: a limit that would not hold over all is not promised."""
    monkeypatch.chdir(tmp_path)
    Shell(tmp_path).write_manifest(2)
    run = ["run", "m.jsonl", "--provider", "removit", "--rate", "100/s", "--workers", "2"]
    done = CliRunner().invoke(cli, [*run, *words])
    assert done.exit_code == 2
    assert told in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert not Path("runs").exists()
