"""`errors`, `runs`, `show`, `status --watch`: looking at a run from beside who works on it."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from subprocess import Popen
from typing import Any

import msgspec
import orjson
import pytest
from click.testing import CliRunner, Result

from batcher.adapters.rundir import RunDirectory
from batcher.adapters.runfile import write_run_file
from batcher.adapters.sqlite import SqliteJournal
from batcher.cli.app import cli
from batcher.core.events import Accept, Finish, Intend, Rerun
from batcher.core.lifecycle import Move, State
from batcher.core.model import ErrorKind, Refund, RowError
from batcher.core.record import outcome_record
from batcher.core.settings import Frozen, Settings
from batcher.report.progress import write_progress
from tests.adapters.journal_conformance import entry, take
from tests.cli.processes import Shell
from tests.cli.terminal import Screen, run_in_terminal
from tests.report.snapshots import middle

RUN = Frozen(provider="deapi", base_url="https://a.example", manifest="-", params={"task": "ocr"})
LOST = RowError(ErrorKind.UNKNOWN_OUTCOME, "no answer came")
BROKEN = RowError(ErrorKind.REJECTED, "picture 17 is broken", 422, "bad_image", request_id="req-9")
LATE = RowError(ErrorKind.JOB_TIMEOUT, "not done after 15 min", retriable=True)
ENDS = {
    "good": (Move.SUCCEED, State.SUCCEEDED, None),
    "bad": (Move.FAIL, State.FAILED, BROKEN),
    "late": (Move.EXHAUST, State.EXHAUSTED, LATE),
    "lost": (Move.DOUBT, State.IN_DOUBT, LOST),
}


class Bed:
    """A run that a process works on, with a row in every state that one can look at."""

    def __init__(self, path: Path) -> None:
        self.path = path
        path.mkdir(parents=True, exist_ok=True)
        write_run_file(path / "run.toml", RUN, Settings())
        self.journal = SqliteJournal.open(path / "journal.db", durable=False)
        self.journal.claim(0.0)
        ids = (*ENDS, "waiting", "sent", "followed")
        lines = self.journal.admit([entry(row_id, line) for line, row_id in enumerate(ids, 1)])
        self._tickets = {line.entry.id: line.ticket for line in lines}
        self._lengths: dict[str, int] = {}
        for row_id in ENDS:
            self._end(row_id)

        take(self.journal, [Intend(self.n("sent"), 1.0, 1)])
        take(self.journal, self._submitted("followed"))

    def n(self, row_id: str) -> int:
        """Return the number of a row."""
        ticket = self._tickets[row_id]
        assert ticket is not None
        return ticket.row.n

    def _submitted(self, row_id: str, generation: int = 1) -> list[Any]:
        n = self.n(row_id)
        job = f"job-{row_id}-{generation}"
        return [Intend(n, 1.0, generation, 1_360_000), Accept(n, 2.0, job, f"req-{generation}")]

    def _end(self, row_id: str) -> None:
        step, state, error = ENDS[row_id]
        if row_id == "bad":  # its first job failed, was paid back, and it was tried again
            rerun = Rerun(self.n(row_id), 2.5, BROKEN, Refund.DONE, "true")
            take(self.journal, [*self._submitted(row_id), rerun, *self._submitted(row_id, 2)])
        elif row_id == "lost":
            take(self.journal, [Intend(self.n(row_id), 1.0, 1)])
        else:
            take(self.journal, self._submitted(row_id))

        ticket = self._tickets[row_id]
        assert ticket is not None
        record = outcome_record(ticket, state, provider="deapi", at=3.0, error=error)
        name = f"{state}.jsonl"
        with (self.path / name).open("ab") as file:
            file.write(record + b"\n")
            self._lengths[name] = file.tell()

        done = Finish(self.n(row_id), 3.0, step, record, error)
        self.journal.apply([done], {name: self._lengths[name]})


@pytest.fixture
def bed(tmp_path: Path) -> Iterator[Bed]:
    """Return a run with its journal open, as it is while a process works on it."""
    bed = Bed(tmp_path / "run")
    with closing(bed.journal):
        yield bed


def do(*words: object) -> Result:
    """Call batcher."""
    return CliRunner().invoke(cli, [str(word) for word in words])


# --- errors --------------------------------------------------------------------------------------


def test_errors_say_why_and_what_to_do(bed: Bed) -> None:
    """Each kind with its rows, an example, a hint and, where one helps, the next command."""
    done = do("errors", bed.path)

    assert done.exit_code == 0, done.stderr
    assert done.stderr == "batcher: 3 rows of 7 did not succeed\n"
    for part in (
        "rejected: 1 row failed (the API made the job, and the job failed)",
        "HTTP 422, code bad_image: picture # is broken",
        "for example bad (line 2)",
        "request req-9",
        f"retry {bed.path} --kind job_timeout",
        f"doubt list {bed.path}",
    ):
        assert part in done.stdout
    assert done.stdout.count("next: ") == 2, "nothing is promised for rows that failed for good"


def test_errors_for_programs(bed: Bed) -> None:
    """One object a group, of one kind if wanted; a run that has not begun has none."""
    done = do("errors", bed.path, "--kind", "rejected", "--json")
    (group,) = map(json.loads, done.stdout.splitlines())

    assert group["file"] == "failed.jsonl"
    assert (group["count"], group["pattern"]) == (1, "picture # is broken")
    assert group["example"]["id"] == "bad"
    (bed.path / "new").mkdir()
    write_run_file(bed.path / "new" / "run.toml", RUN, Settings())
    assert do("errors", bed.path / "new").stderr == "batcher: 0 rows did not succeed\n"


# --- show ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("row_id", "told"),
    [
        ("good", ("succeeded", "cost 0.00136 USD", "next      nothing")),
        ("bad", ("submit 1", "job job-bad-1", "refund done", "submit 2", "job-bad-2", "code bad")),
        ("late", ("job_timeout: not done", "--kind job_timeout")),
        ("lost", ("answer lost", "look for  a job made between", "doubt adopt", "doubt fail")),
        ("waiting", ("pending", "resume submits it")),
        ("sent", ("intent", "no answer yet", "resume asks what became of it")),
        ("followed", ("accepted", "job-followed-1", "resume collects it")),
    ],
)
def test_the_story_of_a_row_in_every_state(bed: Bed, row_id: str, told: tuple[str, ...]) -> None:
    """What was sent, what came back, what it cost, and what to do next."""
    done = do("show", bed.path, row_id)

    assert done.exit_code == 0, done.stderr
    assert f'row       {{"id":"{row_id}","content":"a"}}' in done.stdout
    assert [part for part in told if part not in done.stdout] == []


def test_while_a_process_works_nobody_is_told_to_resume(bed: Bed) -> None:
    """Where the run goes on by itself, nothing is to be done."""
    with RunDirectory(bed.path).lock(0.0):
        for row_id in ("waiting", "sent", "followed"):
            assert (
                "next      nothing: the run goes on with it\n"
                in do("show", bed.path, row_id).stdout
            )


def test_the_story_for_programs(bed: Bed) -> None:
    """One object: the row untouched, attempts with money, the record, the log's own words."""
    log = [
        {"time": "t", "event": "answer.error", "id": "bad", "http_status": 422, "body": "é" * 9},
        {"time": "t", "event": "answer.error", "id": "worse"},
        {"time": "t", "event": "row.finished", "id": "bad"},
    ]
    (bed.path / "log.jsonl").write_bytes(b"".join(orjson.dumps(e) + b"\n" for e in log) + b"{torn")
    story = json.loads(do("show", bed.path, "bad", "--json").stdout)

    assert story["row"] == {"id": "bad", "content": "a"}
    assert [attempt["cost"] for attempt in story["attempts"]] == [0.00136, 0.00136]
    assert [attempt["job_id"] for attempt in story["attempts"]] == ["job-bad-1", "job-bad-2"]
    assert story["record"]["error"]["request_id"] == "req-9"
    assert [event["body"] for event in story["events"]] == ["é" * 9]
    assert story["next"]["commands"] == []


