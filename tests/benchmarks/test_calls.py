"""A change that makes every job dearer is seen, on whatever machine and however busy that is."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks.calls import calls_of, calls_per_job, counted
from benchmarks.check import CALLS, RECORDED, Entry, record, recorded, worse


def test_a_job_takes_no_more_calls_than_recorded() -> None:
    """Calls of functions for one job, on virtual time: a tenth above the recorded number fails."""
    entry = recorded().get(CALLS)
    if entry is None:
        pytest.skip("recorded with another minor version of Python, which makes other calls")

    now = calls_per_job()
    assert not entry.is_worse(now), (
        f"{now:,.0f} calls a job, recorded are {entry.value:,.0f}: make it cheaper, or say in the "
        "change why it is worth that, and run `make bench-record`"
    )


def test_calls_count_but_for_those_of_tests() -> None:
    """Calls of Python and C functions count, each once; what tests call themselves does not."""

    def work() -> None:
        for _ in range(10):
            json.loads("1")

    def twice() -> None:
        work()
        work()

    once = counted(work)
    assert once >= 10 * 3  # `loads`, `decode`, `raw_decode`, and C functions within
    assert counted(twice) == 2 * once
    assert counted(lambda: [len("") for _ in range(10)]) == 0


def test_a_run_takes_the_same_calls_each_time() -> None:
    """Two runs give the same number, but for the order in which anyio cancels tasks at the end."""
    assert calls_of(40) == pytest.approx(calls_of(40), rel=0.005)


@pytest.mark.parametrize(
    ("better", "now", "is_worse"),
    [("less", 109, False), ("less", 111, True), ("more", 91, False), ("more", 89, True)],
)
def test_worse_is_what_is_beyond_the_tolerance(better: str, now: float, is_worse: bool) -> None:
    """A tenth of tolerance is a tenth, upwards or downwards; what is not recorded is not judged."""
    entries = {"a": Entry(100, better, 0.1)}
    assert worse(entries, {"a": now, "new": 1.0}) == (["a"] if is_worse else [])


def test_recording_changes_values_and_nothing_else(tmp_path: Path) -> None:
    """What is recorded anew keeps its direction and its tolerance, and so does all the rest."""
    path = tmp_path / "recorded.json"
    path.write_bytes(RECORDED.read_bytes())
    before = json.loads(path.read_text())["entries"]
    record({CALLS: 1234.56781}, path)
    after = json.loads(path.read_text())["entries"]
    assert after == before | {CALLS: before[CALLS] | {"value": 1234.5678}}
