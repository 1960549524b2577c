"""A run as numbers for a monitoring system: the text format of Prometheus.

Rule: the same numbers as in `summary.json`, so that a counter survives a restart; what belongs to
this process alone says so. No row, id, address or key is in it. The format is version 0.0.4
(prometheus.io/docs/instrumenting/exposition_formats), which node_exporter's textfile collector and
every scraper read. It has no time stamps, because the collector refuses them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from batcher.core.lifecycle import OUTCOMES
from batcher.core.stats import Snapshot
from batcher.report.summary import Summary

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
STATES = ("running", "finished", "stopped")
COSTS = ("charged", "refunded", "net", "unconfirmed", "in_doubt", "unproven")

Labels = Mapping[str, str]
Sample = tuple[Labels, float]


@dataclass(frozen=True, slots=True)
class Family:
    """All samples of one name."""

    name: str
    kind: str  # counter or gauge
    about: str
    samples: tuple[Sample, ...]


@dataclass(frozen=True, slots=True)
class Standing:
    """How a run stands at one instant. Times are epoch seconds."""

    run: str
    provider: str
    version: str
    summary: Summary
    shot: Snapshot | None  # None: no process works on it
    started_at: float  # this process
    progress_at: float  # a row ended or a job was accepted; at first, when the process started
    exit_code: int | None = None  # None: it goes on


def metrics_text(standing: Standing) -> str:
    """Return everything that is known, ready to be written or served."""
    own = {"run": standing.run, "provider": standing.provider}
    return "".join(line for family in _families(standing) for line in _lines(family, own))


def _families(standing: Standing) -> Iterator[Family]:
    yield from _state(standing)
    yield from _rows(standing.summary)
    yield from _requests(standing.summary)
    yield from _money(standing.summary)
    yield from _held_back(standing.summary)
    if standing.shot is not None:
        yield from _process(standing.shot)


def _state(standing: Standing) -> Iterator[Family]:
    summary = standing.summary
    states = tuple(({"state": state}, float(summary.state == state)) for state in STATES)
    version = {"version": standing.version}
    yield Family("batcher_info", "gauge", "Always 1.", ((version, 1.0),))
    yield Family("batcher_run_state", "gauge", "1 for the state that the run is in.", states)
    reason = "" if summary.stopped is None else str(summary.stopped.reason)
    stopped = (({"reason": reason}, 1.0),) if reason else ()
    yield Family("batcher_run_stopped", "gauge", "1, with why the run stopped early.", stopped)
    yield _one("batcher_start_timestamp_seconds", "When this process began.", standing.started_at)
    yield _one(
        "batcher_last_progress_timestamp_seconds",
        "When a row last ended or a job was last accepted.",
        standing.progress_at,
    )
    if standing.exit_code is not None:
        yield _one("batcher_exit_code", "Of the last process of the run.", standing.exit_code)

    yield _one("batcher_wall_seconds", "Of all processes of the run.", summary.wall_s)


def _rows(summary: Summary) -> Iterator[Family]:
    outcomes = (*OUTCOMES, "pending")
    rows = tuple(({"outcome": str(name)}, float(getattr(summary, name))) for name in outcomes)
    yield Family("batcher_rows", "gauge", "Rows read so far, by what became of them.", rows)
    yield _one("batcher_jobs_open", "Pending rows that have a job.", summary.accepted)


def _requests(summary: Summary) -> Iterator[Family]:
    for name, about, count in (
        ("submits", "Submits that were sent.", summary.submits),
        ("jobs_accepted", "Jobs that the API made.", summary.jobs_accepted),
        ("jobs_claimed", "Jobs that a webhook call told of.", summary.jobs_claimed),
        ("status_reads", "Status reads that were sent.", summary.status_reads),
        ("throttled", "Answers 429.", summary.throttled),
    ):
        yield Family(f"batcher_{name}_total", "counter", about, (({}, float(count)),))

    refunds = summary.refunds
    told = {"done": refunds.done, "already_done": refunds.already_done}
    told["unconfirmed"] = refunds.unconfirmed
    samples = tuple(({"refund": name}, float(count)) for name, count in told.items())
    yield Family("batcher_refunds", "gauge", "Failed rows, by what the API said of it.", samples)


def _money(summary: Summary) -> Iterator[Family]:
    cost = summary.cost
    if cost is None:
        return

    currency = cost.currency or ""
    yield Family(
        "batcher_cost",
        "gauge",
        "What the run cost, in units of the currency; net and unproven are no part of charged.",
        tuple(({"kind": k, "currency": currency}, float(getattr(cost, k))) for k in COSTS),
    )


def _held_back(summary: Summary) -> Iterator[Family]:
    yield Family(
        "batcher_held_back_seconds_total",
        "counter",
        "For how long each thing held the run back.",
        tuple(({"by": held.by}, held.seconds) for held in summary.held_back),
    )


def _process(shot: Snapshot) -> Iterator[Family]:
    yield _one("batcher_in_flight", "Rows in flight.", shot.in_flight)
    yield _one("batcher_in_flight_max", "Rows that may be in flight.", shot.in_flight_max)
    if shot.rows_total is not None:
        yield _one("batcher_rows_expected", "Rows of the manifest, or a guess.", shot.rows_total)

    if shot.eta_s is not None:
        yield _one("batcher_left_seconds", "How long it still takes, about.", shot.eta_s)

    lanes = [({"lane": lane.name}, lane) for lane in shot.lanes]
    yield Family(
        "batcher_requests_started_total",
        "counter",
        "Requests of this process.",
        tuple((label, float(lane.started)) for label, lane in lanes),
    )
    for name, about, values in (
        ("requests_open", "Requests open now.", [lane.open for _, lane in lanes]),
        ("lane_waiting", "Rows that wait for their turn.", [lane.waiting for _, lane in lanes]),
        (
            "lane_closed_seconds",
            "For how long nothing may start.",
            [lane.closed_s or 0.0 for _, lane in lanes],
        ),
    ):
        samples = tuple((label, float(v)) for (label, _), v in zip(lanes, values, strict=True))
        yield Family(f"batcher_{name}", "gauge", about, samples)

    yield Family(
        "batcher_errors_total",
        "counter",
        "Errors that this process met.",
        tuple(({"kind": str(kind)}, float(seen.count)) for kind, seen in shot.errors.items()),
    )


def _one(name: str, about: str, value: float) -> Family:
    return Family(name, "gauge", about, (({}, float(value)),))


def _lines(family: Family, own: Labels) -> Iterator[str]:
    if not family.samples:
        return

    yield f"# HELP {family.name} {family.about}\n"
    yield f"# TYPE {family.name} {family.kind}\n"
    for labels, value in family.samples:
        inside = ",".join(f'{key}="{_escaped(text)}"' for key, text in {**own, **labels}.items())
        yield f"{family.name}{{{inside}}} {_number(value)}\n"


def _escaped(text: str) -> str:
    """Escape a label's value; what UTF-8 cannot hold, which a name of a file may, is shown."""
    text = text.encode("utf-8", "backslashreplace").decode()
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def _number(value: float) -> str:
    return str(int(value)) if value.is_integer() and abs(value) < 1e15 else repr(value)
