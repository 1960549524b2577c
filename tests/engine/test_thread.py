"""A thread of one's own: in order, to the end, and with every answer."""

from __future__ import annotations

import threading

import anyio
import anyio.lowlevel
import anyio.to_thread
import pytest

from batcher.engine.books.thread import OwnThread


async def test_calls_are_served_one_after_the_other_in_their_order() -> None:
    """Two calls never overlap, and none overtakes another, on one and the same thread."""
    served: list[tuple[int, str]] = []

    async def call(thread: OwnThread, n: int) -> None:
        await thread(lambda: served.append((n, threading.current_thread().name)))

    with OwnThread() as thread:
        async with anyio.create_task_group() as tasks:
            for n in range(50):
                tasks.start_soon(call, thread, n)

    assert served == [(n, "journal") for n in range(50)]


async def test_whoever_called_has_the_answer_or_the_error() -> None:
    """An error of one call reaches its caller, and the next call is served."""
    with OwnThread() as thread:
        with pytest.raises(ZeroDivisionError):
            await thread(lambda: 1 // 0)

        assert await thread(lambda: 7) == 7


async def test_what_has_begun_is_finished_before_a_cancellation_strikes() -> None:
    """A write is not cut short, and its caller does not go on before it has ended."""
    begun, may_end = threading.Event(), threading.Event()
    story: list[str] = []

    def write() -> None:
        begun.set()
        may_end.wait()
        story.append("written")

    async def call(thread: OwnThread) -> None:
        try:
            await thread(write)
            await anyio.lowlevel.checkpoint()
        finally:
            story.append("gone on")

    with OwnThread() as thread:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(call, thread)
            await anyio.to_thread.run_sync(begun.wait)
            tasks.cancel_scope.cancel()
            may_end.set()

    assert story == ["written", "gone on"]


async def test_who_is_cancelled_already_begins_nothing() -> None:
    """A cancellation that comes before the call is heard before it."""
    story: list[str] = []
    with OwnThread() as thread, anyio.CancelScope() as scope:
        scope.cancel()
        await thread(lambda: story.append("written"))

    assert story == []
