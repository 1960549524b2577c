"""deAPI's error bodies, in the three forms that its pages have printed over time.

Rule: `e2` is the old envelope (`data`, `errors` as a list, `statusCode`), `e4` what the vendor
checked against the running API (`message`, and `errors` as an object on 422), `e5` is `e4` with a
machine word `code` for some errors. Sources: https://docs.deapi.ai/api/v2/errors and
https://docs.deapi.ai/api-keys.md.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from batcher.simulator.call import Call
from batcher.simulator.wire import HTML_HEADERS, Answer, html_answer, json_answer

FieldErrors = Mapping[str, list[str]]

_OLD_MESSAGES: Final = {
    401: "Unauthorized user.",
    404: "Request not found.",
    422: "Validation failed",
    500: "Internal server error",
}


def error(
    call: Call,
    status: int,
    message: str,
    *,
    code: str = "",
    errors: FieldErrors | None = None,
    more: Mapping[str, object] | None = None,
) -> Answer:
    """Return an error in the form of the plan's era.

    Without `Accept: application/json`, which the specification marks as required, the frame behind
    the API answers a browser: a page, or a redirect for 401 and 422.
    """
    if "json" not in call.received.headers.get("accept", ""):
        return _for_browser(status, message)

    match call.account.plan.era:
        case "e2":
            body = _envelope(status, message, errors)
        case "e4":
            body = _plain(message, errors)
        case _:
            body = _plain(message, errors) | ({"code": code} if code else {}) | dict(more or {})

    return json_answer(status, body)


def validation(call: Call, errors: FieldErrors, *, code: str = "") -> Answer:
    """Return 422 for these fields; the message repeats the first error and counts the others."""
    messages = [message for listed in errors.values() for message in listed]
    others = len(messages) - 1
    plural = "s" if others > 1 else ""
    summary = messages[0] + (f" (and {others} more error{plural})" if others else "")
    return error(call, 422, summary, code=code, errors=errors)


def server_error(call: Call) -> Answer:
    """Return the documented 500, or a gateway's page."""
    if call.strikes("html"):
        return html_answer(502, "502 Bad Gateway")

    return error(call, 500, "Server Error")


def _envelope(status: int, message: str, errors: FieldErrors | None) -> dict[str, Any]:
    listed = [{"field": name, "messages": texts} for name, texts in (errors or {}).items()]
    text = _OLD_MESSAGES.get(status, message)
    return {"data": None, "message": text, "errors": listed, "statusCode": status}


def _plain(message: str, errors: FieldErrors | None) -> dict[str, Any]:
    return {"message": message} | ({"errors": errors} if errors else {})


def _for_browser(status: int, message: str) -> Answer:
    if status not in (401, 422):
        return html_answer(status, message)

    target = "/login" if status == 401 else "/"
    page = (
        f'<!DOCTYPE html><html><body>Redirecting to <a href="{target}">{target}</a></body></html>'
    )
    return Answer(302, page.encode(), {**HTML_HEADERS, "location": target})
