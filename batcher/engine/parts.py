"""What a run is made of: everything that touches the world, and what all its steps share."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from random import Random

from batcher.core.exchange import Transport
from batcher.core.journal import Entry, Journal
from batcher.core.log import Log
from batcher.core.model import Row
from batcher.core.polling.durations import Durations
from batcher.core.secret import Secret
from batcher.core.settings import Frozen, Settings
from batcher.core.stays import Stays
from batcher.engine.books.record import LINGER_S, Offload, Outcomes, Recorder, in_thread
from batcher.engine.books.rescue import RescueFile
from batcher.engine.clock import Clock
from batcher.engine.context import Context
from batcher.engine.control import Control
from batcher.engine.doubt.marks import Marks
from batcher.engine.files.collect import Store
from batcher.engine.keyring import Keyring
from batcher.engine.money.budget import FailureLimit, JobBudget
from batcher.engine.notices import Notices
from batcher.engine.polling.planner import Memory
from batcher.engine.room import Disks
from batcher.engine.slots import Slots
from batcher.engine.webhooks.claims import Claims
from batcher.providers.base import Provider

Starts = Callable[[Row, float], float]  # the event loop's time of a row's turn, and of now


@dataclass(frozen=True, slots=True)
class Parts:
    """What a run is made of. Everything that touches the world comes in here."""

    frozen: Frozen
    settings: Settings
    provider: Provider
    transport: Transport
    journal: Journal
    outcomes: Outcomes
    entries: (
        Callable[[], Iterator[Entry]] | None
    )  # None: no manifest to read, go on from the journal
    log: Log
    notices: Notices
    rows_expected: int | None = None  # of the manifest, roughly: for the bar, until it is read
    keyring: Keyring = field(default_factory=lambda: Keyring(Secret("", "no key")))
    make_secret: Callable[[], str] = secrets.token_hex  # asked once in the life of a run
    claims: Claims = field(default_factory=Claims)  # of an API that calls; else nothing is claimed
    store: Store | None = None  # None: results are not downloaded
    disks: Disks | None = None  # None: nobody looks at what is left on them
    rescue: RescueFile | None = None  # for job ids that the journal cannot take
    past: Mapping[str, Durations] = field(default_factory=dict)  # learned by earlier runs
    memory: Memory | None = None  # where what is learned is kept; None: it is not
    learns: bool = True  # else every job is looked at in plain pauses, for comparisons
    clock: Clock = field(default_factory=Clock)
    rng: Random = field(default_factory=Random)  # jitter only; a simulation gives a seeded one
    starts: Starts | None = None  # when first submits are due; None: as soon as there is room
    offload: Offload = in_thread
    writer: Offload | None = None  # for the books; None: what else blocks is served there too
    linger_s: float = LINGER_S


def context_of(parts: Parts, control: Control, recorder: Recorder) -> Context:
    """Return what all steps of a run share."""
    counters = parts.journal.counters()
    settings, account = parts.settings, parts.provider.account
    return Context(
        frozen=parts.frozen,
        settings=settings,
        provider=parts.provider,
        transport=parts.transport,
        recorder=recorder,
        control=control,
        slots=Slots(settings.in_flight),
        jobs=JobBudget.of(
            settings,
            counters,
            "" if account is None else account.currency,
            is_part=parts.frozen.shard is not None,
        ),
        failures=FailureLimit.of(settings, counters, control.halt),
        clock=parts.clock,
        rng=parts.rng,
        log=parts.log,
        notices=parts.notices,
        keyring=parts.keyring,
        claims=parts.claims,
        marks=Marks.of(parts.provider, parts.journal, parts.make_secret, parts.clock.wall()),
        stays=Stays(parts.clock.now()),
    )