def test_a_row_is_found_by_its_job(bed: Bed) -> None:
    """What a support talk names is a job id."""
    (bed.path / "failed.jsonl").write_bytes(
        (bed.path / "failed.jsonl").read_bytes().replace(b'"job_id":null', b'"job_id":"vendor"')
    )
    with closing(SqliteJournal.open(bed.path / "journal.db", durable=False)) as journal:
        journal.claim(1.0)
        journal.apply([], {"failed.jsonl": (bed.path / "failed.jsonl").stat().st_size})

    assert do("show", bed.path, "vendor").stdout.startswith("bad (line 2): failed")


def test_a_line_that_repeats_an_id_has_its_own_story(bed: Bed) -> None:
    """It was never sent; the row that counts is another one."""
    record = {"id": "good", "line": 9, "row": {"id": "good"}, "error": {"kind": "invalid_row"}}
    with (bed.path / "failed.jsonl").open("ab") as file:
        file.write(orjson.dumps(record) + b"\n")
        length = file.tell()

    bed.journal.apply([], {"failed.jsonl": length})
    done = do("show", bed.path, "good", "--line", 9)

    assert done.stdout.startswith("good (line 9): failed"), done.stderr
    assert "submit 1" not in done.stdout
    assert do("show", bed.path, "good", "--line", 1).stdout.startswith("good (line 1): succeeded")


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["god"], "has no row 'god'; did you mean 'good'?"),
        (["nobody at all"], "has no row 'nobody at all'"),
        (["good", "--line", "3"], "'good' is on line 1, not on line 3"),
        (["\udcff\x1b[31m"], "has no row "),
    ],
)
def test_an_unknown_row_gets_one_line_and_2(bed: Bed, words: list[str], told: str) -> None:
    """With near names, if there are any."""
    done = do("show", bed.path, *words)

    assert (done.exit_code, done.stdout) == (2, "")
    assert told in done.stderr
    assert done.stderr.count("\n") == 1
    assert "\x1b" not in done.stderr


