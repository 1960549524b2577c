"""What a test or a curious person asks of a running simulator: `/_simulator/…`, without a key.

GET  ledger     everything that arrived and was made
GET  counts     the totals only
GET  plan       the fault plan in force, as text
POST plan       another one, as the text that the command line takes
POST credits    how many more jobs are paid for
"""

from __future__ import annotations

from typing import Final

import orjson
from aiohttp import web

from batcher.core.errors import UsageError
from batcher.simulator.faults import FaultPlan
from batcher.simulator.service import Simulation

ADMIN_PATH: Final = "/_simulator/"


async def answer_admin(simulation: Simulation, request: web.BaseRequest) -> web.Response:
    """Answer one admin request; 400 says what is wrong with its body."""
    text = (await request.read()).decode("utf-8", "replace").strip()
    match request.method, request.path.removeprefix(ADMIN_PATH):
        case "GET", "ledger":
            return _json(simulation.ledger.as_json())
        case "GET", "counts":
            return _json(orjson.dumps(simulation.ledger.counts()))
        case "GET", "plan":
            return web.Response(text=str(simulation.plan))
        case "POST", "plan":
            return _change_plan(simulation, text)
        case "POST", "credits":
            return _top_up(simulation, text)
        case _:
            known = "GET ledger, counts, plan; POST plan, credits"
            return web.Response(status=404, text=f"below {ADMIN_PATH} there are: {known}")


def _change_plan(simulation: Simulation, text: str) -> web.Response:
    try:
        simulation.plan = FaultPlan.parse(text)
    except UsageError as exc:
        return web.Response(status=400, text=str(exc))

    return web.Response(text=str(simulation.plan))


def _top_up(simulation: Simulation, text: str) -> web.Response:
    if not text.isdecimal():
        return web.Response(status=400, text="the body is a whole number of jobs, such as 100")

    simulation.top_up(int(text))
    return _json(orjson.dumps({"credits_left": simulation.credits_left}))


def _json(body: bytes) -> web.Response:
    return web.Response(body=body, content_type="application/json")
