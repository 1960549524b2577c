"""The summary tells the truth while a run goes on, after a kill, and when it is over."""

from __future__ import annotations

import json
from pathlib import Path
from typing import get_args

import msgspec
import pytest

from batcher.core.model import Stop, StopReason
from batcher.report.summary import (
    RunState,
    Summary,
    SummaryFile,
    brought_to,
    read_summary,
    seen_from_outside,
    state_of,
    stopped_by,
    summary_of,
)

COUNTERS = {
    "rows": 10,
    "pending": 1,
    "intent": 1,
    "accepted": 1,
    "ready": 1,
    "succeeded": 3,
    "failed": 1,
    "exhausted": 1,
    "in_doubt": 1,
    "jobs_accepted": 6,
    "submits": 9,
    "status_reads": 40,
    "throttled": 2,
    "refund_done": 1,
    "refund_already_done": 2,
    "refund_unconfirmed": 3,
}


def test_the_object_is_the_published_one() -> None:
    """Every key that scripts rely on is there, and accepted rows count as pending."""
    stop = Stop(StopReason.THROTTLED, "come back tomorrow", 1_800_000_000.0)
    summary = summary_of(COUNTERS, state="stopped", stopped=stopped_by(stop), wall_s=1.5)

    told = json.loads(summary.as_json())
    assert (
        told.items()
        >= {
            "v": 1,
            "rows": 10,
            "succeeded": 3,
            "failed": 1,
            "exhausted": 1,
            "in_doubt": 1,
            "pending": 4,
            "accepted": 2,
            "stopped": {
                "reason": "throttled",
                "message": "come back tomorrow",
                "resume_at": "2027-01-15T08:00:00.000Z",
            },
            "jobs_accepted": 6,
            "submits": 9,
            "status_reads": 40,
            "throttled": 2,
            "refunds": {"done": 1, "already_done": 2, "unconfirmed": 3},
            "wall_s": 1.5,
        }.items()
    )


def test_what_a_run_cost_is_told_in_its_currency() -> None:
    """Exact sums of nanos as amounts, the parts, and what is left of the charge."""
    money = {
        "jobs_priced": 3,
        "cost": 4_080_000,
        "cost_refunded": 1_360_000,
        "cost_unconfirmed": 1,
        "cost_in_doubt": 2_000_000_000,
        "cost_unproven": 500_000_000,
    }
    summary = summary_of(
        COUNTERS | money, state="stopped", stopped=None, wall_s=1.5, currency="USD"
    )

    assert json.loads(summary.as_json())["cost"] == {
        "currency": "USD",
        "charged": 0.00408,
        "refunded": 0.00136,
        "net": 0.00272,
        "unconfirmed": 1e-09,
        "in_doubt": 2.0,
        "unproven": 0.5,
        "jobs_priced": 3,
    }


def test_a_price_that_nobody_knows_is_no_price_of_nothing() -> None:
    """Without one price the cost is null and not 0; jobs that cost nothing are told as such."""
    unknown = summary_of(COUNTERS, state="stopped", stopped=None, wall_s=1.5, currency="USD")
    free = summary_of(COUNTERS | {"jobs_priced": 1}, state="stopped", stopped=None, wall_s=1.5)

    assert json.loads(unknown.as_json())["cost"] is None
    assert free.cost is not None
    assert (free.cost.charged, free.cost.currency) == (0.0, None)


def test_the_currency_is_told_whoever_writes_the_file(tmp_path: Path) -> None:
    """By a run that goes on, after a decision, and from outside."""
    counters = {"jobs_priced": 1, "cost": 5_000_000_000}
    file = SummaryFile(tmp_path, "USD")
    written = file.write(counters, state="stopped", stop=None, elapsed_s=1, at=0.0)
    decided = SummaryFile(tmp_path, "USD").decided(counters)
    outside = seen_from_outside(counters, read_summary(tmp_path), is_owned=True, currency="USD")

    for summary in (written, decided, outside):
        assert summary.cost is not None
        assert (summary.cost.charged, summary.cost.currency) == (5.0, "USD")


@pytest.mark.parametrize(
    ("is_owned", "pending", "last", "state"),
    [
        (True, 0, ("finished", 0), "running"),
        (False, 0, ("finished", 0), "finished"),
        (False, 2, ("finished", 2), "finished"),  # two rows vanished from the manifest
        (False, 3, ("finished", 2), "stopped"),  # a decision made one pending again
        (False, 0, ("running", 0), "stopped"),  # killed, perhaps before it had read all rows
        (False, 0, ("stopped", 0), "stopped"),
        (False, 0, None, "stopped"),  # killed before the first summary
    ],
)
def test_the_state_seen_from_outside(
    is_owned: bool, pending: int, last: tuple[RunState, int] | None, state: RunState
) -> None:
    """Only a process that finished, and no decision since, makes a run finished."""
    before = None if last is None else Summary(state=last[0], pending=last[1])

    assert state_of(is_owned=is_owned, pending=pending, last=before) == state


