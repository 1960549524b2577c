"""`--fail-on`: which rows make a finished run count as failed: read strictly, counted exactly."""

from __future__ import annotations

from signal import SIGTERM
from typing import Any

import click
import pytest
from hypothesis import given
from hypothesis import strategies as st

from batcher.cli.exits import needs_person, run_exit_code
from batcher.cli.night.fail_on import COUNTS, conditions, that_hold
from batcher.core.model import StopReason
from batcher.report.summary import Cost, Refunds, Stopped, Summary


@pytest.mark.parametrize(
    ("wanted", "counts", "code"),
    [
        ("failed>0", {"failed": 1}, 3),
        ("failed>0", {"exhausted": 5, "in_doubt": 5, "pending": 5}, 0),  # nobody named those
        ("failed>1%", {"failed": 10}, 0),  # of 1,000: exactly so many is not more
        ("failed>1%", {"failed": 11}, 3),
        ("failed > 0.5 %", {"failed": 6}, 3),
        ("in_doubt>0,failed>50%", {"in_doubt": 1}, 3),
        ("in_doubt>0,failed>50%", {"failed": 500}, 0),
        ("pending>2", {"pending": 3}, 3),
        ("exhausted>99.9%", {"exhausted": 1_000}, 3),
    ],
)
def test_a_finished_run_is_judged_by_its_conditions(
    wanted: str, counts: dict[str, Any], code: int
) -> None:
    """3 if one holds, else 0; what none of them names does not count."""
    assert run_exit_code(Summary(rows=1_000, **counts), None, conditions(wanted)) == code


@pytest.mark.parametrize("reason", list(StopReason))
def test_a_stop_stays_a_stop(reason: StopReason) -> None:
    """`--fail-on` changes no other code, whatever it lets pass."""
    lenient = conditions("failed>99%")
    stopped = Summary(rows=2, succeeded=2, stopped=Stopped(reason, "why"))

    assert run_exit_code(stopped, None, lenient) == run_exit_code(stopped) != 0
    assert run_exit_code(stopped, SIGTERM, lenient) == 143


def test_of_a_run_without_rows_no_share_is_too_large() -> None:
    """An empty manifest divides nothing by nothing."""
    assert run_exit_code(Summary(), None, conditions("failed>0%,pending>0")) == 0


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("failed", "in quotes, because the shell"),
        ("failed>", "in quotes"),
        ("failed>=1", "is no condition"),
        ("failed>-1", "is no condition"),
        ("failed>1e3", "is no condition"),
        ("failed>1%,", "'' is no condition"),
        ("failed>1.5", "rows are whole"),
        ("failed>100%", "never holds"),
        ("fialed>1", "did you mean failed?"),
        ("in-doubt>0", "did you mean in_doubt?"),
        ("rows>3", "there are failed, exhausted, in_doubt, pending"),
        ("FAILED>1", "did you mean failed?"),
    ],
)
def test_what_is_no_condition_is_refused(text: str, told: str) -> None:
    """One clear line, because a condition that silently never holds lets a bad night pass."""
    with pytest.raises(click.BadParameter) as refused:
        conditions(text)

    assert told in refused.value.message
    assert "\n" not in refused.value.message


@given(
    st.sampled_from(COUNTS),
    st.integers(0, 10_000),
    st.integers(1, 10_000),
    st.integers(0, 9_999_999),
)
def test_shares_are_exact(count: str, found: int, rows: int, millionths: int) -> None:
    """A share is compared without rounding: above means above, by however little."""
    text = f"{count}>{millionths // 100_000}.{millionths % 100_000:05}%"
    summary = Summary(rows=rows, **{count: found})  # type: ignore[arg-type]  # a count by its name

    holds = bool(that_hold(conditions(text), summary))

    assert holds == (found * 100 * 100_000 > millionths * rows)


@pytest.mark.parametrize(
    ("summary", "code", "needed"),
    [
        ({"rows": 3, "succeeded": 3}, 0, False),
        ({"rows": 3, "succeeded": 2, "failed": 1}, 0, False),  # --fail-on lets it pass
        ({"rows": 3, "succeeded": 2, "failed": 1}, 3, True),
        ({"rows": 3, "succeeded": 2, "in_doubt": 1}, 0, True),
        ({"rows": 3, "succeeded": 3, "refunds": Refunds(unconfirmed=1)}, 0, True),
        ({"rows": 3, "succeeded": 3, "refunds": Refunds(done=1)}, 0, False),
        ({"rows": 3, "succeeded": 3, "cost": Cost(in_doubt=0.1)}, 0, True),
        ({"rows": 3, "succeeded": 3, "cost": Cost(charged=0.1)}, 0, False),
        ({}, 0, True),  # a manifest without rows: more often a broken export than a quiet day
        ({"rows": 3, "succeeded": 3}, 74, True),
    ],
)
def test_when_somebody_must_look(summary: dict[str, Any], code: int, needed: bool) -> None:
    """Doubt and money wait for a person although the exit code is 0."""
    assert needs_person(Summary(**summary), code) is needed
