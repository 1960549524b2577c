"""What a test or a curious person asks of a running simulator: `/_simulator/…`, without a key.

GET  ledger     everything that arrived and was made
GET  counts     the totals only
GET  account    what the account holds (USD, credits), was charged and was refunded
GET  plan       the fault plan in force, as text
POST plan       another one, as the text that the command line takes
POST credits    how many more jobs are paid for, where `credits` counts jobs
POST usd        how many more dollars are paid in, such as 9.50
POST keys       the keys that are taken from now on, one a line; all others are dead
"""

from __future__ import annotations

import re
from typing import Final

import orjson
from aiohttp import web

from batcher.core.errors import UsageError
from batcher.core.money import amount
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
        case "GET", "account":
            return _account(simulation)
        case "GET", "plan":
            return web.Response(text=str(simulation.plan))
        case "POST", "plan":
            return _change_plan(simulation, text)
        case "POST", "credits":
            return _top_up(simulation, text)
        case "POST", "usd":
            return _top_up_usd(simulation, text)
        case "POST", "keys":
            return _change_keys(simulation, text)
        case _:
            known = "GET ledger, counts, account, plan; POST plan, credits, usd, keys"
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


def _top_up_usd(simulation: Simulation, text: str) -> web.Response:
    if not re.fullmatch(r"[0-9]{1,9}(\.[0-9]{1,9})?", text):
        return web.Response(status=400, text="the body is an amount in USD, such as 9.50")

    simulation.top_up_usd(float(text))
    return _account(simulation)


def _change_keys(simulation: Simulation, text: str) -> web.Response:
    keys = tuple(text.split())
    if not keys:
        return web.Response(status=400, text="the body is one key or more, one a line")

    simulation.keys = keys
    return _json(orjson.dumps({"keys": len(keys)}))


def _account(simulation: Simulation) -> web.Response:
    ledger = simulation.ledger
    known = {
        "balance_usd": simulation.balance_usd,
        "credits_left": simulation.credits_left,
        "charged_usd": amount(ledger.charged_nanos),
        "refunded_usd": amount(ledger.refunded_nanos),
    }
    return _json(orjson.dumps(known))


def _json(body: bytes) -> web.Response:
    return web.Response(body=body, content_type="application/json")