# --- runs ----------------------------------------------------------------------------------------


def test_runs_are_listed_whatever_lies_beside_them(bed: Bed, tmp_path: Path) -> None:
    """A foreign folder, a broken journal, a broken run.toml: each is one line and no end."""
    (tmp_path / "photos").mkdir()
    (tmp_path / "a file").write_text("x")
    for name, file in (("torn", "run.toml"), ("damaged", "journal.db")):
        (tmp_path / name).mkdir()
        write_run_file(tmp_path / name / "run.toml", RUN, Settings())
        (tmp_path / name / file).write_bytes(b"\xff" * 5_000)

    deep = Bed(tmp_path / "2026" / "night")
    deep.journal.close()
    done = do("runs", tmp_path)

    assert done.exit_code == 0, done.stderr
    assert done.stderr == f"batcher: 2 runs in {tmp_path}\n"
    assert len(done.stdout.splitlines()) == 5
    listed = {
        row["run"]: row
        for row in map(json.loads, do("runs", tmp_path, "--json").stdout.splitlines())
    }
    states = {Path(run).name: row["state"] for run, row in listed.items()}
    assert states == {
        "run": "stopped",
        "night": "stopped",
        "photos": "no run",
        "torn": "broken",
        "damaged": "broken",
    }
    assert listed[str(bed.path)]["summary"]["pending"] == 3
    for part in ("deapi, 7 rows: succeeded 1, failed 1, exhausted 1, in doubt 1, pending 3", "USD"):
        assert part in done.stdout


def test_no_runs_are_no_trouble(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where nothing was run there is nothing to list; a folder that is not there is a mistake."""
    monkeypatch.chdir(tmp_path)

    assert do("runs").stderr == "batcher: 0 runs in runs\n"
    assert do("runs", "nowhere").exit_code == 2


def test_a_run_in_parts_is_looked_at_as_one(tmp_path: Path) -> None:
    """Each worker has its own journal and files; whoever asks for the run is told of all."""
    run = tmp_path / "run"
    run.mkdir()
    write_run_file(run / "run.toml", msgspec.structs.replace(RUN, shards=2), Settings())
    for number in range(2):
        Bed(run / "shards" / f"0{number}").journal.close()

    with closing(SqliteJournal.open(run / "shards/01/journal.db", durable=False)) as journal:
        journal.claim(1.0)
        journal.admit([entry("only here", 8)])

    assert do("errors", run).stderr == "batcher: 6 rows of 15 did not succeed\n"
    assert do("show", run, "only here").stdout.startswith("only here (line 8): pending")
    assert "deapi, 15 rows: succeeded 2, failed 2" in do("runs", tmp_path).stdout
    summary = json.loads(do("status", run, "--json").stdout)
    assert (summary["rows"], summary["pending"], summary["jobs_accepted"]) == (15, 7, 10)


# --- status --watch ------------------------------------------------------------------------------


@pytest.mark.e2e
@pytest.mark.parametrize("columns", [80, 200])
def test_watching_shows_what_the_run_shows(bed: Bed, tmp_path: Path, columns: int) -> None:
    """The screen of another process, until that ends; then how the run stands."""
    shot = middle(at=time.time(), rows_total=4_000)
    lock = RunDirectory(bed.path).lock(time.time())
    lock.__enter__()
    released: list[bool] = []

    def interfere(came: str, resize: Callable[[int], None], child: Popen[bytes]) -> None:
        if "1,170 of 4,000 rows" in came and not released:
            released.append(True)
            lock.__exit__(None, None, None)

    write_progress(bed.path, msgspec.to_builtins(shot))
    code, came, _ = run_in_terminal(
        ["status", "run", "--watch"],
        columns=columns,
        cwd=tmp_path,
        environ=Shell(tmp_path).environ,
        on_output=interfere,
        both=True,
    )
    screen = Screen(columns)
    screen.feed(came)

    assert code == 0, came
    assert released
    assert "rejected           60  the picture cannot be read" in screen.text
    assert "run: stopped" in screen.text
    assert screen.text.count("in flight") == 1, "one frame stands there"
    assert max(map(len, screen.lines)) <= columns


@pytest.mark.e2e
def test_watching_a_run_that_says_nothing(bed: Bed, tmp_path: Path) -> None:
    """Without a snapshot of now the journal's counts are shown; piped, in plain lines."""
    write_progress(bed.path, msgspec.to_builtins(middle(at=1.0)))
    with RunDirectory(bed.path).lock(time.time()):
        child = Shell(tmp_path).start("status", "run", "--watch")
        assert child.stdout is not None
        line = child.stdout.readline()

    rest, _ = child.communicate(timeout=30)
    assert "4 rows ended · succeeded 1 · failed 1 · exhausted 1 · in doubt 1" in line
    assert "run: stopped" in rest
    assert "\x1b" not in line + rest
