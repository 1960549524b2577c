"""In-flight slots: how many rows may be between the manifest and their outcome at once.

They are what keeps memory flat: the feed waits for a slot before it takes the next row, and the
slot comes back when the row's outcome is durable.
"""

from __future__ import annotations

import anyio


class Slots:
    """A counter with a limit, and a way to wait until it is back at zero."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.used = 0
        self._changed: anyio.Event | None = None  # of those who wait, if anybody does

    async def acquire(self) -> None:
        """Wait for a free slot and take it."""
        while self.used >= self.limit:
            await self._change()

        self.used += 1

    def take(self) -> None:
        """Take a slot even if none is free: for a job that exists already."""
        self.used += 1

    def release(self) -> None:
        """Give a slot back."""
        self.used -= 1
        if self._changed is not None:
            self._changed.set()
            self._changed = None

    async def wait_idle(self) -> None:
        """Wait until no slot is taken."""
        while self.used:
            await self._change()

    async def _change(self) -> None:
        self._changed = self._changed or anyio.Event()
        await self._changed.wait()
