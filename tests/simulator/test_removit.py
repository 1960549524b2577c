"""Removit's simulator against https://removit.eu/en/docs: every row of its tables."""

from __future__ import annotations

from typing import Any

import pytest

from batcher.simulator import FaultPlan, Received, Reply, Upload
from tests.simulator.calls import RemovitCalls, body_of, photo

URL = "https://example.com/a.jpg"


@pytest.fixture
def api() -> RemovitCalls:
    """Start Removit without faults."""
    return RemovitCalls.with_faults()


def fields_in_error(reply: Reply) -> set[str]:
    """Return the fields that a 422 names."""
    body = body_of(reply)
    assert (reply.status, body["error"]) == (422, "validation")
    assert all(isinstance(text, str) for texts in body["details"].values() for text in texts)
    return set(body["details"])


# --- Auth -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "headers",
    [{"x-api-key": "test-key"}, {"authorization": "Bearer test-key"}],
)
def test_both_forms_of_the_key_open_both_endpoints(headers: dict[str, str]) -> None:
    """The key counts as `X-API-Key` and as a bearer token."""
    api = RemovitCalls.with_faults()
    api.headers = headers
    job_id = api.job()
    assert api.status(job_id).status == 200


@pytest.mark.parametrize(
    ("headers", "message"),
    [
        ({}, "API key missing"),
        ({"authorization": "Basic dGVzdA=="}, "API key missing"),
        ({"x-api-key": "wrong"}, "API key invalid"),
        ({"authorization": "Bearer wrong"}, "API key invalid"),
    ],
)
def test_no_key_and_a_wrong_key_are_told_apart(
    api: RemovitCalls, headers: dict[str, str], message: str
) -> None:
    """401 on both endpoints, before the body is looked at."""
    api.headers = headers
    for reply in (api.raw(b"{"), api.status(None)):
        assert reply.status == 401
        assert body_of(reply) == {"error": "unauthorized", "message": message}

    assert api.simulation.ledger.jobs == {}


# --- Upload: what it takes ------------------------------------------------------------------------


def test_an_upload_is_accepted_with_its_id_and_mode_alone(api: RemovitCalls) -> None:
    """202 with `job_id`, `status`, `mode` and nothing more."""
    reply = api.upload(file_url=URL)
    body = body_of(reply)
    assert reply.status == 202
    assert body == {"job_id": body["job_id"], "status": "queued", "mode": "clipping"}
    assert len(body["job_id"]) == 36


@pytest.mark.parametrize(
    "fields",
    [
        {"mode": "background"},
        {"mode": "params", "params": "Test-Api"},
        {"mode": "params", "params": {"shadow": {"on": True}}},
        {"params": None},
        {"delivery_mode": "final_url", "output_format": "jpeg"},
        *({"output_format": word} for word in ("png", "jpg", "psd", "tiff", "webp")),
    ],
)
def test_every_documented_value_is_taken(api: RemovitCalls, fields: dict[str, Any]) -> None:
    """The closed sets of the upload page, as JSON."""
    assert api.upload(file_url=URL, **fields).status == 202


@pytest.mark.parametrize(
    "content_type",
    [
        "image/png",
        "image/jpeg",
        "image/webp",
        "image/gif",
        "image/avif",
        "image/tiff",
        "image/x-tiff",
        "application/tiff",
        "image/vnd.adobe.photoshop",
        "application/vnd.adobe.photoshop",
        "image/svg+xml",
    ],
)
def test_a_file_of_a_listed_type_is_taken(api: RemovitCalls, content_type: str) -> None:
    """The MIME list of the upload page, as multipart."""
    reply = api.send_file(photo(content_type=content_type), mode="params", params='{"a": 1}')
    assert reply.status == 202


