"""The pump that carries calls to whoever is called, on virtual time."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import anyio
import pytest

from batcher.core.exchange import Request
from batcher.simulator import FaultPlan, SimulatedTransport, Simulation, deliver

pytestmark = pytest.mark.virtual

HEADERS = {"Authorization": "Bearer test-key"}
JSON = (
    b'{"prompt":"%d","model":"Flux1schnell","width":512,"height":512,"steps":4,"seed":1,'
    b'"webhook_url":"https://example.com/in/%d?t=1","webhook_secret":"0123456789012345678901234567890123"}'
)


@dataclass
class Receiver:
    """Hears calls; `answer` says what it does with each."""

    answer: Callable[[str], Awaitable[int | None]]
    heard: list[tuple[float, str, str]] = field(default_factory=list)  # time, path, event

    async def hear(self, path: str, headers: Mapping[str, str], body: bytes) -> int | None:
        """Note a call and answer it."""
        self.heard.append((anyio.current_time(), path, headers["x-deapi-event"]))
        assert body
        return await self.answer(path)


async def accept(path: str) -> int:
    """Take every call."""
    return 204


@asynccontextmanager
async def pumping(simulation: Simulation, receiver: Receiver) -> AsyncIterator[SimulatedTransport]:
    """Run a pump beside a client."""
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(deliver, simulation, receiver.hear, anyio.current_time)
        yield SimulatedTransport(simulation, HEADERS)
        tasks.cancel_scope.cancel()


async def submit(carrier: SimulatedTransport, n: int = 0) -> None:
    """Submit a row that is to be told of."""
    request = Request("POST", "/api/v2/images/generations", json=JSON % (n, n))
    assert (await carrier.send(request, timeout_s=60)).status == 200


def simulation(faults: str = "") -> Simulation:
    """Start deAPI."""
    return Simulation("deapi", FaultPlan.parse(faults))


async def test_calls_come_in_their_time() -> None:
    """Also those of a job that was made while the pump slept for a later one."""
    receiver, world = Receiver(accept), simulation("duration=1000")
    async with pumping(world, receiver) as carrier:
        started = anyio.current_time()
        await submit(carrier, 0)
        await anyio.sleep(50)
        world.plan = FaultPlan.parse("duration=10")
        await submit(carrier, 1)
        await anyio.sleep(2000)

    rounded = [(round(at - started, 1), path, event) for at, path, event in receiver.heard]
    assert rounded == [
        (51, "/in/1?t=1", "job.processing"),
        (60, "/in/1?t=1", "job.completed"),
        (100, "/in/0?t=1", "job.processing"),
        (1000, "/in/0?t=1", "job.completed"),
    ]


async def test_a_receiver_that_is_silent_has_ten_seconds() -> None:
    """Then it has failed and is called again; others are not kept waiting."""

    async def sleep_on_zero(path: str) -> int:
        await anyio.sleep(9.9 if path.startswith("/in/1") else 11)
        return 200

    receiver, world = Receiver(sleep_on_zero), simulation("stuck=1")
    async with pumping(world, receiver) as carrier:
        started = anyio.current_time()
        await submit(carrier, 0)
        await submit(carrier, 1)
        await anyio.sleep(71)

    times = [(round(at - started), path) for at, path, _ in receiver.heard]
    assert times == [(0, "/in/0?t=1"), (0, "/in/1?t=1"), (70, "/in/0?t=1")]
    assert world.ledger.tally["hook 200"] == 1


async def test_at_most_so_many_calls_are_under_way() -> None:
    """A slow receiver is not buried; what is due meanwhile comes as soon as one is answered."""
    busy, most = 0, 0

    async def slowly(path: str) -> int:
        nonlocal busy, most
        busy += 1
        most = max(most, busy)
        await anyio.sleep(5)
        busy -= 1
        return 200

    receiver, world = Receiver(slowly), simulation("stuck=1")
    async with pumping(world, receiver) as carrier:
        for n in range(200):
            await submit(carrier, n)

        await anyio.sleep(21)

    assert (most, len(receiver.heard)) == (64, 200)


async def test_what_a_pump_leaves_the_next_one_delivers() -> None:
    """Cancelled with calls under way and calls due: none is lost, those under way are retried."""

    async def never(path: str) -> int:
        await anyio.sleep_forever()
        return 200

    world, first, second = simulation("stuck=1"), Receiver(never), Receiver(accept)
    async with pumping(world, first) as carrier:
        for n in range(100):
            await submit(carrier, n)

        await anyio.sleep(1)

    assert len(first.heard) == 64
    async with pumping(world, second):
        await anyio.sleep(100)

    assert {path for _, path, _ in second.heard} == {f"/in/{n}?t=1" for n in range(100)}
    assert world.ledger.tally["hook 204"] == 100


async def test_a_pump_without_work_costs_nothing() -> None:
    """It waits for news, not for the clock: a month passes in one step."""
    async with pumping(simulation(), Receiver(accept)):
        await anyio.sleep(30 * 86_400)
