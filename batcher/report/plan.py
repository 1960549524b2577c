"""What a plan says, in words for people and as one JSON object for programs.

Rule: what is not known is called unknown, a time without known durations is called `at least`, and
advice is given only where it makes the run shorter by a tenth and by a minute.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from math import ceil
from textwrap import wrap

from batcher.core.forecast import Bound, Forecast, Limit, Work, rows_by
from batcher.core.pacing.rates import DAY_S
from batcher.report.text import COLUMNS, GLUE, count_text, duration_text, plain

WORTH_S, WORTH_SHARE = 60.0, 0.1  # less than this is no reason to advise anything
ADVICE_MAX = 3
RANGE_MIN = 1.05  # of P90 to P10: less is one number
LATE_SHARE = 0.01  # of the jobs beyond --job-timeout
REQUESTS = {
    Limit.SUBMIT: ("submit", "submits"),
    Limit.STATUS: ("status read", "status reads"),
    Limit.PRICE: ("price question", "price questions"),
    Limit.IN_FLIGHT: ("job", "jobs"),
}

_TIME = re.compile(r"(?<=\d) (?=(?:d|h|min|s|days)\b)|(?<=\d min) (?=\d)|(?<=\d [hd]) (?=\d)")

Line = tuple[str, str]  # what it is about, and what there is to say


@dataclass(frozen=True, slots=True)
class Advice:
    """A change that makes the run shorter."""

    change: str
    outlook: Forecast


@dataclass(frozen=True, slots=True)
class Plan:
    """All that is known of a run before it begins."""

    work: Work
    outlook: Forecast
    advice: tuple[Advice, ...] = ()
    warnings: tuple[str, ...] = ()
    has_downloads: bool = False

    def lines(self) -> Iterator[Line]:
        """Yield what there is to say, each with its name; an empty name goes on with the last."""
        if not self.work.rows:
            yield "time", "nothing to do: no row is left"
            return

        yield "time", time_text(self.outlook)
        first, *others = self.outlook.bounds
        yield "limit", f"{bound_text(first)} {took_text(first)}"
        for bound in others[:1]:
            yield "", f"next: {bound_text(bound)} {took_text(bound)}"

        yield "jobs", self._jobs_text()
        yield "reads", self._reads_text()
        if self.has_downloads:
            yield "files", "their download is not counted: how large they are is not known"

        for n, advice in enumerate(self.advice):
            yield "" if n else "faster", f"{advice.change}: {time_text(advice.outlook)}"

        for text in self.warnings:
            yield "warning", text

    def _jobs_text(self) -> str:
        jobs = self.work.jobs
        if jobs is None:
            return "not known yet how long they take: nothing learned of these jobs"

        p10_s, p50_s, p90_s = (duration_text(jobs.age_s(share)) for share in (0.1, 0.5, 0.9))
        part = (
            ""
            if jobs.share == 1
            else f"; {100 * jobs.share:.0f} % of the rows are of kinds seen before"
        )
        said = f"about {p50_s} each (P10 {p10_s}, P90 {p90_s}), learned from {_many(jobs.ends)}"
        return f"{said}{part}"

    def _reads_text(self) -> str:
        reads = self.outlook.reads
        total = count_text(ceil(reads * self.work.rows))
        if self.work.calls:
            return f"about {total}: the API calls when a job is done"

        lag_s = self.outlook.lag_s
        seen = f"; its end is seen about {duration_text(max(1.0, lag_s))} late" if lag_s else ""
        return f"about {total}, {reads:.1f} a job{seen}"

    def as_json(self) -> dict[str, object]:
        """Return the same as one object, told apart by its `kind`."""
        outlook, jobs = self.outlook, self.work.jobs
        return {
            "kind": "plan",
            "jobs": self.work.rows,
            "seconds": _seconds_json(outlook),
            "known": outlook.is_known,
            "limits": [_bound_json(bound) for bound in outlook.bounds],
            "in_flight": self.work.in_flight,
            "reads_per_job": round(outlook.reads, 3),
            "status_reads": ceil(outlook.reads * self.work.rows),
            "lag_s": round(outlook.lag_s, 3),
            "durations": None
            if jobs is None
            else {
                **{f"p{round(100 * q)}": round(jobs.age_s(q), 3) for q in (0.1, 0.5, 0.9)},
                "learned_from": jobs.ends,
                "share_of_rows": round(jobs.share, 4),
            },
            "advice": [
                {"change": advice.change, "seconds": _seconds_json(advice.outlook)}
                for advice in self.advice
            ],
            "warnings": list(self.warnings),
        }


def laid_out(lines: Iterable[Line], width: int) -> Iterator[str]:
    """Yield lines with their names in front in *width* columns, at most 80 columns wide."""
    for name, text in lines:
        whole = _TIME.sub(GLUE, text)  # `3 min 35 s` is not broken
        parts = wrap(whole, COLUMNS - width, break_long_words=False, break_on_hyphens=False)
        for n, part in enumerate(parts):
            yield f"{'' if n else name:<{width}}{part.replace(GLUE, ' ')}"


def time_text(outlook: Forecast) -> str:
    """Return how long it takes: `about 26 min 39 s (P10 25 min, P90 29 min)`, `12 days`."""
    least = "" if outlook.is_known else "at least "
    if outlook.binding.days:
        days = [int(seconds // DAY_S) + 1 for seconds in (outlook.p10_s, outlook.p90_s)]
        span = f" (P90 {count_text(days[1])})" if days[1] > days[0] else ""
        return f"{least}{count_text(days[0])} days{span}"

    middle = duration_text(max(1.0, outlook.p50_s))
    if outlook.p90_s < outlook.p10_s * RANGE_MIN:
        return f"{least or 'about '}{middle}"

    low, high = (duration_text(max(1.0, seconds)) for seconds in (outlook.p10_s, outlook.p90_s))
    return f"{least or 'about '}{middle} (P10 {low}, P90 {high})"


def bound_text(bound: Bound) -> str:
    """Return a limit and what runs into it: `submit limit 100/d: 1,199 submits`."""
    word = REQUESTS[bound.limit][bound.count != 1]
    return f"{bound.limit} {plain(bound.said)}: {count_text(bound.count)} {word}"


def took_text(bound: Bound) -> str:
    """Return how long a limit alone makes it: `take 12 days`."""
    verb = "takes" if bound.count == 1 else "take"
    took = f"{bound.days} days" if bound.days else duration_text(max(1.0, bound.seconds))
    return f"{verb} {took}"


def is_worth(now: Forecast, then: Forecast) -> bool:
    """Tell whether a change makes a run shorter by so much that it is worth a word."""
    saved_s = now.p50_s - then.p50_s
    return saved_s >= WORTH_S and saved_s >= WORTH_SHARE * now.p50_s


def late_warning(work: Work, job_timeout_s: float) -> Iterator[str]:
    """Warn of jobs that take longer than they will be followed."""
    late = 0.0 if work.jobs is None else work.jobs.later_than(job_timeout_s)
    if late >= LATE_SHARE:
        yield (
            f"{100 * late:.0f} % of the jobs take longer than --job-timeout "
            f"{duration_text(job_timeout_s)}; their rows would be exhausted"
        )


def time_warning(work: Work, outlook: Forecast, left_s: float | None, flag: str) -> Iterator[str]:
    """Warn of a time that is too short for all rows."""
    if left_s is not None and outlook.p50_s > left_s:
        rows = _two_digits(rows_by(work, left_s, outlook))
        most = "at most" if not outlook.is_known else "about"
        yield (
            f"{flag} leaves {duration_text(left_s)}: {most} {count_text(rows)} of "
            f"{count_text(work.rows)} jobs; the rest stays pending, and resume goes on"
        )


def _two_digits(rows: int) -> int:
    """Return an estimate, rounded down to as many digits as it has."""
    unit: int = 10 ** max(0, len(str(rows)) - 2)
    return rows // unit * unit


def _many(ends: int) -> str:
    return f"{count_text(ends)} jobs"


def _seconds_json(outlook: Forecast) -> dict[str, float]:
    return {
        "p10": round(outlook.p10_s, 3),
        "p50": round(outlook.p50_s, 3),
        "p90": round(outlook.p90_s, 3),
    }


def _bound_json(bound: Bound) -> dict[str, object]:
    return {
        "limit": bound.limit,
        "is": bound.said,
        "count": bound.count,
        "seconds": round(bound.seconds, 3),
    }
