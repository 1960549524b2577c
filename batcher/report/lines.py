"""One plain line for a run at one instant: for cron, pipes, and terminals that cannot paint."""

from __future__ import annotations

from collections.abc import Mapping

from batcher.core.errors import UsageError
from batcher.core.lifecycle import OUTCOMES
from batcher.core.pacing.rates import parse_rate
from batcher.core.stats import ErrorView, LaneView, Snapshot
from batcher.report.money import money_text
from batcher.report.text import (
    count_text,
    duration_text,
    plain,
    rate_text,
    span_text,
    stop_text,
)

NARROW = 0.1  # of the time that is left: a span that is no wider is one number


def progress_line(shot: Snapshot, currency: str | None = None) -> str:
    """Return how far the run is, how fast it goes, what it cost, and what holds it back."""
    parts = [duration_text(shot.elapsed_s), _ended(shot), *_outcomes(shot)]
    parts.append(f"rows in flight {count_text(shot.in_flight)}")
    parts += [f"{lane.name} {rate_text(lane.per_s)}" for lane in shot.lanes if lane.started]
    parts += [closed_text(lane) for lane in shot.lanes if lane.closed_s is not None]
    cost = cost_text(shot.counters, currency)
    if cost:
        parts.append(cost)

    if shot.eta_s is not None and shot.stop is None:
        parts.append(f"left {left_text(shot)}")

    if shot.stop is not None:
        parts.append(f"stopping: {plain(stop_text(shot.stop.reason, shot.stop.message))}")
    elif shot.binding:
        parts.append(f"held back by: {plain(shot.binding)}")

    return " · ".join(parts)


def error_line(kind: str, error: ErrorView) -> str:
    """Return the news that a kind of error was met for the first time."""
    return f"first {kind}: {plain(error.example)}"


def cost_text(counters: Mapping[str, int], currency: str | None) -> str:
    """Return what a run cost so far, or nothing if not one price is known."""
    if not counters.get("jobs_priced"):
        return ""

    refunded = counters.get("cost_refunded", 0)
    back = f", refunded {money_text(refunded)}" if refunded else ""
    return f"charged {money_text(counters.get('cost', 0), currency)}{back}"


def limit_share(lane: LaneView) -> float | None:
    """Return how much of its limit a lane uses, 1 at most; None = nothing says."""
    try:
        interval_s = 0.0 if lane.limit is None else parse_rate(lane.limit).interval_s
    except UsageError:  # no single rate
        return None

    return min(1.0, lane.per_s * interval_s) if interval_s else None


def left_text(shot: Snapshot) -> str:
    """Return how long it still takes: a span while that is wide, eight times in ten within it."""
    middle_s, low_s, high_s = shot.eta_s or 0.0, shot.eta_low_s, shot.eta_high_s
    if low_s is None or high_s is None or high_s - low_s < NARROW * middle_s:
        return duration_text(middle_s)

    return span_text(low_s, high_s)


def closed_text(lane: LaneView) -> str:
    """Return for how long a lane lets nothing start, and why."""
    why = f" ({plain(lane.closed_why)})" if lane.closed_why else ""
    return f"{lane.name} closed for {duration_text(lane.closed_s or 0.0)}{why}"


def _ended(shot: Snapshot) -> str:
    if not shot.rows_total:
        return f"{count_text(shot.ended)} rows ended"

    share = 100 * shot.ended // shot.rows_total
    return f"{count_text(shot.ended)} of {count_text(shot.rows_total)} rows ended ({share} %)"


def _outcomes(shot: Snapshot) -> list[str]:
    return [
        f"{state.replace('_', ' ')} {count_text(shot.count(state))}"
        for state in OUTCOMES
        if shot.count(state)
    ]