# --- Upload: what it refuses ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "content_type"),
    [
        (b'{"file_url":', "application/json"),
        (b"[1]", "application/json"),
        (b"null", "application/json"),
        (b"", "application/json"),
        (b"file_url=https%3A%2F%2Fexample.com", "application/x-www-form-urlencoded"),
        (b"{}", "text/plain"),
        (b"{}", ""),
    ],
)
def test_a_body_that_is_not_what_it_says_is_400(
    api: RemovitCalls, body: bytes, content_type: str
) -> None:
    """Only a JSON object and multipart are read."""
    assert api.raw(body, content_type).status == 400


@pytest.mark.parametrize(
    ("fields", "wrong"),
    [
        ({}, {"file"}),
        ({"file_url": None}, {"file"}),
        ({"file_url": URL, "file": "a.png"}, {"file"}),
        ({"file": "a.png"}, {"file"}),
        ({"file_url": URL, "mode": "clip"}, {"mode"}),
        ({"file_url": URL, "mode": None}, {"mode"}),
        ({"mode": "clip"}, {"file", "mode"}),
        ({"file_url": URL, "mode": "params"}, {"params"}),
        ({"file_url": URL, "mode": "params", "params": None}, {"params"}),
        ({"file_url": URL, "mode": "params", "params": " "}, {"params"}),
        ({"file_url": URL, "mode": "params", "params": 7}, {"params"}),
        ({"file_url": URL, "params": "{broken"}, {"params"}),
        ({"file_url": URL, "delivery_mode": "urls"}, {"delivery_mode"}),
        ({"file_url": URL, "output_format": "gif"}, {"output_format"}),
        ({"file_url": URL, "output_format": ["png"]}, {"output_format"}),
        ({"file_url": URL, "id": "sku-1"}, {"id"}),
    ],
)
def test_each_field_error_stands_under_its_field(
    api: RemovitCalls, fields: dict[str, Any], wrong: set[str]
) -> None:
    """422 names exactly the fields that are wrong, and makes no job."""
    assert fields_in_error(api.upload(**fields)) == wrong
    assert api.simulation.ledger.jobs == {}


def test_the_two_printed_messages_are_word_for_word(api: RemovitCalls) -> None:
    """The error page prints these two."""
    assert body_of(api.upload(mode="clip"))["details"] == {
        "file": ["You must provide either file_url or file"],
        "mode": ["The value you selected is not a valid choice."],
    }


@pytest.mark.parametrize(
    "url",
    [
        "",
        "a.jpg",
        "//example.com/a.jpg",
        "ftp://example.com/a.jpg",
        "https://",
        "https://example.com:port/a.jpg",
        "https://example.com/a b.jpg",
        "https://example.com/a\n.jpg",
        "http://localhost/a.jpg",
        "http://127.0.0.1:8000/a.jpg",
        "http://10.0.0.1/a.jpg",
        "http://[::1]/a.jpg",
        "http://[broken/a.jpg",
        7,
    ],
)
def test_a_url_that_nobody_outside_can_reach_is_422(api: RemovitCalls, url: object) -> None:
    """`file_url` is absolute, http or https, and public."""
    assert fields_in_error(api.upload(file_url=url)) == {"file_url"}


@pytest.mark.parametrize(
    "upload",
    [
        photo(content_type="image/bmp"),
        photo(content_type="application/octet-stream"),
        photo(size=0),
    ],
)
def test_a_file_of_another_type_or_without_content_is_422(
    api: RemovitCalls, upload: Upload
) -> None:
    """The file's MIME type is on the list, and there is something in it."""
    assert fields_in_error(api.send_file(upload)) == {"file"}


def test_multipart_with_both_sources_or_none_is_422(api: RemovitCalls) -> None:
    """`file` and `file_url` exclude each other, and one is needed."""
    assert fields_in_error(api.send_file(photo(), file_url=URL)) == {"file"}
    assert fields_in_error(api.send_file(None, mode="clipping")) == {"file"}


