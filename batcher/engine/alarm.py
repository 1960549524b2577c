"""An alarm: wakes the one task that waits for it.

What `anyio.Event` does for any number of tasks, at a tenth of its cost: a worker rests and is woken
for about every second request. A cancellation cancels the alarm too; ringing it then does nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Generator


class Alarm:
    """To be awaited once, by one task."""

    __slots__ = ("_future",)

    def __init__(self) -> None:
        self._future: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def ring(self) -> None:
        """Wake the task, now or as soon as it waits."""
        if not self._future.done():
            self._future.set_result(None)

    def __await__(self) -> Generator[object, None, None]:
        return self._future.__await__()
