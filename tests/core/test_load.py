"""A load: the moments at which its jobs are due."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batcher.core.load import Load, steps_of

RATES = st.lists(st.floats(0.01, 500), min_size=1, max_size=5)


@pytest.mark.parametrize(
    ("per_s", "duration_s", "jobs"),
    [(5.0, 60.0, 300), (0.1, 5.0, 1), (1 / 60, 120.0, 2), (0.3, 10.0, 3), (2.5, 1.0, 3)],
)
def test_a_step_has_the_starts_that_lie_in_it(per_s: float, duration_s: float, jobs: int) -> None:
    """The one at its end belongs to the next: 300 in a minute at 5/s, not 301."""
    (step,) = steps_of([per_s], duration_s, 1_000)
    assert step.jobs == jobs


@given(RATES, st.floats(0.5, 60), st.integers(1, 5_000))
def test_moments_are_multiples_and_never_go_back(
    rates: list[float], duration_s: float, jobs_max: int
) -> None:
    """Each job is due its spacing after the one before it, each step when the last one is over."""
    steps = steps_of(rates, duration_s, jobs_max)
    load = Load(1_000.0, steps)
    assert load.jobs == sum(step.jobs for step in steps) <= jobs_max
    due = [load.due_s(job) for job in range(load.jobs)]
    assert due == sorted(due)
    for number, step in enumerate(steps):
        mine = range(step.first, step.first + step.jobs)
        assert {load.step_of(job) for job in mine} == {number}
        assert due[step.first] == step.starts_s
        for job in mine:
            assert due[job] == pytest.approx(step.starts_s + (job - step.first) / step.per_s)
            assert due[job] < step.starts_s + duration_s + 1e-6


def test_caps_cut_the_end_off() -> None:
    """What is beyond the cap is not begun; what remains keeps its moments."""
    one, two = steps_of([2.0, 10.0, 50.0], 5.0, 25)
    assert (one.jobs, two.jobs, two.starts_s, two.first) == (10, 15, 5.0, 10)
    assert Load(0.0, (one, two)).lasts_s == 6.5
