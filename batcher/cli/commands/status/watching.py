"""`batcher status --watch`: a run of another process, as its own screen shows it.

Rule: it only reads. The process at work leaves a snapshot beside its journal about once a second;
where there is none (it has just begun, or its disk is full) the journal's counts are shown.
"""

from __future__ import annotations

import sys
import time
from dataclasses import replace
from pathlib import Path

import click

from batcher.adapters.rundir import RunDirectory
from batcher.adapters.runfile import read_run_file
from batcher.cli.commands.status.command import look
from batcher.cli.driving.screen import can_paint, live_view
from batcher.cli.parts import parts_of
from batcher.core.model import Stop, StopReason
from batcher.core.settings import Frozen
from batcher.core.stats import Snapshot
from batcher.report.merging import merged
from batcher.report.money import currency_of
from batcher.report.progress import read_progress
from batcher.report.summary import Summary
from batcher.report.views import LineView, View

EVERY_S = 1.0
JSON_EVERY_S = 2.0
LINE_EVERY_S = 2.0


def watch(directory: RunDirectory, *, is_json: bool) -> None:
    """Show how a run stands again and again, and return once no process works on it."""
    if is_json:
        _watch_json(directory)
        return

    frozen, _ = read_run_file(directory.run_file)
    view = _view(directory.path, frozen)
    shot: Snapshot | None = None
    while (summary := look(directory)).state == "running":
        shot = seen(directory, summary, time.time())
        view.show(shot)
        sys.stdout.flush()
        time.sleep(EVERY_S)

    if shot is not None:
        view.show(_last(shot, summary))

    view.close()


def seen(directory: RunDirectory, summary: Summary, now: float) -> Snapshot:
    """Return what the screen of a running run shows now, or else what its counts say.

    Of a run in parts the process that leads them says it for all; if it says nothing, each part's.
    """
    whole = read_progress(directory.path, now)
    if whole is not None:
        return whole

    found = [read_progress(part.path, now) for part in parts_of(directory) if part.is_owned()]
    shots = [shot for shot in found if shot is not None]
    return merged(shots) if shots and len(shots) == len(found) else _counted(summary, now)


def _watch_json(directory: RunDirectory) -> None:
    while True:
        summary = look(directory)
        click.echo(summary.as_json())
        if summary.state != "running":
            return

        sys.stdout.flush()
        time.sleep(JSON_EVERY_S)


def _view(path: Path, frozen: Frozen) -> View:
    currency = currency_of(frozen)
    if can_paint(on_stdout=True):
        return live_view(str(path), currency, on_stdout=True)

    return LineView(click.echo, currency, LINE_EVERY_S)


def _last(shot: Snapshot, summary: Summary) -> Snapshot:
    """Return the last snapshot of a run that has ended since, with its last counts."""
    found, stopped = _counted(summary, shot.at), summary.stopped
    return replace(
        shot,
        counters={**shot.counters, **found.counters},
        rows_total=summary.rows if summary.state == "finished" else shot.rows_total,
        in_flight=0,
        reading=shot.reading and summary.state != "finished",
        binding="",
        eta_s=None,
        stop=None if stopped is None else Stop(StopReason(stopped.reason), stopped.message),
    )


def _counted(summary: Summary, now: float) -> Snapshot:
    """Return the journal's counts as a snapshot; of the rest nothing is known."""
    counters = {
        name: int(getattr(summary, name))
        for name in ("rows", "succeeded", "failed", "exhausted", "in_doubt", "accepted")
    }
    counters["pending"] = summary.pending - summary.accepted
    return Snapshot(
        at=now,
        elapsed_s=summary.wall_s,
        counters=counters,
        rows_total=None,
        in_flight=summary.accepted,
        in_flight_max=summary.accepted,
        lanes=(),
        binding=summary.waiting or "",
    )
