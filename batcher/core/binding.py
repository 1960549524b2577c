"""What holds a run back, by Little's law: jobs in flight = jobs a second x seconds that each stays.

Rule: of all that could be larger, the one that would make the run faster is told. Whatever waits in
front of a stage is held by that stage; a stage whose requests start nearly as often as they may is
at its limit; and if rows wait for a place among the jobs in flight, the jobs stay too long or the
places are too few. A finding must last a few seconds before it takes the place of the last one.

Pure decisions on the numbers of one second; who measures them is `engine/progress.py`.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

USED = 0.85  # of what may start in a second, from which a limit counts as reached
CROWDED = 0.8  # of the requests that may be open
BUSY = 0.9  # of a second that the event loop computed
SLOW_DISK = 0.5  # of a second that the journal took to answer
ENDS_PER_S_MIN = 1e-4  # a smoothed rate that fades never is zero, and says nothing long before
LASTS_S = 3.0  # so long a finding must last to be shown
TEXT_S = 5.0  # so long a text stays, though its numbers move


class By(StrEnum):
    """What can hold a run back."""

    SUBMIT = "submit limit"
    STATUS = "status limit"
    PRICE = "price limit"
    IN_FLIGHT = "in-flight limit"
    CONNECTIONS = "connections"
    DOWNLOADS = "downloads"
    SERVICE = "the service"
    DISK = "the disk"
    PROCESSOR = "the processor"
    MANIFEST = "the manifest"
    CLOSED = "refusals"  # a lane is closed: throttled, failing
    CREDITS = "credits"
    STOPPING = "stopping"


AT_ONCE = frozenset({By.CLOSED, By.CREDITS, By.DISK, By.STOPPING})  # shown without waiting


@dataclass(frozen=True, slots=True)
class Flow:
    """One lane in the last seconds."""

    per_s: float = 0.0  # requests started
    allowed_per_s: float | None = None  # None = as many as it likes
    limit: str = ""  # as it is written: `300/m`
    waiting: int = 0  # items, due or not
    open: int = 0
    open_max: int = 1  # requests that may be open at once
    is_used_up: bool = False  # a window's share: nothing starts before it opens

    @property
    def is_at_limit(self) -> bool:
        """Whether requests start nearly as often as they may."""
        if self.is_used_up:
            return True

        return self.allowed_per_s is not None and self.per_s >= USED * self.allowed_per_s


@dataclass(frozen=True, slots=True)
class Scene:
    """A run in the last seconds."""

    submit: Flow
    status: Flow
    download: Flow = Flow()
    price: Flow = Flow()
    in_flight: int = 0
    in_flight_max: int = 1
    ended_per_s: float = 0.0
    reading: bool = False  # the manifest has rows left
    stopping: str = ""  # why nothing more is submitted, in words
    no_room: str = ""  # what is the matter with the disk, in words
    closed: str = ""  # which lane lets nothing start, and why
    credits: str = ""  # the same, for want of money
    disk_share: float = 0.0  # of the last second that the journal took to answer
    cpu_share: float = 0.0  # of the last second that the event loop computed

    @property
    def stay_s(self) -> float | None:
        """How long a row is in flight, by Little's law; None = nothing ends, or hardly anything."""
        return self.in_flight / self.ended_per_s if self.ended_per_s > ENDS_PER_S_MIN else None


@dataclass(frozen=True, slots=True)
class Binding:
    """What holds a run back now."""

    by: By
    text: str  # in a few words
    limit: str = ""


@dataclass(frozen=True, slots=True)
class Held:
    """For how long one thing held a run back."""

    by: By
    limit: str
    seconds: float
    advice: str = ""


def binding_of(scene: Scene) -> Binding:
    """Return what holds the run back in this scene."""
    for by, words in (
        (By.DISK, scene.no_room),
        (By.CREDITS, scene.credits),
        (By.CLOSED, scene.closed),
        (By.STOPPING, scene.stopping),
    ):
        if words:
            return Binding(by, words)

    return _of_rows(scene) or _of_jobs(scene)


def _of_rows(scene: Scene) -> Binding | None:
    """Return what holds back rows that are not submitted yet, if it is none of the jobs."""
    submit, price = scene.submit, scene.price
    if price.waiting > price.open:
        return _limit(By.PRICE, price)

    if submit.waiting > submit.open:
        if submit.is_at_limit or submit.open < CROWDED * submit.open_max:
            return _limit(By.SUBMIT, submit)

        return _of_machine(scene) or Binding(
            By.CONNECTIONS, f"connections: {submit.open:,} submits are open, more wait"
        )

    if scene.reading and scene.in_flight < scene.in_flight_max:
        if submit.is_at_limit:
            return _limit(By.SUBMIT, submit)

        return _of_machine(scene) or Binding(By.MANIFEST, "reading the manifest")

    return None


