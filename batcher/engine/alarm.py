"""An alarm: wakes the one task that waits for it.

What `anyio.Event` does for any number of tasks, at a tenth of its cost: a worker rests and is woken
for about every second request. A cancellation cancels the alarm too; ringing it then does nothing.
"""

from __future__ import annotations

import asyncio


class Alarm(asyncio.Future[None]):
    """To be awaited once, by one task."""

    __slots__ = ()

    def ring(self) -> None:
        """Wake the task, now or as soon as it waits."""
        if not self.done():
            self.set_result(None)

    async def wait(self, longest_s: float) -> None:
        """Wait until it rings, or for so long."""
        timer = self.get_loop().call_later(longest_s, self.ring)
        try:
            await self
        finally:
            timer.cancel()
