"""A night with an API that can be asked again: by a key, by its list of jobs, or by both."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, cast

from batcher.core.errors import StorageError
from batcher.core.lifecycle import State
from batcher.engine.parts import Parts
from batcher.providers.base import Provider
from batcher.simulator import FaultPlan
from tests.engine.harness import Death, Night
from tests.support.askable import AskableDialect
from tests.support.threads import virtual_thread

SECRET = "5ec7e7"


@dataclass
class AskableNight(Night):
    """What the dialect says of the API; the simulator may be told otherwise by `faults`."""

    honoured_s: float | None = None
    settle_s: float | None = None
    thread: Any = virtual_thread

    def parts(
        self, journal: Any, outcomes: Any, settings: Mapping[str, Any] | None = None
    ) -> Parts:
        """Return what a run is made of, with the dialect that can ask."""
        parts = super().parts(journal, outcomes, settings)
        dialect = AskableDialect(parts.provider, self.honoured_s, self.settle_s)
        return replace(
            parts, provider=cast(Provider, dialect), make_secret=lambda: SECRET, offload=self.thread
        )

    async def doomed_process(self, death: Death, **settings: Any) -> bool:
        """Run a process that dies as *death* says, maybe while it is put together."""
        try:
            return await super().doomed_process(death, **settings)
        except StorageError:
            assert death.came
            return False

    def heal(self, faults: str) -> None:
        """Let the API behave otherwise from now on."""
        self.simulation.plan = FaultPlan.parse(faults)

    def decisions(self) -> list[tuple[str, str]]:
        """Return the move and the evidence of every decision in the journal."""
        with self.unmended_books() as (journal, _):
            return journal._db.execute("SELECT move, note FROM decision ORDER BY id").fetchall()

    def generations(self) -> list[int]:
        """Return of each row how often it was submitted anew."""
        with self.unmended_books() as (journal, _):
            return [n for (n,) in journal._db.execute("SELECT generation FROM row ORDER BY n")]

    def charges(self) -> list[str | None]:
        """Return the jobs, or None, of every attempt without a result to show for its money."""
        with self.unmended_books() as (journal, _):
            return [charge.job_id for charge in journal.charges(0, 1_000)]

    def in_doubt(self) -> int:
        """Return how many rows the journal has in doubt, and hold the file against it."""
        count = self.counters()[State.IN_DOUBT]
        assert len(self.records("in_doubt")) == count
        return count
