"""The lanes of a run, each with the limits that hold for it.

Rule: what each is held to at its start is in `paces`, what counts in its day in `days`; here they
are put together. A wait that is longer than the user allows ends the run instead of holding it:
accepted jobs are followed first if only submits must wait.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from batcher.adapters.pacing import Pacer
from batcher.core.journal import Journal
from batcher.core.model import Stop, Ticket
from batcher.core.pacing.gate import Gate
from batcher.core.pacing.quota import EVERY_S, SHARE, RetryQuota
from batcher.core.pacing.rates import Rate
from batcher.core.settings import Settings
from batcher.core.shards import rate_part
from batcher.engine.context import Context
from batcher.engine.lanes.caps import DailyCaps
from batcher.engine.lanes.days import STATUS_READS, Days
from batcher.engine.lanes.eased import Eased
from batcher.engine.lanes.guard import Guard
from batcher.engine.lanes.headroom import Headroom
from batcher.engine.lanes.lane import Lane
from batcher.engine.lanes.paces import AUTO, Paces, paces_of
from batcher.engine.lanes.ports import Cap
from batcher.engine.lanes.seeking import seek_connections, seek_rate
from batcher.engine.lanes.total import Total, TotalCaps, reads_kept

__all__ = ["STATUS_READS", "Lanes", "open_lane", "open_lanes"]

T = TypeVar("T")

CONNECTIONS_START = 32  # with `--connections auto`


@dataclass(frozen=True, slots=True)
class Limited:
    """What limits a lane: how fast, and how many in a day. `claim` is its part in a total."""

    rate: Rate | None
    caps: DailyCaps | None = None
    total: Total | None = None
    day: TotalCaps | None = None  # in place of `caps`, where a total counts days too


@dataclass(frozen=True, slots=True)
class Lanes:
    """The lanes that rows go through, with what the views and the journal want to know of them."""

    submit: Lane[Ticket]
    status: Lane[Ticket]
    download: Lane[Ticket]
    submit_room: Headroom
    status_room: Headroom
    days: Days

    @property
    def status_caps(self) -> DailyCaps:
        """What status reads may be today."""
        return self.days.status

    @property
    def submit_rate(self) -> Rate | None:
        """What submits are held to now."""
        return self.submit_room.rate

    @property
    def status_rate(self) -> Rate | None:
        """What status reads are held to now."""
        return self.status_room.rate

    def facts(self) -> dict[str, str]:
        """Return what of the days the journal is to keep; empty where no limit counts days."""
        return self.days.facts()


def open_lanes(context: Context, journal: Journal) -> Lanes:
    """Build the lanes of a run from its settings and the provider's published limits."""
    settings, control = context.settings, context.control
    paces = paces_of(settings, context.provider)
    days = Days(paces, journal, context.clock.wall)
    total_part = rate_part(paces.total, context.frozen.shards or 1)
    total = None if total_part is None else Total(total_part)
    counts = _share(settings.connections_max, downloads=context.frozen.download is not None)
    status: tuple[Lane[Ticket], Headroom] = _open(
        "status",
        counts[1],
        Limited(paces.status, days.status, total, TotalCaps(days.status, days.total)),
        context,
        control.interrupt,
    )
    followed = status[0]
    kept = reads_kept(lambda: followed.waiting + followed.busy)
    submit: tuple[Lane[Ticket], Headroom] = _open(
        "submit",
        counts[0],
        Limited(paces.submit, days.submit, total, TotalCaps(days.submit, days.total, kept)),
        context,
        control.halt,
        prepares=True,
    )
    download: tuple[Lane[Ticket], Headroom] = _open(
        "download", counts[2], Limited(None), context, control.interrupt
    )
    lanes = Lanes(submit[0], status[0], download[0], submit[1], status[1], days)
    _bound_retries(lanes.submit, paces)
    _seek(lanes, paces, settings, context)
    return lanes


def open_lane(
    name: str,
    places: int,
    rate: Rate | None,
    caps: DailyCaps | None,
    context: Context,
    stop: Callable[[Stop], None],
    held: Callable[[float], None] | None = None,
) -> tuple[Lane[T], Headroom]:
    """Build one lane that shares nothing. `stop` is called if it is held for too long.

    With `held` the lane's owner decides instead what a wait means.
    """
    return _open(name, places, Limited(rate, caps), context, stop, held)


def _open(
    name: str,
    places: int,
    limited: Limited,
    context: Context,
    stop: Callable[[Stop], None],
    held: Callable[[float], None] | None = None,
    *,
    prepares: bool = False,
) -> tuple[Lane[T], Headroom]:
    gate = Gate(context.rng)
    claim = None if limited.total is None else limited.total.claim(name)
    parts = context.frozen.shards or 1  # each worker has its part of a limit
    pacer = Pacer(rate_part(limited.rate, parts), claim, is_held=lambda now: gate.wait_s(now) > 0)
    counted = limited.day or limited.caps
    day: Cap | None = counted if counted is not None and counted.is_limit else None
    guard = Guard(name, gate, day, context, stop)
    lane: Lane[T] = Lane(
        name,
        places=places,
        pace=Eased(pacer, gate),
        gate=gate,
        cap=day,
        held=held or guard.held,
        prepares=prepares,
    )
    if held is None:
        lane.watchers.append(guard)

    return lane, Headroom(name, limited.rate, pacer, gate, context, limited.caps, parts)


def _bound_retries(lane: Lane[Ticket], paces: Paces) -> None:
    """Let submits that are no first ones be few beside those that are.

    With nothing left one goes in five seconds, or in the time of ten first ones where that is less.
    """
    interval_s = 0.0 if paces.submit is None else paces.submit.interval_s
    lane.gate.quota = RetryQuota(min(EVERY_S, interval_s / SHARE) if interval_s else EVERY_S)
    lane.starts.is_retry = lambda ticket: ticket.spent > 0


def _seek(lanes: Lanes, paces: Paces, settings: Settings, context: Context) -> None:
    """Let the lanes find out what was left to them."""
    if paces.seek_from is not None:
        lanes.submit.gate.doubts_throttles = False  # a search lives on being refused
        room, ceiling = lanes.submit_room, paces.ceiling_per_s
        seek_rate(lanes.submit, room, paces.seek_from, ceiling, context)

    if settings.connections == AUTO:
        downloads = context.frozen.download is not None
        starts = _share(CONNECTIONS_START, downloads=downloads)
        for lane, start in zip((lanes.submit, lanes.status, lanes.download), starts, strict=True):
            seek_connections(lane, start, context)


def _share(connections: int, *, downloads: bool) -> tuple[int, int, int]:
    """Share the connections out: half for submits (uploads take long), the rest for the others."""
    submitters = max(1, connections // 2)
    fetchers = max(1, connections // 4) if downloads else 1
    checkers = connections - submitters - (fetchers if downloads else 0)
    return submitters, max(1, checkers), fetchers
