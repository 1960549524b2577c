"""Why deAPI refuses a call, one check after the other: https://docs.deapi.ai/api/v2/errors.

Rule: the caller keeps the order (edge, key, limits, size, fields, money); each check returns the
answer that refuses, or None to go on. A refused call makes no job and costs nothing.
"""

from __future__ import annotations

from typing import Any, Final

from batcher.simulator import deapi_form
from batcher.simulator.api import BODY_BYTES_MAX
from batcher.simulator.call import Call
from batcher.simulator.deapi_catalogue import Task
from batcher.simulator.deapi_errors import error, validation
from batcher.simulator.quota import Limit
from batcher.simulator.wire import Answer, html_answer

# Below it nothing is accepted: https://docs.deapi.ai/api/v2/utilities/balance
MINIMUM_USD: Final = 0.49
PRICE_USD: Final = 0.01  # of every job here


def edge(call: Call) -> Answer | None:
    """Return the edge's page for the user agents that Python's HTTP clients send by themselves."""
    agent = call.received.headers.get("user-agent", "").lower()
    if agent.startswith(("python", "aiohttp")):
        return html_answer(403, "Access denied | error code: 1010")

    return None


def refuse_key(call: Call) -> Answer | None:
    """Return 403 of the edge, 401, or 403 of a suspended account; None to go on."""
    refusal = edge(call)
    if refusal is not None:
        return refusal

    scheme, _, key = call.received.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not key:
        return error(call, 401, "Unauthenticated.", code="missing_key")

    if not call.account.knows_key(key):
        return error(call, 401, "Unauthenticated.", code="invalid_key")

    if call.received.method == "POST" and call.account.is_unauthorized():
        return error(call, 401, "Unauthenticated.", code="key_revoked")

    if call.received.method == "POST" and call.account.is_forbidden():
        return error(call, 403, "Your account has been suspended.")

    return None


def refuse_pace(call: Call, bucket: str, limit: Limit, knob: str = "throttle") -> Answer | None:
    """Count the call into *bucket* and return 429 if it is too many."""
    if not call.is_throttled(bucket, limit, knob):
        return None

    return error(call, 429, "Too Many Attempts.", code="rate_limited")


def refuse_form(call: Call, task: Task) -> Answer | None:
    """Return 413 or 422 for the body of a submit."""
    if call.received.size_bytes > BODY_BYTES_MAX:
        return html_answer(413, "413 Request Entity Too Large")

    kind = call.received.headers.get("content-type", "")
    fits = kind.startswith("multipart/form-data" if task.multipart else "application/json")
    errors = deapi_form.problems(task, (call.form or {}) if fits else {})
    if not errors:
        return None

    if call.account.plan.era == "e2" and "model" in errors and "exist" in errors["model"][0]:
        return error(call, 404, "Request not found.")

    return validation(call, errors)


def balance_usd(call: Call) -> float:
    """Return the balance: one cent above the minimum for every further job that it pays."""
    left = call.account.credits_left()
    return 19.72 if left is None else round(MINIMUM_USD + (left - 1) * PRICE_USD, 2)


def refuse_money(call: Call) -> Answer | None:
    """Return 422 for the balance or 402 for the limit of the key."""
    if call.account.credits_left() == 0:
        text = "Not enough balance."
        # Whether the newest form keeps `errors.balance` beside its code is not known: both occur.
        bare = call.account.plan.era == "e5" and call.draw("balance") < 0.5
        errors = None if bare else {"balance": [text]}
        return error(call, 422, text, code="insufficient_balance", errors=errors)

    if call.account.plan.era == "e5" and call.account.is_over_key_limit():
        usd = round(call.account.plan.key_limit * PRICE_USD, 2)
        more: dict[str, Any] = {"limit": usd, "used": usd, "remaining": 0, "resets_at": None}
        text = f"This API key has reached its spend limit of ${usd:.2f}."
        return error(call, 402, text, code="key_limit_exceeded", more=more)

    return None
