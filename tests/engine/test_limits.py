"""Hard stops that count: a day's requests, jobs and failures."""

from __future__ import annotations

import pytest

from batcher.core.errors import UsageError
from batcher.core.lifecycle import State
from batcher.core.model import ErrorKind, RowError, Stop, StopReason
from batcher.core.money import nanos
from batcher.core.pacing.rates import parse_rate
from batcher.core.settings import Settings
from batcher.engine.lanes.caps import BUCKET_S, DailyCaps, times_of
from batcher.engine.money.budget import FailureLimit, JobBudget, parse_failure_limit

REFUSED = RowError(ErrorKind.INVALID_REQUEST, "no")
INVALID = RowError(ErrorKind.INVALID_ROW, "no")


class Wall:
    """A wall clock that a test moves."""

    def __init__(self) -> None:
        self.at = 1_700_000_000.0

    def __call__(self) -> float:
        """Return the time."""
        return self.at


# A day's cap


def test_a_days_cap_holds_until_the_first_of_its_requests_is_a_day_old() -> None:
    """The 4th request of `3/d` waits for a day after the first."""
    wall = Wall()
    caps = DailyCaps(parse_rate("3/d"), [], wall)
    for _ in range(3):
        assert caps.wait_s() == 0
        caps.spend()
        wall.at += 100.0

    assert caps.wait_s() == pytest.approx(86_400.0 - 300.0)


def test_a_days_cap_outlives_the_process() -> None:
    """What one process spent counts in the next, to within a bucket on the careful side."""
    wall = Wall()
    rate = parse_rate("5/m,3/d")
    first = DailyCaps(rate, [], wall)
    for _ in range(3):
        first.spend()

    second = DailyCaps(rate, times_of(first.as_fact()), wall)

    assert first.wait_s() <= second.wait_s() <= 86_400.0
    wall.at += 86_400.0 + BUCKET_S
    assert second.wait_s() == 0


def test_what_is_older_than_a_day_is_forgotten() -> None:
    """The kept fact does not grow with the age of a run."""
    wall = Wall()
    caps = DailyCaps(parse_rate("1000/d"), [], wall)
    for _ in range(10):
        caps.spend()
        wall.at += 43_200.0

    assert len(times_of(caps.as_fact())) <= 3


def test_a_rate_without_a_day_has_no_cap() -> None:
    """Minute windows are the pacer's affair."""
    caps = DailyCaps(parse_rate("5/m"), [], Wall())
    for _ in range(100):
        caps.spend()

    assert caps.wait_s() == 0


# Jobs


def test_the_job_budget_counts_what_earlier_processes_made() -> None:
    """`--max-jobs` is over the whole run, and a proved refusal gives its job back."""
    budget = JobBudget(5, used=4, duplicates=0)

    assert budget.reserve(None)
    assert not budget.reserve(None)
    budget.give_back(None)
    assert budget.reserve(None)


def test_a_worker_says_that_only_its_part_is_used_up() -> None:
    """The number that a person gave is larger: both limits say whose part is meant."""
    jobs = JobBudget(2, used=2, duplicates=0, is_part=True)
    assert jobs.shortage(None).startswith("it made all 2 jobs of its part of --max-jobs")
    money = JobBudget(
        None, used=0, duplicates=0, cost_limit=nanos(1.5), spent=nanos(1.0), is_part=True
    )
    assert "1 of its part of --max-cost 1.5 are spent" in money.shortage(nanos(1.0))


def test_duplicates_have_a_cap_of_their_own() -> None:
    """No more rows are risked twice than the user allowed, over the whole run."""
    budget = JobBudget(None, used=0, duplicates=1)

    assert budget.risk_duplicate(2)
    assert not budget.risk_duplicate(2)


# Failures


def failures(text: str | None) -> tuple[FailureLimit, list[Stop]]:
    """Return a limit and the stops that it calls for."""
    stops: list[Stop] = []
    return FailureLimit(text, 0, 0, stops.append), stops


def test_more_failures_than_allowed_halt_the_run() -> None:
    """`--max-failures 2` lets two rows fail and stops at the third."""
    limit, stops = failures("2")
    for _ in range(2):
        limit.note(State.FAILED, REFUSED)

    assert stops == []
    limit.note(State.EXHAUSTED, REFUSED)
    assert stops[0].reason is StopReason.FAILURE_LIMIT


def test_failures_counted_elsewhere_halt_when_one_is_new() -> None:
    """Who leads workers adds up what they counted; a run that is resumed waits for the next one."""
    stops: list[Stop] = []
    limit = FailureLimit.of(Settings(max_failures="2"), {"failed": 3}, stops.append)
    limit.recount({"failed": 3, "succeeded": 9})
    limit.recount({"failed": 4, "rejected": 1, "succeeded": 9})  # one that was never sent
    assert stops == []
    limit.recount({"failed": 4, "exhausted": 1, "rejected": 1})
    assert [stop.reason for stop in stops] == [StopReason.FAILURE_LIMIT]


def test_a_share_is_judged_only_over_enough_rows() -> None:
    """`5%` of three rows means nothing: the first failure does not stop the run."""
    limit, stops = failures("5%")
    limit.note(State.FAILED, REFUSED)
    for _ in range(19):
        limit.note(State.SUCCEEDED, None)

    assert stops == []
    limit.note(State.FAILED, REFUSED)
    assert stops


def test_rows_that_were_never_sent_do_not_count() -> None:
    """A bad manifest row is told by `check`; it says nothing of the API."""
    limit, stops = failures("0")
    limit.note(State.FAILED, INVALID)
    limit.note(State.IN_DOUBT, REFUSED)

    assert stops == []


@pytest.mark.parametrize("text", ["", "x", "-1", "5.5", "%", "1e3", "five%"])
def test_nonsense_is_a_usage_error(text: str) -> None:
    """A limit that cannot be read is told, not guessed."""
    with pytest.raises(UsageError, match="max-failures"):
        parse_failure_limit(text)
