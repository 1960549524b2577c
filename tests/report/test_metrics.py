"""The numbers of a run: in a format that every scraper reads, and the same as in the summary."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batcher.core.binding import By, Held
from batcher.core.model import StopReason
from batcher.report.held import held_back_of
from batcher.report.metrics import Standing, metrics_text
from batcher.report.summary import Cost, Stopped, Summary
from tests.report.snapshots import middle

HELP = re.compile(r"# HELP ([a-z_:]+) (\S.*)")
TYPE = re.compile(r"# TYPE ([a-z_:]+) (counter|gauge)")
SAMPLE = re.compile(r'([a-z_]+)\{((?:[a-z_]+="(?:[^"\\\n]|\\[\\"n])*",?)+)\} (-?[0-9][0-9.e+-]*)')
LABEL = re.compile(r'([a-z_]+)="((?:[^"\\]|\\.)*)"')

SUMMARY = Summary(
    state="running",
    rows=1_500,
    succeeded=1_100,
    failed=60,
    exhausted=8,
    in_doubt=2,
    pending=330,
    accepted=180,
    submits=1_250,
    status_reads=9_000,
    throttled=7,
    cost=Cost(currency="USD", charged=1.25, refunded=0.25, net=1.0),
    held_back=held_back_of([Held(By.SUBMIT, "300/m", 12.5)], ()),
    wall_s=250.0,
)
STANDING = Standing(
    run="tonight",
    provider="removit",
    version="1.0",
    summary=SUMMARY,
    shot=middle(),
    started_at=1_799_999_750.0,
    progress_at=1_799_999_999.5,
)

Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


def read(text: str) -> Samples:
    """Read the format as strictly as its description: anything else fails."""
    assert text.endswith("\n")
    samples: Samples = {}
    kinds: dict[str, str] = {}
    lines = iter(text.removesuffix("\n").split("\n"))
    name = ""
    for line in lines:
        if helped := HELP.fullmatch(line):
            name = helped[1]
            typed = TYPE.fullmatch(next(lines))
            assert typed is not None
            assert typed[1] == name
            assert name not in kinds, f"{name} is there twice"
            kinds[name] = typed[2]
            assert (typed[2] == "counter") == name.endswith("_total"), name
            continue

        found = SAMPLE.fullmatch(line)
        assert found is not None, line
        assert found[1] == name, f"{line} stands among those of {name}"
        labels = {key: _raw(value) for key, value in LABEL.findall(found[2])}
        key = name, frozenset(labels.items())
        assert key not in samples, f"{line} is there twice"
        samples[key] = float(found[3])

    return samples


def _raw(value: str) -> str:
    return re.sub(r"\\(.)", lambda found: "\n" if found[1] == "n" else found[1], value)


def value(samples: Samples, name: str, **labels: str) -> float:
    """Return one sample of the ordinary run."""
    own = {"run": "tonight", "provider": "removit"}
    return samples[name, frozenset({**own, **labels}.items())]


def test_the_numbers_are_those_of_the_summary() -> None:
    """Each count once, each under the labels of its run."""
    samples = read(metrics_text(STANDING))

    outcomes = {"succeeded": 1_100, "failed": 60, "exhausted": 8, "in_doubt": 2, "pending": 330}
    for outcome, count in outcomes.items():
        assert value(samples, "batcher_rows", outcome=outcome) == count

    assert value(samples, "batcher_submits_total") == 1_250
    assert value(samples, "batcher_status_reads_total") == 9_000
    assert value(samples, "batcher_throttled_total") == 7
    assert value(samples, "batcher_jobs_open") == 180
    assert value(samples, "batcher_cost", kind="net", currency="USD") == 1.0
    assert value(samples, "batcher_in_flight") == 180
    assert value(samples, "batcher_requests_open", lane="submit") == 12
    assert value(samples, "batcher_lane_closed_seconds", lane="status") == 12.0
    assert value(samples, "batcher_errors_total", kind="rejected") == 60
    assert value(samples, "batcher_held_back_seconds_total", by="submit limit") == 12.5
    assert value(samples, "batcher_last_progress_timestamp_seconds") == 1_799_999_999.5
    assert value(samples, "batcher_run_state", state="running") == 1
    assert value(samples, "batcher_run_state", state="finished") == 0


def test_the_end_of_a_process() -> None:
    """The state and the exit code are there, and nothing that only a living process has."""
    stopped = Stopped(StopReason.DEADLINE, "the time is up")
    summary = Summary(state="stopped", rows=5, succeeded=3, pending=2, stopped=stopped)
    samples = read(metrics_text(replace(STANDING, summary=summary, shot=None, exit_code=4)))

    assert value(samples, "batcher_exit_code") == 4
    assert value(samples, "batcher_run_state", state="stopped") == 1
    assert value(samples, "batcher_run_stopped", reason="deadline") == 1
    assert not any(name in ("batcher_in_flight", "batcher_left_seconds") for name, _ in samples)
    assert not any(name == "batcher_cost" for name, _ in samples)  # no price is known


@given(st.text())
def test_any_name_of_a_run_is_carried_whole(name: str) -> None:
    """A folder may be called anything, and none of it makes a line or a label of its own."""
    samples = read(metrics_text(replace(STANDING, run=name)))

    (found,) = {dict(labels)["run"] for _, labels in samples}
    assert found == name.encode("utf-8", "backslashreplace").decode()


@pytest.mark.parametrize("count", [0, 1, 2**53, 10**17])
def test_numbers_are_written_plainly(count: int) -> None:
    """No exponent for a count that has none, and nothing that a parser would refuse."""
    samples = read(metrics_text(replace(STANDING, summary=Summary(submits=count))))

    assert value(samples, "batcher_submits_total") == float(count)
