"""The virtual clock keeps order, holds still for threads and sockets, and says when it is stuck."""

from __future__ import annotations

import asyncio
import time

import anyio
import anyio.from_thread
import anyio.to_thread
import pytest
from aiolimiter import AsyncLimiter
from anyio.abc import SocketStream

from tests.support.clock import Patience, Stalled, VirtualClockLoop, run_virtual

pytestmark = pytest.mark.virtual


async def test_module_opts_in_with_one_line() -> None:
    """A module with the `virtual` mark runs its tests on virtual time."""
    assert isinstance(asyncio.get_running_loop(), VirtualClockLoop)


async def test_waiting_takes_exactly_the_virtual_time() -> None:
    """A day of sleep ends a virtual day later, to the microsecond, and hardly any CPU later."""
    began, cpu = anyio.current_time(), time.process_time()
    await anyio.sleep(86_400)

    assert anyio.current_time() - began == pytest.approx(86_400, abs=1e-6)
    assert time.process_time() - cpu < 5


async def test_timers_wake_in_order_of_their_time() -> None:
    """Sleepers wake by due time, whatever the order in which they lay down."""
    woken: list[float] = []

    async def sleeper(delay_s: float) -> None:
        await anyio.sleep(delay_s)
        woken.append(delay_s)

    async with anyio.create_task_group() as group:
        for delay_s in (3600.0, 0.001, 60.0, 59.999, 0.5):
            group.start_soon(sleeper, delay_s)

    assert woken == [0.001, 0.5, 59.999, 60.0, 3600.0]


async def test_time_does_not_pass_while_something_can_run() -> None:
    """A thousand turns of the loop take less than a virtual millisecond."""
    began = anyio.current_time()
    for _ in range(1000):
        await anyio.lowlevel.checkpoint()

    assert anyio.current_time() - began < 0.001


async def test_a_timeout_fires_on_virtual_time() -> None:
    """A deadline cuts a wait that would never end."""
    began = anyio.current_time()
    with anyio.move_on_after(120) as scope:
        await anyio.sleep_forever()

    assert scope.cancelled_caught
    assert anyio.current_time() - began == pytest.approx(120, abs=1e-6)


@pytest.mark.parametrize(("rate", "period_s"), [(1, 1 / 7), (5, 1.0), (3, 0.1)])
async def test_a_limiter_neither_spins_nor_rushes(rate: float, period_s: float) -> None:
    """AsyncLimiter holds its rate on virtual time although its timers are re-armed at "now"."""
    limiter = AsyncLimiter(rate, period_s)
    began = anyio.current_time()
    for _ in range(50):
        await limiter.acquire()

    assert anyio.current_time() - began == pytest.approx((50 - rate) * period_s / rate, rel=1e-3)


async def test_time_holds_while_a_worker_thread_is_busy() -> None:
    """No timer fires between the start and the end of a thread's work."""
    woken: list[float] = []

    async def sleeper() -> None:
        await anyio.sleep(1)
        woken.append(anyio.current_time())

    def work() -> list[float]:
        return [anyio.from_thread.run_sync(anyio.current_time) for _ in range(200)]

    async with anyio.create_task_group() as group:
        group.start_soon(sleeper)
        seen = await anyio.to_thread.run_sync(work)
        assert not woken

    assert max(seen) < woken[0]


async def test_time_holds_while_an_executor_is_busy() -> None:
    """`run_in_executor` (name resolution uses it) holds time as well."""
    loop = asyncio.get_running_loop()
    began = loop.time()

    def work() -> list[float]:
        calls = [asyncio.run_coroutine_threadsafe(_now(), loop) for _ in range(50)]
        return [call.result() for call in calls]

    with anyio.move_on_after(1):
        seen = await loop.run_in_executor(None, work)

    assert max(seen) - began < 0.5


async def _now() -> float:
    return anyio.current_time()


async def test_sockets_on_loopback_are_read_before_time_jumps() -> None:
    """Fifty echoes, each two virtual seconds late, take a hundred virtual seconds: no time-out."""

    async def echo(stream: SocketStream) -> None:
        async with stream:
            async for chunk in stream:
                await anyio.sleep(2)
                await stream.send(chunk)

    began = anyio.current_time()
    listener = await anyio.create_tcp_listener(local_host="127.0.0.1")
    port = listener.extra(anyio.abc.SocketAttribute.local_port)
    async with listener, anyio.create_task_group() as group:
        group.start_soon(listener.serve, echo)
        async with await anyio.connect_tcp("127.0.0.1", port) as stream:
            for _ in range(50):
                await stream.send(b"x")
                with anyio.fail_after(2.5):
                    assert await stream.receive() == b"x"

        group.cancel_scope.cancel()

    assert anyio.current_time() - began == pytest.approx(100, abs=0.1)


async def test_every_run_is_the_same_to_the_last_digit() -> None:
    """Two runs of the same program read the same times."""

    async def program() -> list[float]:
        limiter, seen = AsyncLimiter(1, 0.3), []
        for _ in range(20):
            await limiter.acquire()
            seen.append(anyio.current_time())

        return seen

    first, second = await anyio.to_thread.run_sync(
        lambda: (run_virtual(program), run_virtual(program))
    )
    assert first == second


# --- What cannot end is told, not waited for -----------------------------------------------------


def test_a_deadlock_is_told_with_the_line_it_stands_at() -> None:
    """A task that waits for what nobody will do raises `Stalled` with its file."""

    async def stuck() -> None:
        await anyio.Event().wait()

    with pytest.raises(Stalled, match=r"nothing happens.*\n.*test_clock\.py:\d+"):
        run_virtual(stuck, patience=Patience(silence_s=0.01))


def test_spinning_is_told() -> None:
    """A loop that turns for ever without letting time pass raises `Stalled`."""

    async def spins() -> None:
        while True:
            await anyio.lowlevel.checkpoint()

    with pytest.raises(Stalled, match="time did not move"):
        run_virtual(spins, patience=Patience(turns_max=1000))


def test_waiting_for_ever_beside_a_ticking_task_is_told() -> None:
    """A periodic task does not hide that nothing else happens any more."""

    async def ticks() -> None:
        for _ in range(1_000_000):
            await anyio.sleep(600)

    with pytest.raises(Stalled, match="60 virtual days"):
        run_virtual(ticks)
