"""deAPI's own calls (webhooks): which of them are believed, and what they say.

    X-DeAPI-Signature: sha256=<hex HMAC-SHA256 of `timestamp + "." + raw body`>
    X-DeAPI-Timestamp: 1786102994       X-DeAPI-Event: job.completed       X-DeAPI-Delivery-Id: …

Rule: nothing of a call is read before its signature holds, and only what is signed is believed: the
body, not the headers beside it. deAPI calls without a signature where no secret is set; such a call
is refused like a forged one. A call proves no more than that a job is worth a look.

Source: https://docs.deapi.ai/execution-modes-and-integrations/webhooks and the OpenAPI file.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Mapping
from typing import Any, Final

from batcher.core.secret import Secret
from batcher.core.verdict import BadCall, CallVerdict, JobEvent
from batcher.providers import reading
from batcher.providers.deapi import answers as deapi_answers

AGE_S_MAX: Final = 300.0  # either way: an old call may be a replay, a clock may be wrong
_TIMESTAMP = re.compile(r"\d{1,12}", re.ASCII)
_PREFIX: Final = "job."


class DeApiCalls:
    """The calls of one account, signed with the secret of the run."""

    def read(
        self, headers: Mapping[str, str], body: bytes, *, secret: Secret, now: float
    ) -> CallVerdict:
        """Say what a call means: header names in lower case, the raw body, epoch seconds.

        Never raises. The body is hashed as it came: it has escaped slashes, and a copy that was
        decoded and written anew has another signature.
        """
        refusal = _refusal(headers, body, secret.reveal(), now)
        return _event(headers, body) if refusal is None else BadCall(refusal)


def _refusal(headers: Mapping[str, str], body: bytes, secret: str, now: float) -> str | None:
    """Say why a call is not believed, or return None."""
    timestamp, signature = (
        headers.get(f"x-deapi-{name}", "") for name in ("timestamp", "signature")
    )
    if not signature:
        return "it is not signed"

    if not secret:
        return "there is no secret to check it with"

    if not _TIMESTAMP.fullmatch(timestamp):
        return "its timestamp is missing or unreadable"

    if abs(now - int(timestamp)) > AGE_S_MAX:
        return f"its timestamp is more than {AGE_S_MAX:.0f} s away from this machine's time"

    if not hmac.compare_digest(_as_bytes(signature), signed(secret, timestamp, body)):
        return "its signature is not ours"

    return None


def signed(secret: str, timestamp: str, body: bytes) -> bytes:
    """Return the signature that deAPI puts on a body."""
    message = timestamp.encode() + b"." + body
    return b"sha256=" + hmac.new(_as_bytes(secret), message, hashlib.sha256).hexdigest().encode()


def _as_bytes(text: str) -> bytes:
    """Encode any text at all: a header may hold what is no Unicode."""
    return text.encode("utf-8", "surrogatepass")


def _event(headers: Mapping[str, str], body: bytes) -> CallVerdict:
    """Read a call that is proved to be the API's. Printed are bodies with and without `data`."""
    call = reading.json_object(body)
    data = reading.as_object(call.get("data"))
    job_id = _job_id(data) or _job_id(call)
    if job_id is None:
        return BadCall("it names no job")

    event = reading.word_of(call.get("event")).removeprefix(_PREFIX)
    words = (reading.word_of(place.get("status")) for place in (data, call))
    # The signature stands in for an id that is missing: the same call again has the same one.
    names = (call.get("delivery_id"), headers.get("x-deapi-delivery-id"))
    delivery_id = next((text for text in map(reading.text_of, names) if text), None)
    word = next((word for word in words if word), event)
    delivery_id = delivery_id or reading.text_of(headers["x-deapi-signature"])
    return JobEvent(job_id, word, delivery_id, is_end=word not in deapi_answers.PENDING)


def _job_id(data: Mapping[str, Any]) -> str | None:
    """Return the job that a call is about: REST and websocket name it by another key."""
    found = (reading.job_id_of(data.get(key)) for key in ("job_request_id", "request_id"))
    return next((job_id for job_id in found if job_id is not None), None)
