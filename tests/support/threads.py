"""Worker threads on virtual time."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import anyio
import anyio.lowlevel

R = TypeVar("R")

THREAD_S = 0.001


async def virtual_thread(call: Callable[[], R]) -> R:
    """Run *call* as `anyio.to_thread.run_sync` would: a while later, and not cut by a cancellation.

    It may be cancelled before it begins. Once begun it ends, and its answer comes back even if the
    caller has been cancelled in the meantime; the cancellation strikes at the caller's next wait.
    """
    await anyio.lowlevel.checkpoint()
    with anyio.CancelScope(shield=True):
        await anyio.sleep(THREAD_S)

    return call()
