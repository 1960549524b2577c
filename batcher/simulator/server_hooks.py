"""The simulation's calls over HTTP, to one origin of this machine.

Rule: a simulator talks to nobody else. It takes the URL of a webhook for its path and query and
calls `via` in its place, as a tunnel would; without `via` no call arrives anywhere.
"""

from __future__ import annotations

import time
from collections.abc import Mapping

from aiohttp import ClientError, ClientSession, ClientTimeout
from yarl import URL

from batcher.simulator.hooks import ANSWER_S
from batcher.simulator.pump import deliver
from batcher.simulator.service import Simulation


async def call_out(simulation: Simulation, via: str | None) -> None:
    """Deliver until cancelled. *via* is an origin, such as `http://127.0.0.1:8099`."""
    async with ClientSession(timeout=ClientTimeout(total=ANSWER_S)) as session:

        async def hear(path: str, headers: Mapping[str, str], body: bytes) -> int | None:
            return None if via is None else await _post(session, via + path, headers, body)

        await deliver(simulation, hear, time.time)


async def _post(
    session: ClientSession, url: str, headers: Mapping[str, str], body: bytes
) -> int | None:
    try:
        async with session.post(
            URL(url, encoded=True), data=body, headers=headers, allow_redirects=False
        ) as response:
            return response.status
    except (ClientError, OSError, TimeoutError):
        return None
