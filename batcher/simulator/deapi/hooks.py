"""deAPI's webhooks: https://docs.deapi.ai/execution-modes-and-integrations/webhooks.

Rule: the body is what the live API sent when the vendor checked it: slashes are escaped, the id is
called `job_request_id`. The signature covers the time and the raw body, and the time is that of the
attempt. Without any secret the signature is empty, as the specification says.
"""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any, Final

import orjson

from batcher.simulator.call import Call
from batcher.simulator.chance import Chance
from batcher.simulator.deapi.catalogue import TASKS
from batcher.simulator.deapi.jobs import failure
from batcher.simulator.faults import FaultPlan
from batcher.simulator.files import Files
from batcher.simulator.hooks import Notice, Target
from batcher.simulator.jobs import started_at
from batcher.simulator.ledger import Job

STALE_S: Final = 600.0  # the age of an attempt that says an old time
_STATUS: Final = {"processing": "processing", "completed": "done", "failed": "error"}
_AT: Final = {"processing": "started_at", "completed": "completed_at", "failed": "failed_at"}


def target_of(call: Call) -> Target | None:
    """Return who is to be called about the job of a submit, as its form says; None = nobody."""
    form = call.form or {}
    url, secret = form.get("webhook_url"), form.get("webhook_secret")
    return Target(str(url), str(secret or "")) if url else None


def compose(
    notice: Notice, plan: FaultPlan, chance: Chance, files: Files
) -> tuple[Mapping[str, str], bytes]:
    """Return headers and body of one attempt, with its blemishes."""
    event = f"job.{notice.event}"
    content = {
        "event": event,
        "delivery_id": notice.delivery_id,
        "timestamp": _stamp(notice.at, plan.era),
        "data": _data(notice, plan, chance, files),
    }
    body = orjson.dumps(content).replace(b"/", b"\\/")
    if "hook_garbled" in notice.blemishes:
        body = body[: len(body) // 2]

    stale_s = STALE_S if "hook_stale" in notice.blemishes else 0.0
    timestamp = str(int(notice.sent_at - stale_s))
    return {
        "content-type": "application/json",
        "user-agent": "DeAPI-Webhook/1.0",
        "x-deapi-event": event,
        "x-deapi-delivery-id": notice.delivery_id,
        "x-deapi-timestamp": timestamp,
        "x-deapi-signature": _signature(notice, timestamp, body),
    }, body


def _signature(notice: Notice, timestamp: str, body: bytes) -> str:
    if not notice.secret or "hook_unsigned" in notice.blemishes:
        return ""

    secret = notice.secret + ("?" if "hook_bad_signature" in notice.blemishes else "")
    digest = hmac.new(secret.encode(), f"{timestamp}.".encode() + body, sha256)
    return f"sha256={digest.hexdigest()}"


def _data(notice: Notice, plan: FaultPlan, chance: Chance, files: Files) -> dict[str, Any]:
    job, event = notice.job, notice.event
    data: dict[str, Any] = {
        "job_request_id": job.id,
        "status": _STATUS[event],
        "previous_status": "pending" if event == "processing" else "processing",
        "job_type": _job_type(job, plan.era),
        _AT[event]: _stamp(notice.at, plan.era),
    }
    match event:
        case "completed":
            data |= _result(job, notice.at, files)
        case "failed":
            data |= failure(job, plan, chance)

    return data


def _result(job: Job, at: float, files: Files) -> dict[str, Any]:
    url = None if job.course.hollow_reads else files.url(job, f"result.{job.order.format}", at)
    took_s = job.done_at - started_at(job)
    return {"result_url": url, "processing_time_ms": round(took_s * 1000)}


def _job_type(job: Job, era: str) -> str:
    slug = TASKS[job.order.task].slug
    return slug.replace("-", "_") if era == "e2" else slug


def _stamp(at: float, era: str) -> str:
    """Return a time as the live API writes it, or as the older pages printed it."""
    moment = datetime.fromtimestamp(int(at), UTC)
    return moment.strftime("%Y-%m-%dT%H:%M:%S.000Z") if era == "e2" else moment.isoformat()
