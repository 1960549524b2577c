"""Why deAPI refuses a call, one check after the other: https://docs.deapi.ai/api/v2/errors.

Rule: the caller keeps the order (edge, key, limits, size, fields, money); each check returns the
answer that refuses, or None to go on. A refused call makes no job and costs nothing.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, Final

from batcher.simulator.api import BODY_BYTES_MAX
from batcher.simulator.call import Call
from batcher.simulator.deapi import form as deapi_form
from batcher.simulator.deapi.catalogue import Task
from batcher.simulator.deapi.errors import error, validation
from batcher.simulator.quota import Limit
from batcher.simulator.wire import Answer, html_answer, json_answer

_JOB_USD: Final = 0.01  # what a job counts where a limit is told in money but counts jobs

# What a 403 says, by the knob; the texts of the last two are not known.
_FORBIDDEN: Final = {
    "suspended": ("Your account has been suspended.", ""),
    "ip_not_allowed": ("This API key may not be used from this IP address.", "ip_not_allowed"),
    "insufficient_permissions": (
        "This API key does not have the required permissions.",
        "insufficient_permissions",
    ),
}


def edge(call: Call) -> Answer | None:
    """Return the edge's page for the user agents that Python's HTTP clients send by themselves."""
    agent = call.received.headers.get("user-agent", "").lower()
    if agent.startswith(("python", "aiohttp")):
        return _blocked()

    return None


def _blocked() -> Answer:
    return html_answer(403, "Access denied | error code: 1010")


def refuse_key(call: Call, *, submits: bool = False) -> Answer | None:
    """Return 403 of the edge, 401, or 403 of the account; None to go on."""
    refusal = edge(call)
    if refusal is not None:
        return refusal

    scheme, _, key = call.received.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not key:
        return error(call, 401, "Unauthenticated.", code="missing_key")

    account = call.account
    if account.is_dead(key) or (submits and account.is_unauthorized()):
        return error(call, 401, "Unauthenticated.", code=account.plan.unauthorized_as)

    if not account.knows_key(key):
        return error(call, 401, "Unauthenticated.", code="invalid_key")

    if submits and account.is_forbidden():
        return _forbidden(call)

    return None


def _forbidden(call: Call) -> Answer:
    what = call.account.plan.forbidden_as
    if what == "page":
        return _blocked()

    text, code = _FORBIDDEN[what]
    return error(call, 403, text, code=code)


def refuse_pace(call: Call, bucket: str, limit: Limit, knob: str = "throttle") -> Answer | None:
    """Count the call into *bucket* and return 429 if it is too many."""
    if not call.is_throttled(bucket, limit, knob):
        return None

    return error(call, 429, "Too Many Attempts.", code="rate_limited")


def refuse_size(call: Call) -> Answer | None:
    """Return 413 for a body that is too large; its form is not documented."""
    plan = call.account.plan
    if call.received.size_bytes <= (plan.body_bytes_max or BODY_BYTES_MAX):
        return None

    if plan.large_as == "page":
        return html_answer(413, "413 Request Entity Too Large")

    return json_answer(413, {"message": "The POST data is too large."})


def refuse_form(call: Call, task: Task) -> Answer | None:
    """Return 422 for the fields of a submit."""
    plan = call.account.plan
    errors = deapi_form.problems(
        task, deapi_form.fitting_form(call, multipart=task.multipart), plan
    )
    if not errors:
        return None

    if plan.era == "e2" and "model" in errors and "exist" in errors["model"][0]:
        return error(call, 404, "Request not found.")

    return validation(call, errors)


def refuse_money(call: Call, price: int) -> Answer | None:
    """Return 422 for the balance or 402 for the limit of the key; *price* in nanos."""
    if not call.account.can_pay(price):
        text = "Not enough balance."
        # Whether the newest form keeps `errors.balance` beside its code is not known: both occur.
        bare = call.account.plan.era == "e5" and call.draw("balance") < 0.5
        errors = None if bare else {"balance": [text]}
        return error(call, 422, text, code="insufficient_balance", errors=errors)

    if call.account.plan.era == "e5" and call.account.is_over_key_limit(call.now_s):
        return _over_key_limit(call)

    return None


def _over_key_limit(call: Call) -> Answer:
    usd = round(call.account.plan.key_limit * _JOB_USD, 2)
    resets_at = call.account.key_resets_at()
    more: dict[str, Any] = {
        "limit": usd,
        "used": usd,
        "remaining": 0,
        "resets_at": resets_at and datetime.fromtimestamp(int(resets_at), UTC).isoformat(),
    }
    text = f"This API key has reached its spend limit of ${usd:.2f}."
    return error(call, 402, text, code="key_limit_exceeded", more=more)
