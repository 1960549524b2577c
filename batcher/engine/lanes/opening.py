"""The lanes of a run, each with the limits that hold for it.

Rule: a flag replaces what the provider publishes for that lane. A wait that is longer than the user
allows ends the run instead of holding it: accepted jobs are followed first if only submits must
wait.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from batcher.adapters.pacing import Pacer
from batcher.core.gate import Gate
from batcher.core.journal import Journal
from batcher.core.model import Stop, StopReason, Ticket
from batcher.core.rates import HOUR_S, Rate, parse_rate
from batcher.engine.context import Context
from batcher.engine.lanes.caps import DailyCaps, times_of
from batcher.engine.lanes.headroom import HELD, Headroom
from batcher.engine.lanes.lane import Lane
from batcher.engine.money.credits import CREDITS

T = TypeVar("T")

STATUS_READS = "status_reads_of_the_day"


@dataclass(frozen=True, slots=True)
class Lanes:
    """The lanes that rows go through, with what the views and the journal want to know of them."""

    submit: Lane[Ticket]
    status: Lane[Ticket]
    download: Lane[Ticket]
    submit_room: Headroom
    status_room: Headroom
    status_caps: DailyCaps

    @property
    def submit_rate(self) -> Rate | None:
        """What submits are held to now."""
        return self.submit_room.rate

    @property
    def status_rate(self) -> Rate | None:
        """What status reads are held to now."""
        return self.status_room.rate


def open_lanes(context: Context, journal: Journal) -> Lanes:
    """Build the lanes of a run from its settings and the provider's published limits."""
    settings, wall, control = context.settings, context.clock.wall, context.control
    published = context.provider.limits()
    cautious = context.provider.facts.cautious_rate
    submit_rate = parse_rate(settings.rate or published.submit or cautious)
    status_rate = rate_of(settings.status_rate or published.status)
    longest_s = max((window.period_s for window in submit_rate.day_caps), default=0.0)
    submitted = journal.submits_since(wall() - longest_s) if longest_s else []
    submit_caps = DailyCaps(submit_rate, submitted, wall)
    status_caps = DailyCaps(status_rate, times_of(journal.fact(STATUS_READS)), wall)
    submitters, checkers, fetchers = _share(
        settings.connections_max, downloads=context.frozen.download is not None
    )
    submit: tuple[Lane[Ticket], Headroom] = open_lane(
        "submit", submitters, submit_rate, submit_caps, context, control.halt
    )
    status: tuple[Lane[Ticket], Headroom] = open_lane(
        "status", checkers, status_rate, status_caps, context, control.interrupt
    )
    download: tuple[Lane[Ticket], Headroom] = open_lane(
        "download", fetchers, None, None, context, control.interrupt
    )
    return Lanes(submit[0], status[0], download[0], submit[1], status[1], status_caps)


def open_lane(
    name: str,
    workers: int,
    rate: Rate | None,
    caps: DailyCaps | None,
    context: Context,
    stop: Callable[[Stop], None],
    held: Callable[[float], None] | None = None,
) -> tuple[Lane[T], Headroom]:
    """Build one lane. `stop` is called if it is held for longer than the user allows.

    With `held` the lane's owner decides instead what a wait means.
    """
    gate, pacer = Gate(context.rng), Pacer(rate)
    guard = _Guard(name, gate, caps, context, stop)
    lane: Lane[T] = Lane(
        name, workers=workers, pace=pacer, gate=gate, cap=caps, held=held or guard.held
    )
    return lane, Headroom(name, rate, pacer, gate, context)


def rate_of(text: str | None) -> Rate | None:
    """Read a rate; None = no limit."""
    return None if text is None else parse_rate(text)


def _share(connections: int, *, downloads: bool) -> tuple[int, int, int]:
    """Share the connections out: half for submits (uploads take long), the rest for the others."""
    submitters = max(1, connections // 2)
    fetchers = max(1, connections // 4) if downloads else 1
    checkers = connections - submitters - (fetchers if downloads else 0)
    return submitters, max(1, checkers), fetchers


@dataclass(frozen=True, slots=True)
class _Guard:
    """Decides when a lane has been held for too long."""

    name: str
    gate: Gate
    caps: DailyCaps | None
    context: Context
    stop: Callable[[Stop], None]

    def held(self, wait_s: float) -> None:
        """Stop the run if the lane is held for longer than the user allows."""
        settings, now = self.context.settings, self.context.clock.now()
        outage = self.gate.outage_s(now)
        if outage > settings.max_outage_s:
            last = self.context.latest
            why = "" if last is None else f"; the last: {last.message}"
            message = f"every {self.name} request has failed for {outage:.0f} s{why}"
            self.stop(Stop(StopReason.UNAVAILABLE, message))
        elif settings.max_wait_s < wait_s < float("inf") and self.gate.why != CREDITS:
            resume_at = self.context.clock.wall() + wait_s
            message = f"{self._what()} lets no {self.name} request start for {wait_s:.0f} s"
            self.stop(Stop(StopReason.THROTTLED, message, resume_at))

    def _what(self) -> str:
        """Say what holds the lane."""
        if self.caps is not None and self.caps.wait_s() > 0:
            return "the day's limit"

        is_days = self.gate.held_s(HELD, self.context.clock.now()) > HOUR_S
        return "the day's limit, as the API tells it," if is_days else "the API"
