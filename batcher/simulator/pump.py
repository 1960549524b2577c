"""Hands the calls of a simulated API to whoever is called, in their time.

Rule: one pump for each simulation, until it is cancelled. It knows no sockets: `hear` is the way to
the receiver, be it a coroutine of a test on virtual time or a request of the server's.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Final
from urllib.parse import urlsplit

import anyio

from batcher.simulator.hooks import ANSWER_S, Delivery
from batcher.simulator.service import Simulation

# (path with its query, header names in lower case, body) -> HTTP status, or None for no answer
Hear = Callable[[str, Mapping[str, str], bytes], Awaitable[int | None]]

AT_ONCE_MAX: Final = 64  # calls under way


async def deliver(
    simulation: Simulation,
    hear: Hear,
    clock: Callable[[], float],
    sleep: Callable[[float], Awaitable[None]] = anyio.sleep,
) -> None:
    """Deliver until cancelled. *clock* is the simulation's own, in epoch seconds.

    What takes longer than `ANSWER_S` to be heard has failed. An attempt that is cut off by the
    cancellation has failed too, so that the next pump tries it again.
    """
    outbox = simulation.outbox
    free = anyio.Semaphore(AT_ONCE_MAX)

    async def carry(delivery: Delivery) -> None:
        status = None
        try:
            status = await _heard(delivery, hear, sleep)
        finally:
            free.release()
            outbox.answered(delivery, status, clock())

    async with anyio.create_task_group() as calls:
        while True:
            news = anyio.Event()
            outbox.on_change = news.set
            while _is_due(outbox.next_due(), clock()):
                await free.acquire()  # before it is taken out: a cancelled pump leaves it there
                for delivery in outbox.due(clock(), 1):
                    calls.start_soon(carry, delivery)
                    break
                else:
                    free.release()  # it was one that is called no more

            await _rest(news, outbox.next_due(), clock, sleep)


def _is_due(due_at: float | None, now_s: float) -> bool:
    return due_at is not None and due_at <= now_s


async def _heard(
    delivery: Delivery, hear: Hear, sleep: Callable[[float], Awaitable[None]]
) -> int | None:
    """Return the status of one attempt, or None when its time is over."""
    status: int | None = None
    parts = urlsplit(delivery.url)
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")

    async def ask() -> None:
        nonlocal status
        status = await hear(path, delivery.headers, delivery.body)
        attempt.cancel_scope.cancel()

    async with anyio.create_task_group() as attempt:
        attempt.start_soon(ask)
        await sleep(ANSWER_S)
        attempt.cancel_scope.cancel()

    return status


async def _rest(
    news: anyio.Event,
    until: float | None,
    clock: Callable[[], float],
    sleep: Callable[[float], Awaitable[None]],
) -> None:
    """Wait until something is due, or there is news."""
    if until is None:
        await news.wait()
        return

    async def wake() -> None:
        await sleep(max(0.0, until - clock()))
        news.set()

    async with anyio.create_task_group() as waiting:
        waiting.start_soon(wake)
        await news.wait()
        waiting.cancel_scope.cancel()
