"""Whole runs from the command line, against a simulated API in another process."""

from __future__ import annotations

import json
import signal
import stat
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from batcher.adapters.sqlite import SqliteJournal
from batcher.core.lifecycle import State
from tests.cli.processes import KEY, LIMIT_S, Shell, read_until, simulated

pytestmark = pytest.mark.e2e

RUN = "runs/m-removit"


@pytest.fixture
def shell(tmp_path: Path) -> Shell:
    """A folder with a manifest of six rows."""
    shell = Shell(tmp_path)
    shell.write_manifest(6)
    return shell


def status(shell: Shell) -> dict[str, Any]:
    """Return what another process learns of the run."""
    done = shell.do("status", RUN, "--json")
    assert done.returncode == 0, done.stderr
    value: dict[str, Any] = json.loads(done.stdout)
    return value


def test_a_run_resumes_to_no_request_at_all(shell: Shell) -> None:
    """0 when every row succeeded; the same command again submits nothing and says the same."""
    with simulated("duration=0") as api:
        shell.base_url = api.base_url
        first = shell.do(*shell.run_words())
        again = shell.do(*shell.run_words("--quiet"))
        resumed = shell.do("resume", RUN, "--json")

    assert (first.returncode, again.returncode, resumed.returncode) == (0, 0, 0), first.stderr
    assert (first.stdout, again.stdout + again.stderr) == ("", "")
    assert api.counts["submits"] == api.counts["jobs"] == 6
    assert status(shell).items() >= {"state": "finished", "succeeded": 6, "pending": 0}.items()
    assert "succeeded  6  runs/m-removit/succeeded.jsonl" in first.stderr


def test_the_key_is_nowhere(shell: Shell) -> None:
    """No file, no output and no event of a run has the API key in it; the files are private."""
    with simulated("duration=0,drop_after=0.3", seed=2) as api:
        shell.base_url = api.base_url
        done = shell.do(*shell.run_words("--json"))

    folder = shell.folder / RUN
    told = [done.stdout.encode(), done.stderr.encode(), *(f.read_bytes() for f in folder.iterdir())]
    assert not any(KEY.encode() in text for text in told)
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert {stat.S_IMODE(file.stat().st_mode) for file in folder.iterdir()} == {0o600}


def test_events_are_json_and_nothing_else(shell: Shell) -> None:
    """--json: every line of standard output is an event, and there is no view beside it."""
    with simulated("duration=0") as api:
        shell.base_url = api.base_url
        done = shell.do(*shell.run_words("--json"))

    events = [json.loads(line) for line in done.stdout.splitlines()]
    assert [e["event"] for e in events].count("row.finished") == 6
    assert " · " not in done.stderr


def test_a_manifest_by_a_pipe(shell: Shell) -> None:
    """`-` is standard input; a resume knows its rows from the journal."""
    rows = (shell.folder / "m.jsonl").read_text()
    with simulated("duration=0,credits=4") as api:
        shell.base_url = api.base_url
        words = shell.run_words("--run-dir", RUN, manifest="-")
        first = shell.do(*words, given=rows)
        again = shell.do("resume", RUN)

    assert (first.returncode, again.returncode) == (4, 4), first.stderr
    assert status(shell).items() >= {"succeeded": 4, "pending": 2}.items()
    assert api.counts["jobs"] == 4


def test_a_stop_says_why_and_what_to_type(shell: Shell) -> None:
    """4 when the credits ran out; accepted jobs were followed, the rest is pending."""
    with simulated("duration=0,credits=4") as api:
        shell.base_url = api.base_url
        done = shell.do(*shell.run_words("--quiet"))

    found = status(shell)
    assert done.returncode == 4
    assert (found["state"], found["succeeded"], found["pending"]) == ("stopped", 4, 2)
    assert found["stopped"]["reason"] == "out_of_credits"
    assert "stopped: out_of_credits" in done.stderr
    assert "batcher resume runs/m-removit" in done.stderr.replace(
        "'", ""
    )  # the path may need quotes


