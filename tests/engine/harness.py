"""A whole run on virtual time: the real engine, journal, files and dialect, and a simulated API.

Nothing is patched: the transport carries requests straight into the simulation, the journal writes
a real SQLite file without syncing, and time is the loop's. A crash is what it is for the engine:
everything is cancelled without a farewell, and the next process opens the same directory.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from math import inf
from pathlib import Path
from random import Random
from typing import Any, NoReturn

import anyio
import anyio.lowlevel
import orjson

from batcher.adapters.manifest import open_manifest
from batcher.adapters.outcomes import OutcomeFiles
from batcher.adapters.rescue import RescueFile
from batcher.adapters.sqlite import SqliteJournal
from batcher.core.errors import StorageError
from batcher.core.exchange import Request, Response, Transport
from batcher.core.journal import Entry
from batcher.core.lifecycle import OUTCOMES
from batcher.core.model import Stop
from batcher.core.settings import Frozen, Settings
from batcher.engine.books.decide import finish_rewrites
from batcher.engine.books.opening import refuse_older_journal
from batcher.engine.books.rescue import take_over
from batcher.engine.clock import LoopClock
from batcher.engine.files.collect import Store
from batcher.engine.money.budget import COST_UNPROVEN
from batcher.engine.notices import Notices
from batcher.engine.parts import Parts
from batcher.engine.rows import ProviderCheck
from batcher.engine.run import Run
from batcher.providers import provider_named
from batcher.simulator import FaultPlan, SimulatedTransport, Simulation
from tests.support.logs import Events
from tests.support.threads import virtual_thread

AUTH = {
    "removit": {"X-API-Key": "test-key"},
    "deapi": {"Authorization": "Bearer test-key", "User-Agent": "batcher/test"},
}


@dataclass
class Night:
    """One run directory, one simulated API, and any number of processes one after the other."""

    folder: Path
    provider: str = "removit"
    faults: str = ""
    seed: int = 1
    params: dict[str, object] = field(default_factory=dict)
    settings: dict[str, Any] = field(default_factory=dict)
    more: dict[str, Any] = field(default_factory=dict)  # other `Parts`, such as claims
    log: Events = field(default_factory=Events)

    def __post_init__(self) -> None:
        self.simulation = Simulation(self.provider, FaultPlan.parse(self.faults), self.seed)
        self.manifest = self.folder / "rows.jsonl"
        self.directory = self.folder / "run"
        self.directory.mkdir(exist_ok=True)
        self.clock = LoopClock()
        self.transport: Transport = SimulatedTransport(
            self.simulation, AUTH[self.provider], clock=self.clock.wall
        )
        self.store: Store | None = None
        self.rescue = RescueFile(self.directory / "rescue.jsonl")
        self.rng = Random(self.seed)
        self.run: Run | None = None  # the last one

    def write_rows(self, rows: Sequence[Mapping[str, object]]) -> None:
        """Write the manifest."""
        self.manifest.write_bytes(b"".join(orjson.dumps(row) + b"\n" for row in rows))

    def write_urls(self, count: int) -> None:
        """Write a manifest of so many rows, each with its own URL."""
        self.write_rows([row(n) for n in range(count)])

    async def process(
        self,
        during: Callable[[Run], Any] | None = None,
        *,
        read_manifest: bool = True,
        rows_expected: int | None = None,
        **settings: Any,
    ) -> Stop | None:
        """Run one process to its end; `during` is a task beside it that may brake the run."""
        with self.books() as (journal, outcomes):
            parts = self.parts(journal, outcomes, settings)
            parts = replace(parts, rows_expected=rows_expected)
            run = self.run = Run(parts if read_manifest else replace(parts, entries=None))
            if during is None:
                return await run.execute()

            async with anyio.create_task_group() as group:
                group.start_soon(during, run)
                stop = await run.execute()
                group.cancel_scope.cancel()

            return stop

    async def doomed_process(self, death: Death, **settings: Any) -> bool:
        """Run a process that dies as *death* says; True if it came to its end before."""
        with self.books() as (journal, outcomes):
            mortal = self.parts(Mortal(journal, death), Mortal(outcomes, death, self), settings)
            run = Run(replace(mortal, rescue=MortalRescue(self.rescue, death)))
            try:
                async with anyio.create_task_group() as group:
                    group.start_soon(death.wait)
                    await run.execute()
                    group.cancel_scope.cancel()
            except* (StorageError, _Killed):
                assert death.came

        return not death.came

    @contextmanager
    def books(self) -> Iterator[tuple[SqliteJournal, OutcomeFiles]]:
        """Open journal and outcome files as a process does, and mend what a crash left."""
        with self.unmended_books() as (journal, outcomes):
            finish_rewrites(journal, outcomes, self.provider, self.clock.wall())
            for event, text in take_over(journal, outcomes, self.rescue, at=self.clock.wall()):
                self.log.warning(event, message=text)

            yield journal, outcomes

    @contextmanager
    def unmended_books(self) -> Iterator[tuple[SqliteJournal, OutcomeFiles]]:
        """Open journal and outcome files; rewrites that a crash cut short are still to be done."""
        journal = SqliteJournal.open(self.directory / "journal.db", durable=False)
        outcomes = OutcomeFiles(self.directory, sync=lambda fd: None)
        try:
            journal.claim(self.clock.wall())
            refuse_older_journal(journal, outcomes)
            outcomes.recover(journal.outputs())
            yield journal, outcomes
        finally:
            outcomes.close()
            journal.close()

    def parts(
        self, journal: Any, outcomes: Any, settings: Mapping[str, Any] | None = None
    ) -> Parts:
        """Return what a run is made of."""
        frozen = Frozen(
            provider=self.provider,
            base_url="http://127.0.0.1",
            manifest=str(self.manifest),
            params=self.params,
            download=None if self.store is None else str(self.folder / "downloads"),
        )
        provider = provider_named(self.provider, self.params)
        chosen = Settings(**{"rate": "1000/s", **self.settings, **(settings or {})})

        def entries() -> Iterator[Entry]:
            manifest = open_manifest(str(self.manifest))
            return manifest.entries(ProviderCheck(provider), limit=chosen.limit, judged=False)

        return Parts(
            frozen=frozen,
            settings=chosen,
            provider=provider,
            transport=self.transport,
            journal=journal,
            outcomes=outcomes,
            entries=entries,
            log=self.log,
            notices=Notices(self.log),
            store=self.store,
            rescue=self.rescue,
            clock=self.clock,
            rng=self.rng,
            offload=virtual_thread,
            **self.more,
        )

    # --- What came out ---------------------------------------------------------------------------

    def records(self, outcome: str) -> list[dict[str, Any]]:
        """Return the records of one outcome file; every line of it must be whole and JSON."""
        text = (self.directory / f"{outcome}.jsonl").read_bytes()
        assert not text or text.endswith(b"\n")
        return [orjson.loads(line) for line in text.splitlines()]

    def outcomes(self) -> dict[str, str]:
        """Return the outcome of every row by id; a row with two records fails the test."""
        found: dict[tuple[str, int], str] = {}
        for outcome in OUTCOMES:
            for record in self.records(outcome):
                key = (record["id"], record["line"])
                assert key not in found, f"{key} is in {found[key]} and in {outcome}"
                found[key] = str(outcome)

        return {row_id: outcome for (row_id, _), outcome in found.items()}

    def counts(self) -> dict[str, int]:
        """Return how many rows have each outcome."""
        outcomes = list(self.outcomes().values())
        return {name: outcomes.count(name) for name in sorted(set(outcomes))}

    def counters(self) -> dict[str, int]:
        """Return the journal's counters."""
        reader = SqliteJournal.read(self.directory / "journal.db")
        try:
            return reader.counters()
        finally:
            reader.close()

    def assert_no_row_paid_twice(self) -> None:
        """Hold the run against the API's own books."""
        assert self.simulation.ledger.duplicates() == {}

    def assert_every_paid_job_is_known(self) -> None:
        """Every job that was made is in a record, or its row is in doubt."""
        known = {r["job_id"] for name in OUTCOMES for r in self.records(name)}
        doubtful = {r["row"]["file_url"] for r in self.records("in_doubt")}
        for job in self.simulation.ledger.jobs.values():
            assert job.id in known or job.reference in doubtful, f"{job.reference} is forgotten"

    def assert_books_agree(self) -> None:
        """What the last process believes was spent is what the journal says."""
        assert self.run is not None
        counters = self.counters()
        jobs = self.run._context.jobs
        assert jobs.open == 0
        unproven = counters.get(COST_UNPROVEN, 0)
        assert jobs.spent == counters["cost"] - counters["cost_refunded"] + unproven