def test_wall_time_adds_up_over_processes(tmp_path: Path) -> None:
    """Each process adds its own time to what the file said when it came."""
    for elapsed_s, total_s in ((2.0, 2.0), (3.0, 5.0)):
        file = SummaryFile(tmp_path)
        file.begin()
        for share in (0.5, 1.0):
            file.write({}, state="finished", stop=None, elapsed_s=elapsed_s * share, at=0.0)

        found = read_summary(tmp_path)
        assert found is not None
        assert found.wall_s == total_s


@pytest.mark.parametrize(
    ("state", "owned_since", "wall_s"),
    [
        ("running", "2027-01-15T07:00:00.000Z", 15.0),  # this process wrote the file 5 s ago
        ("running", "2027-01-15T07:59:58.000Z", 12.0),  # the process before wrote it
        ("running", None, 15.0),
        ("running", "yesterday", 15.0),
        ("stopped", "2027-01-15T07:59:58.000Z", 10.0),
    ],
)
def test_a_running_run_is_shown_as_of_now(
    state: RunState, owned_since: str | None, wall_s: float
) -> None:
    """The file is up to 5 seconds old, or still that of the last night; the time told is not."""
    last = Summary(state=state, wall_s=10.0, updated="2027-01-15T07:59:55.000Z")
    seen = brought_to(last, 1_800_000_000.0, owned_since)

    assert seen.wall_s == wall_s
    assert seen.updated == ("2027-01-15T08:00:00.000Z" if state == "running" else last.updated)


def test_a_run_that_goes_on_does_not_look_finished(tmp_path: Path) -> None:
    """A process that is killed right after its start leaves no `finished` behind."""
    SummaryFile(tmp_path).write({"rows": 5}, state="finished", stop=None, elapsed_s=1, at=0.0)
    SummaryFile(tmp_path).begin()

    found = read_summary(tmp_path)
    assert found is not None
    assert (found.state, found.rows) == ("running", 5)


def test_a_stop_is_forgotten_by_the_next_process(tmp_path: Path) -> None:
    """Why the run stopped the last time is no reason any more once it goes on."""
    stop = Stop(StopReason.BUDGET, "enough")
    SummaryFile(tmp_path).write({}, state="stopped", stop=stop, elapsed_s=1, at=0.0)
    outside = seen_from_outside({}, read_summary(tmp_path), is_owned=True)

    assert outside.stopped is None


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"rows":"many"}'])
def test_a_damaged_summary_is_no_summary(tmp_path: Path, content: bytes) -> None:
    """A file that cannot be read costs the wall time and nothing else."""
    (tmp_path / "summary.json").write_bytes(content)

    assert read_summary(tmp_path) is None
    SummaryFile(tmp_path).begin()


def test_a_summary_of_a_newer_batcher_is_read() -> None:
    """Keys that are not known here are passed over."""
    found = msgspec.json.decode(b'{"v":1,"rows":3,"colour":1.5}', type=Summary)

    assert found.rows == 3
    assert set(get_args(RunState)) == {"running", "finished", "stopped"}


def test_jobs_that_calls_told_of_are_in_the_summary() -> None:
    """The journal's counter, 0 where no call ever came."""
    told = summary_of({"jobs_claimed": 3}, state="finished", stopped=None, wall_s=1)

    assert json.loads(told.as_json())["jobs_claimed"] == 3
    assert summary_of({}, state="finished", stopped=None, wall_s=1).jobs_claimed == 0


def test_what_a_run_waits_for_is_known_only_while_it_runs(tmp_path: Path) -> None:
    """Its own process writes it; of a killed run, or of the process before, nothing is repeated."""
    file = SummaryFile(tmp_path)
    file.write({}, state="running", stop=None, elapsed_s=1, at=1_000.0, waiting="the disk")
    last = read_summary(tmp_path)
    running = seen_from_outside({}, last, is_owned=True)

    assert running.waiting == "the disk"
    assert brought_to(running, 1_006.0, None).waiting == "the disk"
    assert brought_to(running, 1_100.0, None).waiting is None  # nobody replaces the file
    assert seen_from_outside({}, last, is_owned=False).waiting is None
    SummaryFile(tmp_path).begin()
    again = read_summary(tmp_path)
    assert again is not None
    assert again.waiting is None
