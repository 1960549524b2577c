"""How many reads a job may take: Little's law, a day's cap, and one price for all classes."""

from __future__ import annotations

from math import inf

import pytest

from batcher.core.backoff import Backoff
from batcher.core.pacing.rates import parse_rate
from batcher.core.polling.durations import Durations, Look
from batcher.core.polling.looking import Looking
from batcher.engine.polling.allowance import Load, shared_out


def load(reads: str | None, submits: str | None = None, **more: object) -> Load:
    """Return what is left to do: endlessly many rows, unless told otherwise."""
    values: dict[str, object] = {"rows_left": inf, "rows_wait": True, "jobs_max": 200, **more}
    return Load(
        submits=None if submits is None else parse_rate(submits),
        reads=None if reads is None else parse_rate(reads),
        **values,  # type: ignore[arg-type]  # a table's values
    )


@pytest.mark.parametrize(
    ("given", "jobs_open", "reads"),
    [
        # Without a limit there is none.
        (load(None), 100, None),
        # 5/s for 200 jobs of 60 s: 1.5 each, less a tenth; also while only 10 are open yet.
        (load("5/s"), 200, 1.35),
        (load("5/s"), 10, 1.35),
        # Submits of 1/s keep 60 jobs open, not 200.
        (load("5/s", "1/s"), 10, 4.5),
        (load("5/s", "1/s"), 120, 2.25),
        # Nothing waits any more: those that are open share.
        (load("5/s", "1/s", rows_wait=False), 10, 27.0),
        # 200 a day, 150 of them made: the rest is for the rows that are left, or the day's submits.
        (load("200/d", "5/m", rows_left=25, reads_of_day={86_400.0: 150}), 5, 1.8),
        (load("200/d", "5/m,100/d", reads_of_day={}), 0, 1.8),
        (load("200/d", "5/m,100/d", reads_of_day={86_400.0: 200}), 0, 0.0),
        # The scarcer of the two.
        (load("60/m,200/d", "5/m,100/d", rows_left=10), 5, 10.8),
        (load("60/m,200/d", "1/s", rows_left=10), 5, 0.9),
    ],
)
def test_reads_last_for_all_jobs(given: Load, jobs_open: int, reads: float | None) -> None:
    """Each job is open for a minute."""
    assert given.reads_a_job(jobs_open, 60.0) == (None if reads is None else pytest.approx(reads))


@pytest.mark.parametrize(
    ("given", "jobs_open", "is_over"),
    [
        (load("5/s", rows_wait=False, rows_ended=800), 8, True),
        (load(None, rows_wait=False, rows_ended=800), 8, True),
        # More than one in a hundred, more than eight, and rows that may bring more.
        (load("5/s", rows_wait=False, rows_ended=799), 8, False),
        (load("5/s", rows_wait=False, rows_ended=90_000), 9, False),
        (load("5/s", rows_ended=800), 8, False),
        # The reads of a day are somebody's.
        (load("5/s,2000/d", rows_wait=False, rows_ended=800), 8, False),
    ],
)
def test_the_last_jobs_are_few_beside_all_rows(given: Load, jobs_open: int, is_over: bool) -> None:
    """Only then are they looked at more often, and only where nobody misses the reads."""
    assert given.is_nearly_over(jobs_open) is is_over


def taught(seconds: float, reads: float = 4.0) -> Looking:
    """Return what knows jobs of about one duration."""
    found = Durations()
    for n in range(100):
        low_s = seconds * (0.5 + n / 100)
        found.add(Look(0.0, low_s, ended=False))
        found.add(Look(low_s, 1.05 * low_s, ended=True))

    return Looking(Backoff(2.0, 1.5, 15.0), reads=reads, durations=found)


def test_one_class_gets_what_there_is() -> None:
    """With a single class the share is the mean."""
    looking = taught(60.0)
    assert looking.stay_s is not None
    mean = load("5/s").reads_a_job(50, looking.stay_s)
    shares = shared_out({"a": looking}, {"a": 50}, load("5/s"))
    assert shares is not None
    assert shares["a"] == pytest.approx(mean)


def test_reads_go_where_they_save_most() -> None:
    """Of two classes the slower gets more reads a job; together they take what there is."""
    classes = {"slow": taught(600.0), "quick": taught(6.0)}
    shares = shared_out(classes, {"slow": 100, "quick": 10}, load("3/s"))
    assert shares is not None
    assert shares["slow"] > 3 * shares["quick"]
    stays = {name: looking.stay_s or 0.0 for name, looking in classes.items()}
    ends = {"slow": 100 / stays["slow"], "quick": 10 / stays["quick"]}
    mean = load("3/s").reads_a_job(110, 110 / sum(ends.values()))
    spent = sum(ends[name] * shares[name] for name in classes)
    assert spent == pytest.approx(sum(ends.values()) * (mean or 0.0))


def test_where_nothing_is_known_nothing_is_shared() -> None:
    """A class without a plan keeps its pauses; without a limit any class may take any number."""
    unknown = Looking(Backoff(2.0, 1.5, 15.0))
    assert shared_out({"a": unknown}, {"a": 10}, load("1/s")) == {}
    assert shared_out({"a": unknown}, {"a": 10}, load(None)) is None
    assert shared_out({"a": taught(60.0)}, {"a": 10}, load(None)) is None