@dataclass
class Death:
    """When and how a process dies: at a time, or at its n-th write, before or after it.

    From then on nothing more is written: what the engine still does on its way out meets a dead
    journal, as a killed process would never have done it.
    """

    at_s: float = inf
    at_write: int = 0  # the n-th call that writes; 0 = never
    after: bool = False  # after that call was performed, not before
    torn: bool = False  # half a line of what was to be appended is on the disk
    came: bool = False
    writes: int = 0

    async def wait(self) -> None:
        """Die when the time has come."""
        await anyio.sleep(self.at_s)
        self.came = True
        raise _Killed

    def note_write(self) -> bool:
        """Count a write; True if this is the last one."""
        self.writes += 1
        return self.writes == self.at_write

    def refuse(self) -> NoReturn:
        """Be dead."""
        self.came = True
        raise StorageError("killed")


class _Killed(Exception):
    """The process is dead."""


class Mortal:
    """A journal, or outcome files, of a process that may die."""

    def __init__(self, inner: Any, death: Death, night: Night | None = None) -> None:
        self._inner = inner
        self._death = death
        self._night = night

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._inner, name)
        return partial(self._call, method) if name in WRITES else method

    def _call(self, method: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        if self._death.came:
            self._death.refuse()

        is_last = self._death.note_write()
        if is_last and not self._death.after:
            if method.__name__ == "append":
                self._tear(*args)

            self._death.refuse()

        answer = method(*args, **kwargs)
        if is_last:
            self._death.refuse()

        return answer

    def _tear(self, *args: Any) -> None:
        if self._death.torn and self._night is not None:
            for outcome, line in args[0]:
                with (self._night.directory / f"{outcome}.jsonl").open("ab") as file:
                    file.write(line[: len(line) // 2])


class MortalRescue:
    """The rescue file of a process that may die: a dead one rescues nothing."""

    def __init__(self, inner: RescueFile, death: Death) -> None:
        self._inner = inner
        self._death = death
        self.path = inner.path
        self.lines, self.remove = inner.lines, inner.remove

    def append(self, lines: bytes) -> None:
        """Add lines, unless it is dead by now."""
        if not self._death.came:
            self._inner.append(lines)


WRITES = frozenset({"admit", "append", "apply", "mark_rebuild", "note", "rebuild", "take_back"})


FLUX: dict[str, object] = {"task": "generations", "tier": "premium", "model": "Flux1schnell"}


def prompt(n: int, pixels: int = 512) -> dict[str, object]:
    """Return the *n*-th row of an image generation with deAPI."""
    size = {"width": pixels, "height": pixels, "steps": 4, "guidance": 0}
    return {"id": f"r{n}", "prompt": f"cat {n}", "seed": n, **size}


def row(n: int) -> dict[str, object]:
    """Return the *n*-th row of a catalogue."""
    return {"id": f"sku-{n}", "file_url": f"https://shop.example/{n}.jpg"}


class Scripted:
    """A transport that answers from a list, then from another transport."""

    def __init__(self, answers: list[Response | Exception], then: Transport) -> None:
        self.sent: list[Request] = []
        self._answers = answers
        self._then = then

    async def send(self, request: Request, *, timeout_s: float) -> Response:
        """Answer with the next of the list."""
        self.sent.append(request)
        await anyio.lowlevel.checkpoint()
        if not self._answers:
            return await self._then.send(request, timeout_s=timeout_s)

        answer = self._answers.pop(0)
        if isinstance(answer, Exception):
            raise answer

        return answer
