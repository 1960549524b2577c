"""Several parts of one run, each with a process of its own, seen as one run.

Rule: what can be counted is added up; of what cannot, the worst counts: a run is as late as its
last part, and a lane is closed only if it is closed everywhere.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from batcher.core.binding import By, Held
from batcher.core.errors import UsageError
from batcher.core.model import ErrorKind
from batcher.core.pacing.rates import Rate, Window, parse_rate
from batcher.core.stats import ErrorView, LaneView, Snapshot


def merged_counters(parts: Iterable[Mapping[str, int]]) -> dict[str, int]:
    """Return the sums of the journals' counters."""
    total: Counter[str] = Counter()
    for part in parts:
        total.update(part)

    return dict(total)


def merged(shots: Sequence[Snapshot]) -> Snapshot:
    """Return the snapshots of all parts at one instant as one. There is at least one."""
    if len(shots) == 1:
        return shots[0]

    return Snapshot(
        at=max(shot.at for shot in shots),
        elapsed_s=max(shot.elapsed_s for shot in shots),
        counters=merged_counters(shot.counters for shot in shots),
        rows_total=_rows_total(shots),
        in_flight=sum(shot.in_flight for shot in shots),
        in_flight_max=sum(shot.in_flight_max for shot in shots),
        lanes=_lanes(shots),
        errors=_errors(shots),
        binding=_binding(shots),
        held=_held(shots),
        eta_s=_latest(shot.eta_s for shot in shots),
        eta_low_s=_latest(shot.eta_low_s for shot in shots),
        eta_high_s=_latest(shot.eta_high_s for shot in shots),
        stop=next((shot.stop for shot in shots if shot.stop is not None), None),
        reading=any(shot.reading for shot in shots),
        notices=tuple(notice for shot in shots for notice in shot.notices),
    )


def _rows_total(shots: Sequence[Snapshot]) -> int | None:
    """Return the rows of the run; until all parts have read it, the guess of the whole, or more.

    Parts guess the same share: rows that one has beyond its share are missing in another's.
    """
    totals = [shot.rows_total for shot in shots if shot.rows_total is not None]
    if len(totals) < len(shots):
        return None

    guesses = [shot.rows_total or 0 for shot in shots if shot.reading]
    if not guesses:
        return sum(totals)

    return max(min(guesses) * len(shots), sum(shot.count("rows") for shot in shots))


def _lanes(shots: Sequence[Snapshot]) -> tuple[LaneView, ...]:
    found: dict[str, list[LaneView]] = {}
    for shot in shots:
        for lane in shot.lanes:
            found.setdefault(lane.name, []).append(lane)

    return tuple(_lane(lanes) for lanes in found.values())


def _lane(lanes: Sequence[LaneView]) -> LaneView:
    closed = [lane.closed_s for lane in lanes if lane.closed_s is not None]
    is_closed = len(closed) == len(lanes)
    return replace(
        lanes[0],
        started=sum(lane.started for lane in lanes),
        per_s=sum(lane.per_s for lane in lanes),
        limit=_limit([lane.limit for lane in lanes]),
        open=sum(lane.open for lane in lanes),
        waiting=sum(lane.waiting for lane in lanes),
        closed_s=min(closed) if is_closed else None,
        closed_why=lanes[0].closed_why if is_closed else "",
    )


def _limit(limits: Sequence[str | None]) -> str | None:
    """Return the sum of the shares of a limit; None if a part has none, or another kind."""
    counts: dict[float, float] = {}
    periods: set[tuple[float, ...]] = set()
    for limit in limits:
        try:
            rate = Rate(()) if limit is None else parse_rate(limit)
        except UsageError:
            return None

        periods.add(tuple(window.period_s for window in rate.windows))
        for window in rate.windows:
            counts[window.period_s] = counts.get(window.period_s, 0.0) + window.count

    if len(periods) > 1 or not counts:
        return None

    return str(Rate(tuple(Window(count, period_s) for period_s, count in counts.items())))


def _errors(shots: Sequence[Snapshot]) -> dict[ErrorKind, ErrorView]:
    found: dict[ErrorKind, ErrorView] = {}
    for shot in shots:
        for kind, error in shot.errors.items():
            before = found[kind].count if kind in found else 0
            found[kind] = ErrorView(before + error.count, error.example)

    return found


def _binding(shots: Sequence[Snapshot]) -> str:
    """Return what holds most parts back."""
    words = Counter(shot.binding for shot in shots if shot.binding)
    return words.most_common(1)[0][0] if words else ""


def _held(shots: Sequence[Snapshot]) -> tuple[Held, ...]:
    found: dict[By, Held] = {}
    for shot in shots:
        for held in shot.held:
            before_s = found[held.by].seconds if held.by in found else 0.0
            found[held.by] = replace(held, seconds=before_s + held.seconds)

    return tuple(sorted(found.values(), key=lambda held: -held.seconds))


def _latest(times_s: Iterable[float | None]) -> float | None:
    return max((time_s for time_s in times_s if time_s is not None), default=None)
