"""The days of a run's lanes: what counts in each, and what of it must survive a restart."""

from __future__ import annotations

from collections.abc import Callable

from batcher.core.journal import Journal
from batcher.core.pacing.rates import Rate
from batcher.engine.lanes.caps import DailyCaps, times_of
from batcher.engine.lanes.paces import Paces
from batcher.engine.lanes.resets import Resets

STATUS_READS = "status_reads_of_the_day"
SUBMIT_OPENINGS = "submit_windows"
STATUS_OPENINGS = "status_windows"


class Days:
    """The caps of submits, of status reads, and of both together, as an earlier process left them.

    Raises `StorageError` if the journal does not hold them as they were written.
    """

    def __init__(self, paces: Paces, journal: Journal, wall: Callable[[], float]) -> None:
        longest_s = max(_longest_s(paces.submit), _longest_s(paces.total))
        submitted = journal.submits_since(wall() - longest_s) if longest_s else []
        reads = times_of(journal.fact(STATUS_READS))
        self._openings = {
            name: Resets.of(journal.fact(name))
            for name, is_published in (
                (SUBMIT_OPENINGS, paces.submit_is_published and _longest_s(paces.submit) > 0),
                (STATUS_OPENINGS, paces.status_is_published and _longest_s(paces.status) > 0),
            )
            if is_published
        }
        told = self._openings.get
        self.submit = DailyCaps(paces.submit, submitted, wall, openings=told(SUBMIT_OPENINGS))
        self.status = DailyCaps(paces.status, reads, wall, openings=told(STATUS_OPENINGS))
        self.total = DailyCaps(paces.total, [*submitted, *reads], wall)
        self._keeps_reads = max(_longest_s(paces.status), _longest_s(paces.total)) > 0

    def facts(self) -> dict[str, str]:
        """Return what the journal is to keep; empty where no limit counts days."""
        facts = {name: openings.as_fact() for name, openings in self._openings.items()}
        if self._keeps_reads:
            facts[STATUS_READS] = self.status.as_fact()

        return facts


def _longest_s(rate: Rate | None) -> float:
    """Return the length of the longest window beyond an hour; 0 = there is none."""
    return max((window.period_s for window in rate.day_caps), default=0.0) if rate else 0.0
