"""A lane's pace just after a closing: the share of it that the gate allows by then."""

from __future__ import annotations

from batcher.adapters.pacing import Pacer
from batcher.core.pacing.gate import Gate
from batcher.engine.clock import loop_time


class Eased:
    """A pacer that comes back as its lane's gate says (a `lane.Pace`)."""

    def __init__(self, pacer: Pacer, gate: Gate) -> None:
        self._pacer = pacer
        self._gate = gate

    async def permits(self, wanted: int) -> int:
        """Wait until at least one may start; return how many of *wanted* may, 0 if held by then."""
        self._pacer.ease(self._gate.share(loop_time()))
        return await self._pacer.permits(wanted)
