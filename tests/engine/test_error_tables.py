"""Every row of the two vendors' error tables: the outcome, its kind, and what becomes of the run.

The rows are those of Removit's troubleshooting page and of deAPI's error page. One row of a
manifest meets the answer, eight others meet a service at work; so it shows at once what an answer
does to the row that got it and what it does to the rest.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
import pytest

from batcher.core.errors import Lost, NotSent
from batcher.core.exchange import Response
from batcher.core.model import StopReason
from tests.engine.harness import Night, Scripted, row

pytestmark = pytest.mark.virtual

JSON = {"content-type": "application/json"}
HTML = {"content-type": "text/html"}
PAGE = b"<html><body><h1>502 Bad Gateway</h1></body></html>"


@dataclass(frozen=True)
class Case:
    """One answer, and what it must lead to."""

    name: str
    status: int
    body: object
    outcome: str
    kind: str | None = None
    retriable: bool = False
    stop: StopReason | None = None
    times: int = 1  # how often the answer is given
    headers: tuple[tuple[str, str], ...] = ()
    fields: dict[str, list[str]] | None = None

    def answer(self) -> Response:
        """Return the answer as a response."""
        raw = self.body if isinstance(self.body, bytes) else orjson.dumps(self.body)
        base = HTML if isinstance(self.body, bytes) else JSON
        return Response(self.status, raw, {**base, **dict(self.headers)})


def submit(name: str, status: int, body: object, outcome: str, **rest: Any) -> Case:
    """Return a case of an answer to a submit."""
    return Case(name, status, body, outcome, **rest)


DETAILS = {
    "file": ["You must provide either file_url or file"],
    "mode": ["The value you selected is not a valid choice."],
}
UNAUTHORIZED = {"error": "unauthorized", "message": "API key invalid"}

REMOVIT_SUBMIT = [
    submit("202", 202, {"job_id": "job-1", "status": "queued", "mode": "params"}, "succeeded"),
    submit("400", 400, {"error": "bad_request"}, "failed", kind="invalid_request"),
    submit("400 unreadable", 400, b"Bad Request", "failed", kind="invalid_request"),
    submit("401", 401, UNAUTHORIZED, "pending", stop=StopReason.UNAUTHORIZED),
    submit(
        "401 missing",
        401,
        {"error": "unauthorized", "message": "API key missing"},
        "pending",
        stop=StopReason.UNAUTHORIZED,
    ),
    submit(
        "402",
        402,
        {"error": "insufficient_credits"},
        "pending",
        stop=StopReason.OUT_OF_CREDITS,
    ),
    submit(
        "422",
        422,
        {"error": "validation", "details": DETAILS},
        "failed",
        kind="invalid_request",
        fields=DETAILS,
    ),
    submit("503 once", 503, {"error": "credits_service_unavailable"}, "succeeded"),
    submit(
        "503 for good",
        503,
        {"error": "credits_service_unavailable"},
        "exhausted",
        kind="unavailable",
        retriable=True,
        times=3,
    ),
    submit("500", 500, PAGE, "in_doubt", kind="unknown_outcome"),
    submit("502", 502, PAGE, "in_doubt", kind="unknown_outcome"),
    submit("429", 429, {"error": "too_many"}, "succeeded", times=4),
    submit("302", 302, b"", "failed", kind="invalid_request"),
    submit("2xx without id", 202, {"status": "queued"}, "in_doubt", kind="unknown_outcome"),
    submit("2xx unreadable", 202, b'{"job_id":"01', "in_doubt", kind="unknown_outcome"),
]

E4_422 = {
    "message": "The width field must be at least 512. (and 1 more error)",
    "errors": {"width": ["too small"], "height": ["too small"]},
}
E2_422 = {
    "data": None,
    "message": "Validation failed",
    "errors": [{"field": "width", "messages": ["too small"]}],
    "statusCode": 422,
}

DEAPI_SUBMIT = [
    submit("200", 200, {"data": {"request_id": "job-1"}}, "succeeded"),
    submit("401", 401, {"message": "Unauthenticated."}, "pending", stop=StopReason.UNAUTHORIZED),
    submit(
        "401 old envelope",
        401,
        {"data": None, "message": "Unauthorized user.", "errors": [], "statusCode": 401},
        "pending",
        stop=StopReason.UNAUTHORIZED,
    ),
    submit(
        "401 expired key",
        401,
        {"message": "Expired.", "code": "key_expired"},
        "pending",
        stop=StopReason.UNAUTHORIZED,
    ),
    submit("404", 404, {"message": "not found"}, "failed", kind="invalid_request"),
    submit(
        "422",
        422,
        E4_422,
        "failed",
        kind="invalid_request",
        fields={"width": ["too small"], "height": ["too small"]},
    ),
    submit(
        "422 old envelope",
        422,
        E2_422,
        "failed",
        kind="invalid_request",
        fields={"width": ["too small"]},
    ),
    submit(
        "429",
        429,
        {"message": "Too Many Attempts.", "code": "rate_limited"},
        "succeeded",
        headers=(("retry-after", "60"), ("x-ratelimit-type", "minute")),
        times=6,
    ),
    submit(
        "429 of the day",
        429,
        {"message": "Too Many Attempts."},
        "pending",
        stop=StopReason.THROTTLED,
        headers=(("retry-after", "36000"), ("x-ratelimit-type", "daily")),
    ),
    submit("500 with its own body", 500, {"message": "Server Error"}, "succeeded"),
    submit(
        "500 for good",
        500,
        {"message": "Server Error"},
        "exhausted",
        kind="unavailable",
        retriable=True,
        times=3,
    ),
    submit("500 of a gateway", 500, PAGE, "in_doubt", kind="unknown_outcome"),
    submit("502", 502, PAGE, "in_doubt", kind="unknown_outcome"),
    submit("413", 413, PAGE, "failed", kind="invalid_request"),
    submit(
        "403 suspended",
        403,
        {"message": "Your account has been suspended."},
        "pending",
        stop=StopReason.FORBIDDEN,
    ),
    submit("403 edge page", 403, PAGE, "pending", stop=StopReason.FORBIDDEN),
    submit(
        "422 balance",
        422,
        {"message": "Not enough balance.", "errors": {"balance": ["Not enough balance."]}},
        "pending",
        stop=StopReason.OUT_OF_CREDITS,
    ),
    submit(
        "402 key limit",
        402,
        {"message": "limit", "code": "key_limit_exceeded", "limit": 0},
        "pending",
        stop=StopReason.OUT_OF_CREDITS,
    ),
]


def status(name: str, code: int, body: object, outcome: str, **rest: Any) -> Case:
    """Return a case of an answer to a status read."""
    return Case(name, code, body, outcome, **rest)


REJECTED = {"error": "Service unavailable", "code": 503, "status": "rejected", "refund": "done"}
DEAD_KEY = StopReason.UNAUTHORIZED

REMOVIT_STATUS = [
    status("202", 202, b"", "succeeded"),
    status("queued", 200, {"status": "queued"}, "succeeded", times=3),
    status("pending_x", 200, {"status": "pending_x", "state": "pending"}, "succeeded", times=3),
    status("unknown word", 200, {"status": "polishing"}, "succeeded", times=3),
    status("final_url null", 200, {"status": "pending_a", "final_url": None}, "succeeded"),
    status("rejected", 200, REJECTED, "failed", kind="rejected"),
    status("rejected, 503", 503, REJECTED, "failed", kind="rejected"),
    status("404 early", 404, {"error": "not_found"}, "succeeded", times=3),
    status("404 for good", 404, {"error": "not_found"}, "failed", kind="not_found", times=99),
    status("401", 401, UNAUTHORIZED, "accepted", stop=DEAD_KEY),
    status("422", 422, {"error": "validation", "details": {"job_id": ["x"]}}, "succeeded"),
    status("500", 500, PAGE, "succeeded", times=3),
    status("502", 502, PAGE, "succeeded", times=3),
    status("503", 503, {"error": "credits_service_unavailable"}, "succeeded", times=3),
    status(
        "never",
        200,
        {"status": "queued"},
        "exhausted",
        kind="job_timeout",
        retriable=True,
        times=999,
    ),
    status(
        "done without a result",
        200,
        {"status": "done", "state": "done", "final_url": None},
        "exhausted",
        kind="protocol",
        retriable=True,
        times=99,
    ),
]

FAILED_JOB = {
    "status": "error",
    "error_code": "WORKER_TIMEOUT",
    "error_message": "Worker failed to respond",
    "error_reason": "TIMEOUT",
    "retryable": False,
    "refunded": False,
}

DEAPI_STATUS = [
    status("pending", 200, {"data": {"status": "pending", "progress": 0}}, "succeeded", times=3),
    status("processing", 200, {"data": {"status": "processing"}}, "succeeded", times=3),
    status("nothing in it", 200, {"data": {}}, "succeeded", times=2),
    status("error", 200, {"data": FAILED_JOB}, "failed", kind="rejected"),
    status(
        "error, retryable, kept",
        200,
        {"data": {**FAILED_JOB, "retryable": True}},
        "exhausted",
        kind="rejected",
        retriable=True,
    ),
    status(
        "error, retryable, refunded",
        200,
        {"data": {**FAILED_JOB, "retryable": True, "refunded": True}},
        "succeeded",
    ),
    status("failed", 200, {"data": {"status": "failed"}}, "failed", kind="rejected"),
    status("404 early", 404, {"message": "No query results."}, "succeeded", times=2),
    status("401", 401, {"message": "Unauthenticated."}, "accepted", stop=DEAD_KEY),
    status("429", 429, {"message": "Too Many Attempts."}, "succeeded", times=2),
    status("500", 500, {"message": "Server Error"}, "succeeded", times=3),
    status("504", 504, PAGE, "succeeded", times=3),
]


def names(cases: list[Case]) -> list[str]:
    """Return the names of cases."""
    return [case.name for case in cases]


def night(folder: Path, provider: str) -> Night:
    """Return a run of a provider over nine rows against a service at work."""
    run = Night(folder, provider=provider, faults="duration=3", settings={"max_attempts": 3})
    if provider == "deapi":
        run.params = {"task": "generations", "tier": "premium"}
        prompts = {"model": "Flux1schnell", "width": 512, "height": 512, "steps": 4, "guidance": 0}
        run.write_rows(
            [{"id": f"sku-{n}", "prompt": f"{n}", "seed": n, **prompts} for n in range(9)]
        )
    else:
        run.write_rows([row(n) for n in range(9)])

    return run


class OneRow(Scripted):
    """Answers the first row's submits (or its reads) from a list; everything else is simulated."""

    def __init__(self, case: Case, inner: Night, lane: str) -> None:
        super().__init__([], inner.transport)
        self._case = case
        self._lane = lane
        self._left = case.times
        self._first: bytes | str | None = None

    async def send(self, request: Any, *, timeout_s: float) -> Response:
        """Answer."""
        is_submit = request.method == "POST"
        is_question = request.path.endswith("/balance")
        if is_question or is_submit != (self._lane == "submit"):
            return await super().send(request, timeout_s=timeout_s)

        target = request.json if is_submit else request.path
        self._first = self._first or target
        if target == self._first and self._left:
            self._left -= 1
            return self._case.answer()

        return await super().send(request, timeout_s=timeout_s)


