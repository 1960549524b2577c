"""A run that goes on, as whoever looks after it sees it: in this process, or in several."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from batcher.core.model import Stop
from batcher.core.stats import Snapshot
from batcher.engine.control import Control


class Running(Protocol):
    """What a run offers to its view, its brakes and its summary."""

    @property
    def control(self) -> Control:
        """Its brakes."""
        ...

    async def execute(self) -> Stop | None:
        """Bring every row to its outcome; return why the run stopped early, or None."""
        ...

    def snapshot(self) -> Snapshot:
        """Return the run at this instant."""
        ...

    def watch(self, observer: Callable[[Snapshot], None]) -> None:
        """Let *observer* see a snapshot about once a second."""
        ...
