"""What a run looks like at one instant: the value that every view and summary is made from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from batcher.core.binding import Held
from batcher.core.model import ErrorKind, Stop

TAKEN_BACK = "submits_taken_back"  # a counter: intents whose submit never left this machine


def submits_of(counters: Mapping[str, int]) -> int:
    """Return how many submits left, or may have left, from the journal's counters."""
    return counters.get("submits", 0) - counters.get(TAKEN_BACK, 0)


@dataclass(frozen=True, slots=True)
class LaneView:
    """One lane: submit, status or download."""

    name: str
    started: int  # requests of this process
    per_s: float  # requests started per second, lately
    limit: str | None  # what it is held to, such as "300/m"; None = nothing
    open: int  # requests open now
    waiting: int  # rows that wait for their turn
    closed_s: float | None = None  # for how long nothing may start; None = open
    closed_why: str = ""


@dataclass(frozen=True, slots=True)
class ErrorView:
    """One kind of error, as often as it was met, with the last example."""

    count: int
    example: str


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A run at one instant. `counters` are the journal's, so they hold for the whole run."""

    at: float  # epoch seconds
    elapsed_s: float  # of this process
    counters: Mapping[str, int]
    rows_total: int | None  # rows of the manifest, as far as known
    in_flight: int
    in_flight_max: int
    lanes: tuple[LaneView, ...]
    errors: Mapping[ErrorKind, ErrorView] = field(default_factory=dict)
    binding: str = ""  # what holds the run back right now, in a few words
    held: tuple[Held, ...] = ()  # for how long each thing held it back, the longest first
    eta_s: float | None = None
    eta_low_s: float | None = None  # once in ten it takes less
    eta_high_s: float | None = None  # once in ten it takes more
    stop: Stop | None = None  # set once the run is on its way out
    reading: bool = True  # the manifest has not been read to its end yet
    notices: tuple[tuple[str, bool], ...] = ()  # lines for a person, and whether each is urgent

    def count(self, name: str) -> int:
        """Return a counter, 0 if it was never touched."""
        return self.counters.get(name, 0)

    @property
    def ended(self) -> int:
        """Rows that have an outcome."""
        return sum(self.count(name) for name in ("succeeded", "failed", "exhausted", "in_doubt"))