def test_the_time_is_up(shell: Shell) -> None:
    """--max-duration ends the process with 4; what could not be collected is not submitted."""
    with simulated("duration=600") as api:
        shell.base_url = api.base_url
        done = shell.do(*shell.run_words("--max-duration", "1s"))

    found = status(shell)
    assert done.returncode == 4
    assert found["stopped"]["reason"] == "deadline"
    assert (found["jobs_accepted"], found["pending"], found["in_doubt"]) == (0, 6, 0)


def test_rows_in_doubt_are_decided_by_a_person(shell: Shell) -> None:
    """list shows the evidence; adopt, resubmit and fail decide; resume acts on it.

    Who adopts is told that a job id which the API does not know fails the row for good.
    """
    with simulated("duration=0,drop_after=0.6", seed=5) as api:
        shell.base_url = api.base_url
        first = shell.do(*shell.run_words())
        listed = shell.do("doubt", "list", RUN, "--json")
        held = [json.loads(line) for line in listed.stdout.splitlines()]
        ids = [row["id"] for row in held]
        adopted = shell.do("doubt", "adopt", RUN, ids[0], "job-1", "--note", "in the invoice")
        taken = shell.do("doubt", "adopt", RUN, ids[1], "job-1")
        after_adopt = status(shell)
        resubmitted = shell.do("doubt", "resubmit", RUN, "--from", "-", given=f"{ids[1]}\n")
        failed = shell.do("doubt", "fail", RUN, "--all")

    assert first.returncode == 3
    assert "batcher doubt list runs/m-removit" in first.stderr.replace(
        "'", ""
    )  # the path may need quotes
    assert len(held) >= 3
    assert held[0]["row"]["id"] == ids[0]
    assert held[0]["look_for"]["source"] == held[0]["row"]["file_url"]
    assert held[0]["look_for"]["from"] < held[0]["intent_at"] < held[0]["look_for"]["to"]
    assert held[0]["error"]["kind"] == "unknown_outcome"

    codes = [adopted.returncode, taken.returncode, resubmitted.returncode, failed.returncode]
    assert codes == [0, 2, 0, 0]
    assert "job-1" in taken.stderr
    assert "a job that the API does not know fails its row for good" in adopted.stderr
    assert (after_adopt["state"], after_adopt["pending"]) == ("stopped", 1)
    assert after_adopt["in_doubt"] == len(held) - 1
    assert status(shell).items() >= {"pending": 2, "in_doubt": 0, "failed": len(held) - 2}.items()
    assert "no row" in shell.do("doubt", "fail", RUN, "nobody").stderr
    assert api.counts["duplicates"] == 0  # deciding sends nothing


def test_nobody_decides_without_what_was_rescued(shell: Shell) -> None:
    """A job id that waits beside the journal has its row before a person says "send it again"."""
    with simulated("duration=0,drop_after=0.6", seed=5) as api:
        shell.base_url = api.base_url
        shell.do(*shell.run_words())
        with closing(SqliteJournal.read(shell.folder / RUN / "journal.db")) as journal:
            held = journal.held(State.IN_DOUBT, 0, 1)[0]

        row, attempt = held.ticket.row, held.attempts[-1]
        rescued = {
            "id": row.id,
            "line": row.line,
            "job_id": "job-of-the-row",
            "at": attempt.intent_at,
            "generation": attempt.generation,
            "intent_at": attempt.intent_at,
        }
        (shell.folder / RUN / "rescue.jsonl").write_text(json.dumps(rescued) + "\n")
        decided = shell.do("doubt", "resubmit", RUN, row.id)

    assert decided.returncode == 2
    assert "1 job was rescued" in decided.stderr
    assert status(shell)["accepted"] == 1
    assert not (shell.folder / RUN / "rescue.jsonl").exists()