async def check(case: Case, folder: Path, provider: str, lane: str) -> None:
    """Run nine rows, of which one meets the answer, and compare."""
    run = night(folder, provider)
    run.transport = OneRow(case, run, lane)
    stop = await run.process(connections=2)

    if case.stop is not None:
        assert stop is not None
        assert stop.reason is case.stop
        assert run.counters()[case.outcome] >= 1
        assert "failed" not in run.counts(), "no row may fail for what is wrong with the account"
        return

    assert stop is None
    expected = (
        {"succeeded": 9} if case.outcome == "succeeded" else {"succeeded": 8, case.outcome: 1}
    )
    assert run.counts() == expected
    record = run.records(case.outcome)[0]
    if case.kind is None:
        assert record["error"] is None
    else:
        assert record["error"]["kind"] == case.kind
        assert record["error"]["retriable"] is case.retriable
        assert record["error"]["message"]
        assert case.fields is None or record["error"]["fields"] == case.fields


@pytest.mark.parametrize("case", REMOVIT_SUBMIT, ids=names(REMOVIT_SUBMIT))
async def test_removit_answers_to_a_submit(case: Case, tmp_path: Path) -> None:
    """Each answer of Removit's table to an upload has its outcome, and only its row is touched."""
    if case.name == "202":  # the job id of the script is unknown to the simulated status
        run = night(tmp_path, "removit")
        await run.process()
        assert run.counts() == {"succeeded": 9}
        return

    await check(case, tmp_path, "removit", "submit")


