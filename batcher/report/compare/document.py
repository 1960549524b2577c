"""A comparison as one JSON object, for scripts. An end that nothing bounds is null."""

from __future__ import annotations

from math import isinf
from typing import Any

import msgspec

from batcher.report.compare.figures import Difference
from batcher.report.compare.intervals import Estimate, Interval
from batcher.report.compare.lines import Comparison
from batcher.report.compare.measure import Run
from batcher.report.compare.paired import Paired
from batcher.report.compare.steps import steps_of_run

VERSION = 1


def document(comparison: Comparison) -> bytes:
    """Return the object as one line of JSON, without the newline."""
    value = {
        "v": VERSION,
        "runs": [_run(comparison, place) for place in range(len(comparison.runs))],
        "differences": [_difference(each) for each in comparison.differences],
        "pairs": [_pair(each) for each in comparison.pairs],
    }
    return msgspec.json.encode(value)


def _run(comparison: Comparison, place: int) -> dict[str, Any]:
    run: Run = comparison.runs[place]
    return {
        "letter": run.letter,
        "run": run.name,
        "provider": run.frozen.provider,
        "params": run.frozen.params,
        "settings": run.settings,
        "summary": run.summary,
        "ended": run.measured.ended,
        "unreadable": run.measured.unreadable,
        "figures": {each.key: _estimate(each.values[place]) for each in comparison.figures},
        "load": steps_of_run(run) or None,
    }


def _difference(found: Difference) -> dict[str, Any]:
    change = _estimate(found.change)
    return {
        "figure": found.figure.key,
        "letter": found.letter,
        **(change or {}),
        "is_noise": found.is_noise,
        "word": found.word,
    }


def _pair(found: Paired) -> dict[str, Any]:
    return {
        "letter": found.letter,
        "rows": found.rows,
        "one_of": found.one_of,
        "only_before": found.only_before,
        "only_after": found.only_after,
        "p_value": found.p_value,
        "jobs": found.jobs,
        "job_s_median": _estimate(found.median),
    }


def _estimate(found: Estimate | None) -> dict[str, float | None] | None:
    if found is None:
        return None

    interval = found.interval or Interval(found.value, found.value)
    return {
        "value": found.value,
        "low": None if found.interval is None else _end(interval.low),
        "high": None if found.interval is None else _end(interval.high),
    }


def _end(value: float) -> float | None:
    return None if isinf(value) else value
