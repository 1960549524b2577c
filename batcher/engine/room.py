"""Room: with too little left on a disk that the run writes to, nothing new is begun.

Rule: a submit or a download starts only while each of these disks has `--min-free` bytes left, so
that what was paid for can still be written down. Jobs that exist are followed and journaled all the
while, and the run goes on by itself when there is room.

No limit on waiting ends this (`--max-wait` speaks of the API): space can be freed at any moment,
and to wait costs nothing. `--max-duration`, `--finish-by` and a signal end the run as ever. Where a
disk is full all the same, the recorder waits (`record.py`).
"""

from __future__ import annotations

from collections.abc import Sequence
from math import inf
from typing import Protocol

import anyio

from batcher.core.model import Ticket
from batcher.engine.books.record import Offload
from batcher.engine.context import Context
from batcher.engine.lanes.lane import Lane

LOOK_S = 1.0
ROOM = "room"  # why a gate is held
UNITS = ("bytes", "kB", "MB", "GB", "TB")


class Disks(Protocol):
    """The disks that a run writes to."""

    def tightest(self) -> tuple[str, int] | None:
        """Return the folder with the fewest free bytes and their number; None = nobody can tell.

        Blocks: it is called in a worker thread.
        """
        ...


class Room:
    """Holds *lanes* for as long as there is too little room. Without *disks* there always is."""

    def __init__(
        self,
        context: Context,
        disks: Disks | None,
        offload: Offload,
        lanes: Sequence[Lane[Ticket]],
    ) -> None:
        self._context = context
        self._disks = disks if context.settings.min_free else None
        self._offload = offload
        self._lanes = lanes

    async def run(self) -> None:
        """Look about once a second until cancelled."""
        while self._disks is not None:
            await anyio.sleep(LOOK_S)
            await self.look()

    async def look(self) -> None:
        """Look once, and hold the lanes or let them go on."""
        if self._disks is None:
            return

        found = await self._offload(self._disks.tightest)
        least = self._context.settings.min_free
        if found is not None and found[1] < least:
            self._hold(f"{size_text(found[1])} free on {found[0]}, --min-free {size_text(least)}")
        elif self._context.low_room:
            self._let_go()

    def _hold(self, low: str) -> None:
        context = self._context
        if not context.low_room:
            context.log.info("room.waiting", message=low)
            text = f"waits for room: {low}; free some space, paid jobs are followed meanwhile"
            context.notices.tell("room.low", text, urgent=True, once="room.low")

        context.low_room = low
        for lane in self._lanes:
            lane.gate.answered(self)  # nothing is sent, so this is no outage either
            lane.gate.hold_until(inf, ROOM)

    def _let_go(self) -> None:
        context = self._context
        context.low_room = ""
        context.log.info("room.found")
        text = "there is room again, the run goes on"
        context.notices.tell("room.back", text, urgent=True, once="room.back")
        for lane in self._lanes:
            lane.reopen(ROOM)


def size_text(size_bytes: float) -> str:
    """Return a size as a person says it, rounded down: `120 MB`, `1.5 GB`."""
    power = 0
    while size_bytes >= 1_000 and power < len(UNITS) - 1:
        size_bytes /= 1_000
        power += 1

    shown = int(size_bytes) if size_bytes >= 100 else int(size_bytes * 10) / 10
    return f"{shown:g} {UNITS[power]}"
