"""Whole runs on virtual time: engine, journal, files, dialect and a simulated API that judges."""

from __future__ import annotations

import tempfile
from bisect import bisect_left
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

import anyio

from batcher.core.exchange import Request, Response, Transport
from batcher.core.pacing.rates import parse_rate
from tests.engine.harness import Night
from tests.support.clock import run_virtual

Figures = dict[str, object]
STORM_S = 30.0


def worst(times: list[float], window_s: float) -> int:
    """Return the largest number of times in any window."""
    return max((bisect_left(times, at + window_s) - n for n, at in enumerate(times)), default=0)


class Judge:
    """A transport that stands in front of the API, notes arrivals and refuses as it likes.

    A request arrives *jitter_s* late at most, as over a network.
    """

    def __init__(
        self, night: Night, refuse: Callable[[str, float], float | None], jitter_s: float = 0.0
    ) -> None:
        self._inner: Transport = night.transport
        self._night = night
        self._refuse = refuse
        self._jitter_s = jitter_s
        self._rng = Random(7)
        self.arrived: dict[str, list[float]] = {"POST": [], "GET": []}
        self.refused: dict[str, list[float]] = {"POST": [], "GET": []}

    async def send(self, request: Request, *, timeout_s: float) -> Response:
        """Carry a request, or answer 429."""
        if self._jitter_s:
            await anyio.sleep(self._rng.uniform(0.0, self._jitter_s))

        now, method = self._night.clock.now(), request.method
        self.arrived[method].append(now)
        wait_s = self._refuse(method, now)
        if wait_s is None:
            return await self._inner.send(request, timeout_s=timeout_s)

        self.refused[method].append(now)
        await anyio.sleep(0.1)
        headers = {} if wait_s < 0 else {"retry-after": f"{max(1, int(wait_s + 0.999))}"}
        return Response(429, b'{"error":"too_many_requests"}', headers, self._night.clock.wall())


def taken(_method: str, _now: float) -> None:
    """Refuse nothing."""


def sliding(limits: dict[str, tuple[int, float]]) -> Callable[[str, float], float | None]:
    """Return a judge's rule: so many of each method in any so many seconds."""
    seen = {method: deque[float](maxlen=count) for method, (count, _) in limits.items()}

    def refuse(method: str, now: float) -> float | None:
        if method not in limits:
            return None

        count, period_s = limits[method]
        recent = seen[method]
        if len(recent) == count and recent[0] > now - period_s:
            return recent[0] + period_s - now

        recent.append(now)
        return None

    return refuse


@dataclass(frozen=True, slots=True)
class Ran:
    """A run that is over; every row succeeded, and none was paid twice."""

    night: Night
    judge: Judge
    begin: float
    end: float
    submits_max: int  # of one row


def one_run(
    faults: str,
    rows: int,
    refuse: Callable[[str, float], float | None] = taken,
    jitter_s: float = 0.0,
    **settings: Any,
) -> Ran:
    """Run so many rows before a judge."""

    async def main(folder: Path) -> Ran:
        night = Night(folder, faults=faults)
        night.write_urls(rows)
        judge = Judge(night, refuse, jitter_s)
        night.transport = judge
        begin = anyio.current_time()
        stop = await night.process(**settings)
        assert stop is None, stop
        assert night.counts() == {"succeeded": rows}
        night.assert_no_row_paid_twice()
        submits_max = max(row["attempts"]["submit"] for row in night.records("succeeded"))
        return Ran(night, judge, begin, anyio.current_time(), submits_max)

    with tempfile.TemporaryDirectory() as name:
        return run_virtual(main, Path(name))


def keep(quick: bool) -> Iterator[Figures]:
    """Yield how much of each rate is used, and how full its windows are at the server."""
    rows = {"0.1/s": 60, "5/m": 60, "300/m": 1_200, "50/s": 3_000}
    if quick:
        rows = {"5/m": 30, "50/s": 500}

    for jitter_s in (0.0, 0.05):
        for text, count in rows.items():
            faults = "duration=2,latency=lognormal:0.2:0.4"
            judge = one_run(faults, count, jitter_s=jitter_s, rate=text).judge
            rate = parse_rate(text)
            (window,) = rate.windows
            times = sorted(judge.arrived["POST"])
            period_s = window.period_s / min(window.count, 1.0)
            yield {
                "rate": text,
                "rows": count,
                "arrivals_late_by_up_to_s": jitter_s,
                "used": round((len(times) - 1) / (times[-1] - times[0]) * rate.interval_s, 4),
                "window_s": period_s,
                "allowed": max(1, int(window.count)),
                "most": worst(times, period_s),
            }