def test_money_is_asked_after_the_fields(api: RemovitCalls) -> None:
    """401, 400, 422, 402, 503: in this order, and a top-up opens the account again."""
    api = RemovitCalls.with_faults("credits=1")
    api.job()
    assert api.upload(mode="clip").status == 422
    reply = api.upload(file_url=URL)
    assert (reply.status, body_of(reply)) == (402, {"error": "insufficient_credits"})
    api.simulation.top_up(1)
    assert api.upload(file_url=URL).status == 202
    assert api.upload(file_url=URL).status == 402


def test_an_unavailable_credit_service_makes_no_job() -> None:
    """503 `credits_service_unavailable` is proof that nothing was made."""
    api = RemovitCalls.with_faults("503=1")
    reply = api.upload(file_url=URL)
    assert (reply.status, body_of(reply)) == (503, {"error": "credits_service_unavailable"})
    assert api.simulation.ledger.jobs == {}


def test_other_routes_and_methods_are_refused(api: RemovitCalls) -> None:
    """There are two routes, with one method each."""
    for method, path, status in [
        ("GET", "/api/v1/upload", 405),
        ("POST", "/api/v1/status", 405),
        ("GET", "/api/v1/jobs", 404),
        ("POST", "/upload", 404),
    ]:
        assert api.simulation.handle(Received(method, path), 0.0).status == status


# --- Status ---------------------------------------------------------------------------------------


def test_status_needs_an_id_that_it_knows(api: RemovitCalls) -> None:
    """422 without `job_id`, 404 for an unknown one."""
    assert fields_in_error(api.status(None)) == {"job_id"}
    reply = api.status("019cdc54-2673-dc32-b9e5-6e1d36cc9e8a")
    assert (reply.status, body_of(reply)) == (404, {"error": "not_found"})


def test_a_job_goes_from_queued_over_compose_to_done() -> None:
    """The words over time, with the progress; `final_url` is null until the end."""
    api = RemovitCalls.with_faults("duration=100")
    job_id = api.job(delivery_mode="final_url", output_format="webp")
    seen = [body_of(api.status(job_id, after_s=age)) for age in (0, 33, 99.9, 100)]
    assert [(body["status"], body["state"], body["progress"]) for body in seen] == [
        ("queued", "pending", 0),
        ("pending_compose", "pending", 33),
        ("pending_compose", "pending", 99),
        ("done", "done", 100),
    ]
    assert [body["final_url"] for body in seen[:3]] == [None, None, None]
    assert "/clipping.webp?" in seen[3]["final_url"]
    assert "final_urls" not in seen[3]


def test_url_delivery_names_every_variation(api: RemovitCalls) -> None:
    """The default delivery gives `final_urls`; a parameter set has several, the modes have one."""
    body = body_of(api.status(api.job(mode="params", params="Test-Api", output_format="webp")))
    assert set(body["final_urls"]) == {"background", "compose", "shadowTop", "clipping"}
    assert "final_url" not in body
    body = body_of(api.status(api.job(mode="background")))
    assert set(body["final_urls"]) == {"background"}
    assert "warnings" not in body


def test_a_partial_success_is_done_with_warnings() -> None:
    """The names in the warnings are not those among the URLs."""
    api = RemovitCalls.with_faults("partial=1")
    body = body_of(api.status(api.job(mode="params", params="x")))
    assert body["state"] == "done"
    assert body["warnings"] == {"shadow_wall": ["params not provided"]}
    assert body["ignored_variations"] == ["shadow_wall"]
    assert set(body["final_urls"]) == {"background", "compose", "clipping"}


def test_a_state_that_cannot_be_seen_yet_is_202() -> None:
    """Right after the upload, with a body that promises nothing; then the usual."""
    api = RemovitCalls.with_faults("lag=3,duration=1")
    job_id = api.job()
    assert [api.status(job_id, after_s=age).status for age in (0, 2.9, 3)] == [202, 202, 200]
    assert body_of(api.status(job_id, after_s=1)) == {}


