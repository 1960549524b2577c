"""A thread of one's own, for calls that block and come one after the other, thousands a minute.

Rule: calls are served in the order in which they were made, and what has begun is finished. A hop
into it and back costs less than half of one into a shared pool, which finds a thread, a place and a
context for each call. It knows nothing of what it calls.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from queue import SimpleQueue
from threading import Thread
from typing import Any, Self, TypeVar

import anyio
import anyio.lowlevel

R = TypeVar("R")


class OwnThread:
    """An `Offload` with one thread, which lives as long as the block that it is entered for."""

    def __init__(self) -> None:
        self._calls: SimpleQueue[tuple[Callable[[], Any], asyncio.Future[Any]] | None]
        self._calls = SimpleQueue()
        # A daemon: a write that hangs in the kernel must not keep a process from ending.
        self._thread = Thread(target=self._serve, name="journal", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_exc: object) -> None:
        self._calls.put(None)
        self._thread.join()

    async def __call__(self, call: Callable[[], R], /) -> R:
        """Return what *call* returns. It can be cancelled before it begins, and not afterwards."""
        await anyio.lowlevel.checkpoint_if_cancelled()
        answer: asyncio.Future[R] = asyncio.get_running_loop().create_future()
        self._calls.put((call, answer))
        with anyio.CancelScope(shield=True):
            await answer

        return answer.result()

    def _serve(self) -> None:
        while (order := self._calls.get()) is not None:
            call, answer = order
            loop = answer.get_loop()
            try:
                told = call()
            except BaseException as error:  # whoever made the call is to have it
                loop.call_soon_threadsafe(_settle, answer.set_exception, answer, error)
            else:
                loop.call_soon_threadsafe(_settle, answer.set_result, answer, told)

            del order, call, answer  # while it waits it keeps nothing alive


def _settle(settle: Callable[[Any], None], answer: asyncio.Future[Any], told: object) -> None:
    if not answer.done():  # the loop itself took the task down meanwhile
        settle(told)
