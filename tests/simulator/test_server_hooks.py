"""The server's webhooks over real sockets: to the tunnel's end on this machine, or nowhere."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp
import anyio
from aiohttp import web

from batcher.simulator import FaultPlan, Simulation, serve
from tests.simulator.test_deapi import GENERATION
from tests.simulator.test_server import BEARER

HOOK = {"webhook_url": "https://hooks.invalid/a%2Fb%7E?token=%20x", "webhook_secret": "s" * 32}


class Receiver:
    """A web server that notes what it is sent, and answers with its next status."""

    def __init__(self, *statuses: int) -> None:
        self.requests: list[tuple[str, str, bytes, str]] = []
        self._statuses = list(statuses)
        self._came = anyio.Event()

    async def answer(self, request: web.BaseRequest) -> web.Response:
        """Note a request."""
        body, agent = await request.read(), request.headers["User-Agent"]
        self.requests.append((request.method, request.raw_path, body, agent))
        self._came.set()
        status = self._statuses.pop(0) if self._statuses else 200
        return web.Response(status=status, headers={"Location": "/elsewhere"})

    async def wait_for(self, count: int) -> None:
        """Wait until so many requests have come."""
        with anyio.fail_after(20):
            while len(self.requests) < count:
                self._came = anyio.Event()
                await self._came.wait()


@asynccontextmanager
async def listening(receiver: Receiver) -> AsyncIterator[str]:
    """Serve a receiver and give its origin."""
    runner = web.ServerRunner(web.Server(receiver.answer), access_log=None)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


@asynccontextmanager
async def serving(faults: str, via: str | None) -> AsyncIterator[tuple[str, Simulation]]:
    """Serve a simulation and give its address."""
    simulation = Simulation("deapi", FaultPlan.parse(faults))
    ready, urls = anyio.Event(), list[str]()

    def on_ready(url: str) -> None:
        urls.append(url)
        ready.set()

    async def run() -> None:
        await serve(simulation, on_ready=on_ready, webhook_via=via)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(run)
        await ready.wait()
        yield urls[0], simulation
        tasks.cancel_scope.cancel()


async def submit(base_url: str) -> None:
    """Submit a row that is to be told of."""
    async with (
        aiohttp.ClientSession(base_url, headers=BEARER) as session,
        session.post("/api/v2/images/generations", json=GENERATION | HOOK) as response,
    ):
        assert response.status == 200, await response.text()


async def test_a_call_goes_through_the_tunnel_with_its_path_and_query() -> None:
    """POST to the origin on this machine, nothing of the URL but path and query changed."""
    receiver = Receiver()
    async with listening(receiver) as via, serving("", via) as (base_url, _):
        await submit(base_url)
        await receiver.wait_for(2)

    assert {(method, path) for method, path, _, _ in receiver.requests} == {
        ("POST", "/a%2Fb%7E?token=%20x")
    }
    assert all(b"job_request_id" in body for _, _, body, _ in receiver.requests)
    assert {agent for *_, agent in receiver.requests} == {"DeAPI-Webhook/1.0"}


async def test_a_redirect_is_a_failure_and_not_followed() -> None:
    """The same call comes again, to the same place."""
    receiver = Receiver(302, 302)
    faults = "stuck=1,hook_retry_scale=0"
    async with listening(receiver) as via, serving(faults, via) as (base_url, simulation):
        await submit(base_url)
        await receiver.wait_for(3)

    assert {path for _, path, _, _ in receiver.requests} == {"/a%2Fb%7E?token=%20x"}
    assert simulation.ledger.tally["hook 302"] == 2


async def test_without_a_tunnel_and_with_a_dead_one_no_call_arrives() -> None:
    """The simulator talks to nobody else: the attempt has failed."""
    receiver = Receiver()
    async with listening(receiver) as dead:
        pass

    for via in (None, dead):
        async with serving("stuck=1", via) as (base_url, simulation):
            await submit(base_url)
            with anyio.fail_after(20):
                while not simulation.ledger.tally["hook no answer"]:
                    await submit(base_url)

    assert receiver.requests == []