@pytest.mark.parametrize("case", REMOVIT_STATUS, ids=names(REMOVIT_STATUS))
async def test_removit_answers_to_a_status_read(case: Case, tmp_path: Path) -> None:
    """Each answer of Removit's table to a status read has its outcome."""
    await check(case, tmp_path, "removit", "status")


@pytest.mark.parametrize("case", DEAPI_SUBMIT, ids=names(DEAPI_SUBMIT))
async def test_deapi_answers_to_a_submit(case: Case, tmp_path: Path) -> None:
    """Each answer of deAPI's table to a submit has its outcome, and only its row is touched."""
    if case.name == "200":
        run = night(tmp_path, "deapi")
        await run.process()
        assert run.counts() == {"succeeded": 9}
        return

    await check(case, tmp_path, "deapi", "submit")


@pytest.mark.parametrize("case", DEAPI_STATUS, ids=names(DEAPI_STATUS))
async def test_deapi_answers_to_a_status_read(case: Case, tmp_path: Path) -> None:
    """Each answer of deAPI's table to a status read has its outcome."""
    await check(case, tmp_path, "deapi", "status")


@pytest.mark.parametrize(
    ("failure", "outcome", "kind"),
    [
        (NotSent("connection refused"), "exhausted", "connection"),
        (Lost("connection reset by peer"), "in_doubt", "unknown_outcome"),
        (Lost("no answer within 120 s"), "in_doubt", "unknown_outcome"),
    ],
    ids=["not sent", "reset", "timeout"],
)
async def test_no_answer_at_all(
    failure: Exception, outcome: str, kind: str, tmp_path: Path
) -> None:
    """What never left may be tried again; what may have left is in doubt."""
    run = Night(tmp_path, settings={"max_attempts": 2})
    run.write_rows([row(0)])
    script = Scripted([failure, failure], run.transport)
    run.transport = script
    await run.process()

    assert run.outcomes() == {"sku-0": outcome}
    assert run.records(outcome)[0]["error"]["kind"] == kind
    assert len(script.sent) == (2 if outcome == "exhausted" else 1)
