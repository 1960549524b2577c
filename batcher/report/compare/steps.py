"""What a load test led to, step by step, and where the API could not keep up.

Rule: everything is counted from the moment at which a job was due, never from when its request
happened to leave; so an API that makes its callers wait does not look fast for it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import msgspec

from batcher.core.lifecycle import State
from batcher.core.load import LATE_S, Step
from batcher.report.compare.measure import Run, StepSeen
from batcher.report.compare.times import Times
from batcher.report.compare.words import time_text
from batcher.report.text import count_text, folded

KEEPS_UP = 0.95  # of what was offered; less is called saturated
BLANK = "-"


class StepFacts(msgspec.Struct, frozen=True, kw_only=True):
    """One step in numbers; times in seconds, from when each job was due."""

    offered_per_s: float
    achieved_per_s: float  # submits that left in the step's time
    jobs: int
    sent: int
    late: int
    late_s_max: float
    throttled: int
    ends: dict[str, int]
    submit_s: dict[str, float] | None
    job_s: dict[str, float] | None
    keeps_up: bool | None  # None: not all of it was sent, so nobody knows


@dataclass(frozen=True, slots=True)
class _Column:
    head: str
    cells: int


COLUMNS = (
    *(_Column("offered", 8), _Column("started", 8), _Column("jobs", 6), _Column("late", 5)),
    *(_Column("429s", 5), _Column("failed", 7)),
    *(_Column("submit P50", 11), _Column("P99", 8), _Column("job P50", 9), _Column("P99", 8)),
)


def steps_of_run(run: Run) -> list[StepFacts]:
    """Return the steps of a load test; none of another run."""
    load, seen = run.measured.load, run.measured.steps
    if load is None:
        return []

    throttled = run.throttled or (0,) * len(seen)
    return [_facts(*each) for each in zip(load.steps, seen, throttled, strict=True)]


def _facts(step: Step, seen: StepSeen, throttled: int) -> StepFacts:
    achieved = seen.sent_in_time / step.lasts_s
    return StepFacts(
        offered_per_s=step.per_s,
        achieved_per_s=round(achieved, 6),
        jobs=step.jobs,
        sent=seen.sent,
        late=seen.late,
        late_s_max=round(seen.late_s_max, 3),
        throttled=throttled,
        ends={str(state): number for state, number in seen.ends.items()},
        submit_s=_quantiles(seen.answered),
        job_s=_quantiles(seen.whole),
        keeps_up=achieved >= KEEPS_UP * step.per_s if seen.sent == step.jobs else None,
    )


def _quantiles(times: Times) -> dict[str, float] | None:
    found = times.distribution()
    if found is None:
        return None

    return {f"p{100 * level:.0f}": found.quantile(level).value for level in (0.5, 0.9, 0.99)}


def load_lines(run: Run) -> Iterator[str]:
    """Yield the table of a load test in 80 columns, and what it means; nothing of another run."""
    steps = steps_of_run(run)
    if not steps:
        return

    yield ""
    yield f"{run.letter}  load, from when each job was due:"
    yield "".join(f"{column.head:>{column.cells}}" for column in COLUMNS)
    for step in steps:
        cells = step_cells(step)
        yield "".join(f"{text:>{c.cells}}" for text, c in zip(cells, COLUMNS, strict=True))

    yield from folded(saturation_text(steps))


def step_cells(step: StepFacts) -> list[str]:
    """Return a step as texts, in the order of `COLUMNS`."""
    failed = sum(number for end, number in step.ends.items() if end != State.SUCCEEDED)
    submit, job = step.submit_s or {}, step.job_s or {}
    return [
        pace_text(step.offered_per_s),
        pace_text(step.achieved_per_s),
        count_text(step.jobs),
        count_text(step.late),
        count_text(step.throttled),
        count_text(failed),
        *(_seconds(submit.get(level)) for level in ("p50", "p99")),
        *(_seconds(job.get(level)) for level in ("p50", "p99")),
    ]


def saturation_text(steps: list[StepFacts]) -> str:
    """Return up to which rate it kept up, and what was in the way."""
    behind = next((step for step in steps if step.keeps_up is False), None)
    sent, jobs = sum(step.sent for step in steps), sum(step.jobs for step in steps)
    if behind is None and sent < jobs:
        left = f"{count_text(sent)} of {count_text(jobs)} jobs were sent"
        return f"{left}: what it bears is not known."

    if behind is None:
        most = max(step.offered_per_s for step in steps)
        late = sum(step.late for step in steps)
        more = f"; {count_text(late)} submits left more than {LATE_S:g} s late" if late else ""
        return f"It keeps up with {pace_text(most)}{more}."

    offered, started = pace_text(behind.offered_per_s), pace_text(behind.achieved_per_s)
    why = f" ({count_text(behind.throttled)} 429s)" if behind.throttled else ""
    return (
        f"It saturates at {offered}: {started} started in time{why}, "
        f"the latest {behind.late_s_max:.1f} s late."
    )


def pace_text(per_s: float) -> str:
    """Return a pace in three digits: `2.5/s`, `12/min`."""
    return f"{per_s:.3g}/s" if per_s >= 0.1 or not per_s else f"{60 * per_s:.3g}/min"


def _seconds(seconds: float | None) -> str:
    return BLANK if seconds is None else time_text(seconds)
