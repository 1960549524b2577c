"""What a lane asks of others: its work, its pace, its long limits, who goes ahead, who looks on."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, Protocol, TypeVar

T = TypeVar("T")
I_contra = TypeVar("I_contra", contravariant=True)

Rest = Coroutine[Any, Any, None]  # what is left to do after an answer
Work = Callable[[T], Awaitable[Rest | None]]


class Pace(Protocol):
    """Hand out permits, evenly spaced."""

    async def permits(self, wanted: int) -> int:
        """Wait until at least one request may start; return how many of *wanted* may now.

        0 if the gate closed meanwhile: then no permit was used up.
        """
        ...


class Cap(Protocol):
    """A limit that counts over hours and restarts, such as 200 a day."""

    def wait_s(self) -> float:
        """Return how long until one more request is allowed; 0 = now."""
        ...

    def spend(self) -> None:
        """Count one request."""
        ...


class Watcher(Protocol[I_contra]):
    """Somebody who wants to know of every request that ended."""

    def ended(self, item: I_contra, took_s: float) -> None:
        """Take note that the work on *item* is done."""
        ...


class Scout(Protocol[I_contra]):
    """Who goes before a probe."""

    async def lets_pass(self, item: I_contra) -> bool:
        """Whether *item* may be sent now; if not, it has been looked after."""
        ...