def test_a_resubmission_is_a_persons_word(shell: Shell) -> None:
    """Only `doubt resubmit` makes a second job of a row, and only `resume` sends it."""
    with simulated("duration=0,drop_after=0.6", seed=5) as api:
        shell.base_url = api.base_url
        shell.do(*shell.run_words())
        before = status(shell)["in_doubt"]
        shell.do("doubt", "resubmit", RUN, "--all")
        shell.do("resume", RUN)

    assert before > 0
    assert api.counts["jobs"] == 6 + api.counts["duplicates"]
    assert 0 < api.counts["duplicates"] <= before


def test_another_run_is_refused_with_the_difference(shell: Shell) -> None:
    """2, and every difference is named; a changed rate is none."""
    with simulated("duration=0") as api:
        shell.base_url = api.base_url
        shell.do(*shell.run_words())
        other = shell.do(*shell.run_words("--set", "mode=clipping", "--download"))
        faster = shell.do(*shell.run_words("--in-flight", "7"))

    assert (other.returncode, faster.returncode) == (2, 0)
    assert '--set mode: the run has none, the command says "clipping"' in other.stderr
    assert "--download" in other.stderr
    assert "in_flight = 7" in (shell.folder / RUN / "run.toml").read_text()


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGHUP, 143)])
def test_a_signal_ends_a_run_that_can_be_resumed(
    shell: Shell, number: signal.Signals, code: int
) -> None:
    """One line, no traceback, the documented code; meanwhile others see it run and are kept out."""
    with simulated("duration=600") as api:
        shell.base_url = api.base_url
        child = shell.start(*shell.run_words("--json"))
        read_until(child, "job.accepted", 6)
        running = status(shell)
        busy = shell.do("resume", RUN)
        child.send_signal(number)
        _, err = child.communicate(timeout=LIMIT_S)

    assert running["state"] == "running"
    assert busy.returncode == 5
    assert f"in use by process {child.pid}" in busy.stderr
    assert child.returncode == code
    assert "finishing 0 running submits (up to 30 s); again to stop now" in err
    assert "Traceback" not in err
    found = status(shell)
    assert (found["state"], found["pending"], found["in_doubt"]) == ("stopped", 6, 0)
    assert found["stopped"]["reason"] == "interrupted"


def test_the_second_signal_ends_it_at_once(shell: Shell) -> None:
    """A submit that hangs does not hold up a person who means it; its row is in doubt."""
    shell.write_manifest(1)
    with simulated("hang=1") as api:
        shell.base_url = api.base_url
        child = shell.start(*shell.run_words("--grace", "10m"))
        assert child.stderr is not None
        line = next(child.stderr)  # the journal is open by now
        assert any(status(shell)["submits"] for _ in range(50))
        child.send_signal(signal.SIGINT)
        told = next(line for line in child.stderr if "again to stop now" in line)
        child.send_signal(signal.SIGINT)
        _, err = child.communicate(timeout=LIMIT_S)

    assert child.returncode == 130
    assert "up to 10 min" in told
    assert "Traceback" not in line + told + err
    assert status(shell).items() >= {"in_doubt": 1, "pending": 0, "state": "stopped"}.items()


def test_a_silent_pipe_does_not_hold_a_run_that_shall_stop(shell: Shell) -> None:
    """A manifest that never ends is being waited for in a thread; the grace time ends that too."""
    with simulated("duration=600") as api:
        shell.base_url = api.base_url
        child = shell.start(
            *shell.run_words("--run-dir", RUN, "--grace", "0", manifest="-"), pipe=True
        )
        assert child.stderr is not None
        first = next(child.stderr)
        child.send_signal(signal.SIGTERM)
        told = child.stderr.read()
        code = child.wait(LIMIT_S)
        assert child.stdin is not None
        child.stdin.close()
        assert child.stdout is not None
        child.stdout.close()
        child.stderr.close()

    assert code == 143
    assert "Traceback" not in first + told
    assert status(shell)["state"] == "stopped"


