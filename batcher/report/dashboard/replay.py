"""The past of a run as frames, to be played again in half a minute.

Rule: a pure function of the tape, so the same files always give the same frames, and the last one
says what the summary says. What nobody wrote down (what held it back, the status lane) is left out.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any, Final

from batcher.core.lifecycle import OUTCOMES
from batcher.core.money import nanos
from batcher.report.dashboard.frames import KINDS_MAX, Frame
from batcher.report.dashboard.tape import LOST, Tape
from batcher.report.lines import cost_text
from batcher.report.page.facts import SUBMITTED, SUCCEEDED, THROTTLED, Limit
from batcher.report.page.timeline import Column
from batcher.report.summary import Cost, Summary
from batcher.report.text import duration_text

FRAMES_MAX: Final = 240


def replay(tape: Tape, summary: Summary, limit: Limit | None, in_flight_max: int) -> list[Frame]:
    """Return the frames of a run that nobody works on; at least one."""
    columns = tape.columns(FRAMES_MAX)
    scene = _Scene(tape, summary, limit, in_flight_max)
    frames = list(scene.frames(columns))
    last = frames[-1] if frames else scene.frame(None, 0.0)
    end = {name: getattr(summary, name) for name in (*OUTCOMES, "pending")}
    counts = {"rows": summary.rows, "submits": summary.submits, "throttled": summary.throttled}
    told = {"in_flight": summary.accepted, "cost": _cost(summary.cost)}
    return [*frames[:-1], {**last, **end, **counts, **told}]


def _cost(cost: Cost | None) -> str | None:
    """Return what the run cost in the end; when it was charged is not known."""
    if cost is None:
        return None

    sums = {"cost": nanos(cost.charged), "cost_refunded": nanos(cost.refunded)}
    return cost_text({**sums, "jobs_priced": cost.jobs_priced}, cost.currency) or None


class _Scene:
    """How the run stood, column by column."""

    def __init__(
        self, tape: Tape, summary: Summary, limit: Limit | None, in_flight_max: int
    ) -> None:
        self._tape = tape
        self._summary = summary
        self._limit = limit
        self._in_flight_max = in_flight_max
        self._sums = Counter(tape.untimed)
        self._source = tape.source
        if self._source == "logged":  # the log has a time for each of them
            known = [name for name in self._sums if name.startswith("known:")]
            for name in known:
                del self._sums[name]

    def frames(self, columns: list[Column]) -> Iterator[Frame]:
        """Yield a frame for each column."""
        worked_s = 0.0
        for column in columns:
            self._sums.update(column.counts)
            worked_s += column.width_s
            yield self.frame(column, worked_s)

    def frame(self, column: Column | None, worked_s: float) -> Frame:
        """Return the run after *column*."""
        ended = {str(name): self._sums[f"{self._source}:{name}"] for name in LOST}
        done = sum(ended.values()) + self._sums[SUCCEEDED]
        kinds = self._kinds()
        gap_s = 0.0 if column is None else column.gap_s
        return {
            "at": round(0.0 if column is None else column.at + column.width_s, 2),
            "x": round(worked_s, 2),
            "gap": f"{duration_text(gap_s)} later" if gap_s else None,
            "elapsed_s": round(worked_s, 1),
            "rows": self._summary.rows,
            "succeeded": self._sums[SUCCEEDED],
            **ended,
            "pending": max(0, self._summary.rows - done),
            "in_flight": 0 if column is None else max(0, column.open_max),
            "in_flight_max": self._in_flight_max,
            "submits": self._sums[SUBMITTED],
            "throttled": self._sums[THROTTLED],
            "lanes": [] if column is None else [self._lane(column)],
            "errors": kinds[:KINDS_MAX],
            "kinds": len(kinds),
        }

    def _kinds(self) -> list[tuple[str, int]]:
        before = f"{self._source}:error:"
        found = [
            (name.removeprefix(before), number)
            for name, number in self._sums.items()
            if name.startswith(before)
        ]
        return sorted(found, key=lambda item: (-item[1], item[0]))

    def _lane(self, column: Column) -> Mapping[str, Any]:
        limit, per_s = self._limit, column.rate(SUBMITTED)
        allowed = None if limit is None else limit.per_s
        return {
            "name": "submit",
            "per_s": round(per_s, 2),
            "limit": None if limit is None else limit.text,
            "limit_per_s": allowed,
            "used": None if not allowed else round(min(1.0, per_s / allowed), 2),
            "started": self._sums[SUBMITTED],
            "closed": None,
        }
