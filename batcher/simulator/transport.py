"""The simulation in process, behind the port that the real transport stands behind.

Rule: no sockets and no threads, so that a whole run fits into virtual time: the only waiting is
`sleep`, the only clock is `clock`. What a request may meet on its way is raised exactly as the real
transport raises it. Files are read in place: this is for tests and dry runs, not for throughput.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from hashlib import sha256
from pathlib import Path
from typing import Final
from urllib.parse import parse_qsl, unquote, urlsplit

import anyio

from batcher.core.errors import Lost, NotSent
from batcher.core.exchange import FilePart, Request, Response
from batcher.simulator.service import Simulation
from batcher.simulator.wire import HEAD_BYTES, Fate, Received, Reply, Upload

_OWN_HEADERS: Final = {"accept": "application/json", "user-agent": "batcher"}


class SimulatedTransport:
    """Carries requests straight into a `Simulation`. Satisfies `core.exchange.Transport`."""

    def __init__(
        self,
        simulation: Simulation,
        headers: Mapping[str, str],
        *,
        clock: Callable[[], float] = anyio.current_time,
        sleep: Callable[[float], Awaitable[None]] = anyio.sleep,
    ) -> None:
        """Send *headers* with every request: the key, such as `{"X-API-Key": "test-key"}`.

        *clock* counts in seconds; by default it is the event loop's. It is the simulation's time
        and that of `Response.received_at`.
        """
        self._simulation = simulation
        self._headers = _OWN_HEADERS | {name.lower(): value for name, value in headers.items()}
        self._clock = clock
        self._sleep = sleep

    async def send(self, request: Request, *, timeout_s: float) -> Response:
        """Carry one request; raises `NotSent` and `Lost` like the real transport."""
        received = _received(request, self._headers)
        return await self._perform(received, timeout_s)

    async def fetch(
        self, url: str, *, timeout_s: float = 60.0, headers: Mapping[str, str] | None = None
    ) -> Response:
        """Get a result file, without the key, from a URL that a status answer held."""
        origin = self._simulation.files.origin
        if not url.startswith(origin + "/"):
            raise NotSent(f"no such host: {urlsplit(url).netloc}")

        received = _received(Request("GET", url.removeprefix(origin)), headers or {})
        return await self._perform(received, timeout_s)

    async def _perform(self, received: Received, timeout_s: float) -> Response:
        reply = self._simulation.handle(received, self._clock())
        if reply.fate is Fate.NO_CONNECT:
            raise NotSent("connection refused")

        if reply.fate is Fate.HANG or reply.after_s >= timeout_s:
            await self._sleep(timeout_s)
            raise Lost(f"no answer within {timeout_s:g} s")

        if reply.after_s:
            await self._sleep(reply.after_s)

        if reply.fate is not Fate.ANSWER:
            raise Lost("connection reset by peer")

        return self._answer(reply)

    def _answer(self, reply: Reply) -> Response:
        if reply.job is not None:
            reply.job.delivered = True

        return Response(reply.status, reply.body, reply.headers, self._clock())


def _received(request: Request, headers: Mapping[str, str]) -> Received:
    path, _, query = request.path.partition("?")
    files = tuple(_upload(part) for part in request.files)
    headers = {**headers, **{name.lower(): value for name, value in request.headers}}
    if request.form or files:
        headers = {**headers, "content-type": "multipart/form-data; boundary=simulated"}
    elif request.json is not None:
        headers = {**headers, "content-type": "application/json"}

    body = request.json or b""
    sizes = [len(body), *(file.size_bytes for file in files)]
    sizes += [len(name) + len(value) for name, value in request.form]
    return Received(
        method=request.method,
        path=unquote(path),
        query=dict(parse_qsl(query, keep_blank_values=True)),
        headers=headers,
        body=body,
        form=request.form,
        files=files,
        size_bytes=sum(sizes),
    )


def _upload(part: FilePart) -> Upload:
    try:
        content = Path(part.path).read_bytes()
    except OSError as exc:
        raise NotSent(f"cannot read {part.path}: {exc.strerror}") from exc

    return Upload(
        field=part.field,
        filename=part.filename,
        content_type=part.content_type,
        size_bytes=len(content),
        sha256=sha256(content).hexdigest(),
        head=content[:HEAD_BYTES],
    )