def test_a_job_may_be_missing_at_first() -> None:
    """404 for a while after the 202, whatever the job will become."""
    api = RemovitCalls.with_faults("missing_s=5")
    job_id = api.job()
    assert [api.status(job_id, after_s=age).status for age in (0, 4.9, 5)] == [404, 404, 200]


@pytest.mark.parametrize(
    ("faults", "word", "refunded"),
    [
        ("", "done", True),
        ("refund_already=1", "already_done", True),
        ("refund_unconfirmed=1", "not_confirmed", False),
        ("refund_none=1", None, False),
    ],
)
@pytest.mark.parametrize("http", [200, 503])
def test_a_rejected_job_says_503_inside_under_either_code(
    faults: str, word: str | None, refunded: bool, http: int
) -> None:
    """The payload is the same under HTTP 200 and 503; the ledger books the refund once."""
    api = RemovitCalls.with_faults(f"rejected=1,rejected_503={int(http == 503)},{faults}")
    job_id = api.job()
    for _ in range(2):
        reply = api.status(job_id)
        expected = {"error": "Service unavailable", "code": 503, "status": "rejected"}
        assert reply.status == http
        assert body_of(reply) == expected | ({} if word is None else {"refund": word})

    assert api.simulation.ledger.jobs[job_id].refunded is refunded
    assert api.simulation.ledger.counts()["refunded"] == int(refunded)


def test_a_refund_pays_for_another_job() -> None:
    """The credit of a refunded job can be spent again, of an unrefunded one not."""
    for refund, status in (("", 202), (",refund_none=1", 402)):
        api = RemovitCalls.with_faults("credits=1,rejected=1" + refund)
        api.status(api.job())
        assert api.upload(file_url=URL).status == status


def test_stuck_forgotten_hollow_and_strange_jobs() -> None:
    """Never done; never known; done without a result for a while; words that nobody knows."""
    api = RemovitCalls.with_faults("stuck=1")
    assert body_of(api.status(api.job(), after_s=1e9))["state"] == "pending"

    api = RemovitCalls.with_faults("forgotten=1")
    assert api.status(api.job(), after_s=1e9).status == 404

    api = RemovitCalls.with_faults("hollow=1,hollow_reads=2")
    job_id = api.job()
    bodies = [body_of(api.status(job_id)) for _ in range(3)]
    assert [body["state"] for body in bodies] == ["done"] * 3
    assert [bool(body.get("final_url") or body.get("final_urls")) for body in bodies] == [0, 0, 1]

    api = RemovitCalls.with_faults("duration=100,unknown_word=1")
    body = body_of(api.status(api.job(), after_s=50))
    assert body["status"] not in ("queued", "done", "rejected")
    assert not body["status"].startswith("pending_")


def test_a_read_may_end_in_any_of_the_documented_5xx() -> None:
    """500, 502 and 503 occur on status, and as a page if the plan says so."""
    api = RemovitCalls.with_faults("status_error=1")
    job_ids = [api.job(file_url=f"https://example.com/{n}.jpg") for n in range(20)]
    assert {api.status(job_id).status for job_id in job_ids} == {500, 502, 503}
    api.simulation.plan = FaultPlan.parse("status_error=1,html=1")
    reply = api.status(job_ids[0])
    assert reply.status == 502
    assert reply.headers["content-type"].startswith("text/html")


def test_limits_of_the_plan_are_429_with_retry_after() -> None:
    """Removit documents none, but a client must cope with them on either lane."""
    api = RemovitCalls.with_faults("submits_per_minute=2,status_per_minute=1")
    job_id = api.job()
    api.job()
    api.now_s += 20
    reply = api.upload(file_url=URL)
    assert (reply.status, reply.headers["retry-after"]) == (429, "40")
    assert api.status(job_id).status == 200
    assert api.status(job_id).status == 429
    assert api.upload(file_url=URL).status == 429
    api.now_s += 40
    assert api.upload(file_url=URL).status == 202
