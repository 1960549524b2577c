"""The list of an account's jobs, as an API could have it: the knob `listing` switches it on.

    GET /jobs?cursor=40        {"data": [{"id": "…", "client_reference": "…"}], "next": "60"}

Rule: a job is in it only so many seconds after it was made. A job says what its submit carried in
`Client-Reference`. Jobs stand in the order in which they were made, so that a cursor stays true.
"""

from __future__ import annotations

from itertools import islice
from typing import Final

from batcher.simulator.call import Call
from batcher.simulator.wire import Answer, Received, json_answer

LISTING_PATH: Final = "/jobs"
MARK_HEADER: Final = "client-reference"
MARK_CHARS_MAX: Final = 64
PAGE_JOBS: Final = 20


def answer_list(call: Call) -> Answer:
    """Return a page of the list, or 401, 405, 429 or 500."""
    account, received = call.account, call.received
    if received.method != "GET":
        return json_answer(405, {"error": "method_not_allowed"})

    if not account.knows_key(_key_of(received)):
        return json_answer(401, {"error": "unauthorized"})

    if call.strikes("question_throttle"):
        return json_answer(429, {"error": "too_many_requests"}, {"retry-after": "1"})

    cursor = received.query.get("cursor", "0")
    if call.strikes("question_error") or not cursor.isdecimal():
        return json_answer(500, {"error": "internal_error"})

    return _page(call, int(cursor))


def _page(call: Call, begin: int) -> Answer:
    seen_until = call.now_s - call.account.plan.listing
    jobs = islice(call.account.ledger.jobs.values(), begin, None)
    page = [job for job in islice(jobs, PAGE_JOBS + 1) if job.created_at <= seen_until]
    data = [{"id": job.id, "client_reference": job.mark or None} for job in page[:PAGE_JOBS]]
    is_last = len(page) <= PAGE_JOBS
    return json_answer(200, {"data": data, "next": None if is_last else str(begin + PAGE_JOBS)})


def mark_of(received: Received) -> str:
    """Return what the job of a submit is to be known by."""
    return received.headers.get(MARK_HEADER, "")[:MARK_CHARS_MAX]


def _key_of(received: Received) -> str:
    scheme, _, token = received.headers.get("authorization", "").partition(" ")
    return received.headers.get("x-api-key", token if scheme.lower() == "bearer" else "")
