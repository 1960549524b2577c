"""The simulation over HTTP, on a port of this machine.

Rule: the hot path is one handler without router, middleware or access log; an upload is hashed
while it streams in and never held. A dropped answer is a real one: the connection is reset.
"""

from __future__ import annotations

import socket
import struct
import time
from collections.abc import Callable

import anyio
from aiohttp import web

from batcher.core.errors import UsageError
from batcher.simulator.admin import ADMIN_PATH, answer_admin
from batcher.simulator.body import read_received
from batcher.simulator.server_hooks import call_out
from batcher.simulator.service import Simulation
from batcher.simulator.wire import Fate, Reply

# On the way out: answers under way get this long; hanging ones never end by themselves.
_SHUTDOWN_S = 0.5


async def serve(
    simulation: Simulation,
    host: str = "127.0.0.1",
    port: int = 0,
    *,
    on_ready: Callable[[str], None],
    files_port: int | None = None,
    webhook_via: str | None = None,
) -> None:
    """Serve *simulation* until cancelled; call *on_ready* with the base URL once it listens.

    Port 0 takes a free one. Result files come from the same origin, or from *files_port*, if given,
    as from a host of their own. Webhooks go to the origin *webhook_via* (`http://127.0.0.1:8099`)
    in the place of their own; without it none arrives. Raises `UsageError` if a port cannot be had.
    """
    # Cancellation: an answer that hangs or waits ends with its client, not with the server.
    server = web.Server(_Carrier(simulation).answer, handler_cancellation=True)
    runner = web.ServerRunner(server, access_log=None, shutdown_timeout=_SHUTDOWN_S)
    await runner.setup()
    try:
        base_url = await _listen(runner, host, port)
        simulation.files.origin = base_url
        if files_port is not None:
            simulation.files.origin = await _listen(runner, host, files_port)

        on_ready(base_url)
        await call_out(simulation, webhook_via)
    finally:
        with anyio.CancelScope(shield=True):
            await runner.cleanup()


async def _listen(runner: web.ServerRunner, host: str, port: int) -> str:
    try:
        await web.TCPSite(runner, host, port, backlog=1024).start()
    except OSError as exc:
        raise UsageError(f"cannot listen on {host}:{port}: {exc.strerror}") from exc

    bound = runner.addresses[-1][1]
    return f"http://{_REACHABLE.get(host, f'[{host}]' if ':' in host else host)}:{bound}"


# Where a server that listens on every address can be reached from here.
_REACHABLE = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}  # noqa: S104  # not bound by us: as told


class _Carrier:
    """Turns requests into `Received` and performs replies."""

    def __init__(self, simulation: Simulation) -> None:
        self._simulation = simulation

    async def answer(self, request: web.BaseRequest) -> web.StreamResponse:
        if request.path.startswith(ADMIN_PATH):
            return await answer_admin(self._simulation, request)

        received = await read_received(request)
        reply = self._simulation.handle(received, time.time())
        if reply.after_s:
            await anyio.sleep(reply.after_s)

        if reply.fate is Fate.ANSWER:
            return await _send(request, reply)

        if reply.fate is Fate.HANG:
            await anyio.sleep_forever()  # until the client goes away or the server stops

        if reply.fate is Fate.CUT:
            await _send_half(request, reply)

        _reset(request)
        return web.Response()  # goes nowhere: the connection is gone


async def _send(request: web.BaseRequest, reply: Reply) -> web.StreamResponse:
    response = web.Response(status=reply.status, body=reply.body, headers=reply.headers)
    if reply.job is not None:
        # Written here, not by the caller, so that "delivered" is never said of a lost connection.
        await response.prepare(request)
        await response.write_eof()
        reply.job.delivered = True

    return response


async def _send_half(request: web.BaseRequest, reply: Reply) -> None:
    headers = {**reply.headers, "content-length": str(len(reply.body))}
    response = web.StreamResponse(status=reply.status, headers=headers)
    await response.prepare(request)
    await response.write(reply.body[: len(reply.body) // 2])


def _reset(request: web.BaseRequest) -> None:
    """Break the connection at once, with a reset rather than an orderly end."""
    transport = request.transport
    if transport is None:
        return

    connection = transport.get_extra_info("socket")
    if connection is not None:
        linger = struct.pack("ii", 1, 0)  # on, for 0 seconds: close() then sends RST
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)

    transport.abort()