def test_a_killed_run_is_seen_as_stopped_and_goes_on(shell: Shell) -> None:
    """After kill -9 the counts are right, the state is stopped, and no job is made twice."""
    with simulated("duration=2") as api:
        shell.base_url = api.base_url
        child = shell.start(*shell.run_words("--json"))
        read_until(child, "job.accepted", 6)
        child.kill()
        child.communicate()
        killed = status(shell)
        resumed = shell.do("resume", RUN)

    assert killed.items() >= {"state": "stopped", "stopped": None, "jobs_accepted": 6}.items()
    assert resumed.returncode == 0, resumed.stderr
    assert api.counts["jobs"] == 6
    assert status(shell)["state"] == "finished"


def test_retry_looks_again_and_does_not_submit(shell: Shell) -> None:
    """A job that took too long is exhausted; retry finds it done, and pays nothing."""
    with simulated("duration=4") as api:
        shell.base_url = api.base_url
        first = shell.do(*shell.run_words("--job-timeout", "1s"))
        exhausted = status(shell)["exhausted"]
        none = shell.do("retry", RUN, "--kind", "download", "--job-timeout", "1s")
        retried = shell.do("retry", RUN, "--kind", "job_timeout", "--job-timeout", "1m")

    assert (first.returncode, exhausted, none.returncode) == (3, 6, 3)
    assert "batcher retry runs/m-removit" in first.stderr.replace(
        "'", ""
    )  # the path may need quotes
    assert "0 rows taken up again" in none.stderr
    assert "6 rows taken up again" in retried.stderr
    assert retried.returncode == 0
    assert api.counts["jobs"] == 6


def test_a_dry_run_makes_nothing(shell: Shell) -> None:
    """It needs no key, shows the first request without one, and leaves no trace."""
    shell.key = ""
    shell.base_url = "https://api.example/prefix"
    done = shell.do(*shell.run_words("--dry-run", "--set", "mode=clipping"))

    assert done.returncode == 0, done.stderr
    assert "6 rows: 6 good, 0 bad" in done.stdout
    assert "POST https://api.example/prefix/api/v1/upload" in done.stdout
    assert "X-API-Key: ***" in done.stdout
    assert '"file_url":"https://a.example/1.jpg"' in done.stdout
    assert sorted(path.name for path in shell.folder.iterdir()) == ["m.jsonl"]


def test_a_dry_run_refuses_what_a_run_refuses(shell: Shell) -> None:
    """Another run in the directory, or a file where a folder must be: 2, and nothing is shown."""
    shell.base_url = "https://api.example"
    folder = shell.folder / RUN
    folder.mkdir(parents=True)
    (folder / "run.toml").write_text(
        'version = 1\n[run]\nprovider = "removit"\nbase_url = "https://api.example"\n'
        f'manifest = "{shell.folder}/m.jsonl"\n[run.params]\nmode = "params"\n[settings]\n'
    )
    other = shell.do(*shell.run_words("--dry-run"))
    same = shell.do(
        *shell.run_words("--dry-run", "--set", "mode=params", manifest="runs/../m.jsonl")
    )
    file = shell.do(*shell.run_words("--dry-run", "--download", "m.jsonl"))
    place = shell.do(*shell.run_words("--dry-run", "--run-dir", "m.jsonl"))

    assert (other.returncode, other.stdout) == (2, "")
    assert '--set mode: the run has "params", the command says none' in other.stderr
    assert "(exists: resumes)" in same.stdout
    assert [
        (done.returncode, "is a file, not a folder" in done.stderr) for done in (file, place)
    ] == [(2, True)] * 2


def test_a_key_file_that_others_can_read(shell: Shell) -> None:
    """Refused before anything is made; private, it is taken instead of the environment."""
    file = shell.folder / "key"
    file.write_text(f"{KEY}\n")
    file.chmod(0o644)
    shell.key = ""
    with simulated("duration=0") as api:
        shell.base_url = api.base_url
        open_to_all = shell.do(*shell.run_words("--api-key-file", "key"))
        made = (shell.folder / "runs").exists()
        file.chmod(0o600)
        private = shell.do(*shell.run_words("--api-key-file", "key"))

    assert (open_to_all.returncode, made, private.returncode) == (2, False, 0)