def storms(quick: bool) -> Iterator[Figures]:
    """Yield what half a minute of 429s costs, by what they say of the time to wait."""
    begin = 1_010.0
    for told_s in (1.0,) if quick else (30.0, 5.0, 1.0, -1.0):

        def refuse(method: str, now: float, told_s: float = told_s) -> float | None:
            return told_s if method == "POST" and begin <= now < begin + STORM_S else None

        rows = 1_000 if quick else 3_000
        faults = "duration=2,latency=0.3"
        ran = one_run(faults, rows, refuse, rate="40/s", in_flight=1_000)
        refused = ran.judge.refused["POST"]
        in_flight = sum(at < refused[0] + 0.5 for at in refused)
        after = [at for at in ran.judge.arrived["POST"] if at >= begin + STORM_S]
        yield {
            "storm": "30 s of 429",
            "retry_after_s": "none" if told_s < 0 else told_s,
            "rate": "40/s",
            "refused_in_flight": in_flight,
            "refused_beyond": len(refused) - in_flight,
            "back_at_90_percent_after_s": round(back_after(after, 40.0) - begin - STORM_S, 1),
            "jobs_paid": len(ran.night.simulation.ledger.jobs),
            "rows": rows,
            "submits_of_a_row_at_most": ran.submits_max,
        }


def back_after(times: list[float], per_s: float) -> float:
    """Return when the first second began in which nine tenths of the rate arrived."""
    full = (at for n, at in enumerate(times) if bisect_left(times, at + 1.0) - n >= 0.9 * per_s)
    return next(full, float("inf"))


def strict(quick: bool) -> Iterator[Figures]:
    """Yield how 300 rows fare where 40 submits and 100 reads in any second are enforced."""
    rows = 100 if quick else 300
    for duration in ("4", "lognormal:4:0.4"):
        rule = sliding({"POST": (40, 1.0), "GET": (100, 1.0)})
        faults = f"duration={duration},latency=0.1"
        ran = one_run(faults, rows, rule, rate="40/s", status_rate="100/s", in_flight=1_000)
        judge, took_s = ran.judge, ran.end - ran.begin
        jobs = sorted(ran.night.simulation.ledger.jobs.values(), key=lambda job: job.created_at)
        ideal_s = 0.1 + max(n / 40 + job.done_at - job.created_at for n, job in enumerate(jobs))
        yield {
            "rows": rows,
            "job_s": duration,
            "jobs_paid": len(jobs),
            "refused": len(judge.refused["POST"]) + len(judge.refused["GET"]),
            "reads": len(judge.arrived["GET"]),
            "took_s": round(took_s, 2),
            "ideal_s": round(ideal_s, 2),
            "over_ideal": f"{took_s / ideal_s - 1:.1%}",
        }


def auto(quick: bool) -> Iterator[Figures]:
    """Yield what `--rate auto` finds: use of the hidden limit, and how often it is refused."""
    cases: dict[str, tuple[float, Callable[[str, float], float | None], str]] = {
        "20 in any second": (20.0, sliding({"POST": (20, 1.0)}), ""),
        "10 in any 10 s": (1.0, sliding({"POST": (10, 10.0)}), ""),
        "120 a minute, fixed": (2.0, taken, "submits_per_minute=120,"),
        "600 a minute, fixed": (10.0, taken, "submits_per_minute=600,"),
    }
    for name, (limit, refuse, knob) in list(cases.items())[: 1 if quick else 4]:
        rows = int(limit * (300 if quick else 900))
        faults = f"{knob}duration=2,latency=0.2"
        ran = one_run(faults, rows, refuse, rate="auto", in_flight=2_000)
        ledger, took_s = ran.night.simulation.ledger, ran.end - ran.begin
        made = [job.created_at for job in ledger.jobs.values()]
        refused = len(ran.judge.refused["POST"]) + ledger.tally["submit 429"]
        late = [at for at in made if at >= min(made) + 180.0]
        span_s = max(late) - min(late)
        yield {
            "hidden": name,
            "rows": rows,
            "took_s": round(took_s),
            "used_after_3_min": round((len(late) - 1) / span_s / limit, 3),
            "refused": refused,
            "refused_a_minute": round(refused / took_s * 60, 2),
        }