def _of_jobs(scene: Scene) -> Binding:
    """Return what makes jobs stay in flight."""
    if scene.status.is_at_limit:
        return _limit(By.STATUS, scene.status)

    if scene.download.waiting > max(scene.download.open, 0.5 * scene.in_flight):
        return Binding(By.DOWNLOADS, f"downloads: {scene.download.waiting:,} wait for their turn")

    machine = _of_machine(scene)
    if machine is not None:
        return machine

    each = "" if scene.stay_s is None else f", about {_time(scene.stay_s)} each"
    if scene.reading and scene.in_flight >= scene.in_flight_max:
        limit = f"{scene.in_flight_max:,}"
        return Binding(By.IN_FLIGHT, f"in-flight limit ({limit}): its jobs take their time{each}",
                       limit)  # fmt: skip

    return Binding(By.SERVICE, f"the service: waiting for its jobs{each}")


def _of_machine(scene: Scene) -> Binding | None:
    if scene.cpu_share >= BUSY:
        return Binding(By.PROCESSOR, "the processor: one core is busy")

    if scene.disk_share >= SLOW_DISK:
        return Binding(By.DISK, "the disk: the journal is slow")

    return None


def _limit(by: By, flow: Flow) -> Binding:
    return Binding(by, f"{by} ({flow.limit})", flow.limit)


def _time(seconds: float) -> str:
    if seconds < 10:
        return f"{seconds:.1f} s"

    return f"{seconds:.0f} s" if seconds < 600 else f"{seconds / 60:.0f} min"


class Watch:
    """Follows what holds a run back: steadily for whoever looks, and summed up for the end."""

    def __init__(self) -> None:
        self.shown: Binding | None = None
        self._seconds: dict[By, float] = {}
        self._limits: dict[By, str] = {}
        self._began: float | None = None
        self._rival: By | None = None
        self._rival_since = 0.0
        self._text_at = 0.0

    def saw(self, binding: Binding, now: float, lasted_s: float) -> None:
        """Take in what held the run back for the last *lasted_s* seconds."""
        if binding.by is not By.STOPPING:
            self._seconds[binding.by] = self._seconds.get(binding.by, 0.0) + lasted_s
            self._limits[binding.by] = binding.limit

        if self._began is None:
            self._began = now

        shown = self.shown
        if shown is None or self._is_over(shown, binding, now):
            self.shown, self._rival, self._text_at = binding, None, now
        elif binding.by is shown.by:
            self._rival = None
            if now >= self._text_at + TEXT_S or binding.by in AT_ONCE:
                self.shown, self._text_at = binding, now

    def _is_over(self, shown: Binding, binding: Binding, now: float) -> bool:
        """Tell whether another finding takes the place of the one that is shown."""
        if binding.by is shown.by:
            return False

        begins = now < (self._began or 0.0) + LASTS_S  # nobody has read the first word yet
        if begins or binding.by in AT_ONCE or shown.by in AT_ONCE:
            return True

        if self._rival is not binding.by:
            self._rival, self._rival_since = binding.by, now

        return now >= self._rival_since + LASTS_S

    def held(self) -> list[Held]:
        """Return for how long each held the run back, the longest first."""
        found = [Held(by, self._limits[by], seconds) for by, seconds in self._seconds.items()]
        return sorted(found, key=lambda held: -held.seconds)


def advice_of(by: By, rate: str, *, can_call: bool) -> str:
    """Return what a person could change, or nothing. *rate*: found, given, published, or ours."""
    match by:
        case By.SUBMIT if rate == "published":
            return "it is the published one; --rate takes another, if the account has more"
        case By.SUBMIT if rate == "ours":
            return "the API publishes none; a higher --rate may help"
        case By.SUBMIT if rate == "given":  # what was found out is all that the API takes
            return "a higher --rate would help, if the API allows it"
        case By.STATUS if can_call:
            return "webhooks would help, or a higher --status-rate, if the API allows it"
        case By.STATUS:
            return "a higher --status-rate would help, if the API allows it"
        case By.IN_FLIGHT:
            return "a higher --in-flight would help"
        case By.CONNECTIONS | By.DOWNLOADS:
            return "more --connections would help"
        case By.DISK:
            return "more room, or a faster disk, would help"
        case By.PROCESSOR:
            return "a faster processor would help"
        case _:
            return ""
