"""deAPI's simulator against https://docs.deapi.ai/api/v2: every row of its tables."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from batcher.simulator import FaultPlan, Received, Reply
from tests.simulator.calls import DeApiCalls, body_of, photo, png_head

GENERATION: dict[str, Any] = {
    "prompt": "a shoe",
    "model": "Flux1schnell",
    "width": 512,
    "height": 512,
    "steps": 4,
    "seed": -1,
}


@pytest.fixture
def api() -> DeApiCalls:
    """Start deAPI without faults."""
    return DeApiCalls.with_faults()


def fields_in_error(reply: Reply) -> set[str]:
    """Return the fields that a 422 names."""
    body = body_of(reply)
    assert reply.status == 422
    assert set(body) == {"message", "errors"}
    assert all(isinstance(text, str) for texts in body["errors"].values() for text in texts)
    return set(body["errors"])


# --- Edge and auth --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "agent", ["Python/3.11 aiohttp/3.14.5", "python-requests/2.32", "Python-urllib/3.11"]
)
def test_the_edge_bans_pythons_own_user_agents(api: DeApiCalls, agent: str) -> None:
    """A page with 403 comes before anything else, on every route."""
    api.headers = {"user-agent": agent}
    for reply in (api.remove(), api.read("x"), api.get("/api/v2/models"), api.get("/nowhere")):
        assert reply.status == 403
        assert b"1010" in reply.body
        assert reply.headers["content-type"].startswith("text/html")


@pytest.mark.parametrize(
    ("authorization", "code"),
    [
        ("", "missing_key"),
        ("Basic test-key", "missing_key"),
        ("Bearer nobody", "invalid_key"),
        ("Bearer dpn-sk-test-key", "invalid_key"),
    ],
)
def test_no_key_and_a_wrong_key_are_401_with_their_code(
    api: DeApiCalls, authorization: str, code: str
) -> None:
    """401 comes before validation, limits and money, on every route that needs a key."""
    api.headers = {**api.headers, "authorization": authorization}
    for reply in (api.generate(), api.read("x"), api.get("/api/v2/account/balance")):
        assert reply.status == 401
        assert body_of(reply) == {"message": "Unauthenticated.", "code": code}


def test_without_accept_the_frame_answers_a_browser(api: DeApiCalls) -> None:
    """`Accept: application/json` is required: else errors are redirects and pages."""
    api.headers = {"user-agent": "batcher/1", "accept": "*/*"}
    reply = api.remove()
    assert (reply.status, reply.headers["location"]) == (302, "/login")
    api.headers = {**api.headers, "authorization": "Bearer test-key"}
    assert api.remove(model="none").status == 302
    assert api.read("none").headers["content-type"].startswith("text/html")
    assert api.remove().status == 200


# --- Submits --------------------------------------------------------------------------------------


def test_a_submit_answers_200_with_the_request_id_alone(api: DeApiCalls) -> None:
    """Not 201, not 202; no price and no state."""
    reply = api.remove()
    body = body_of(reply)
    assert reply.status == 200
    assert body == {"data": {"request_id": body["data"]["request_id"]}}
    assert len(body["data"]["request_id"]) == 36


def test_every_task_takes_its_documented_fields(api: DeApiCalls) -> None:
    """The minimum and the full set of fields of each endpoint."""
    image = (photo(),)
    webhook = {"webhook_url": "https://example.com/hook", "webhook_secret": "s" * 32}
    edit = {"prompt": "red", "model": "Flux_2_Klein_4B_BF16", "steps": "4", "seed": "7"}
    lora = {"loras[0][name]": "x", "loras[0][weight]": "0.5"}
    replies = [
        api.remove(**webhook),
        api.multipart("upscales", image, model="RealESRGAN_x4"),
        api.multipart("ocr", image, model="Nanonets_Ocr_S_F16"),
        api.multipart(
            *("ocr", image),
            model="Nanonets_Ocr_S_F16",
            language="en",
            format="json",
            return_result_in_response="1",
        ),
        api.multipart("edits", image, **edit),
        api.multipart("edits", image * 3, name="images[]", **edit, **lora, width="512"),
        api.generate(**GENERATION),
        api.generate(
            **GENERATION,
            guidance=0,
            negative_prompt=None,
            loras=[{"name": "x", "weight": 0.5}],
            quality="high",
            enhance_prompt=False,
        ),
    ]
    assert [reply.status for reply in replies] == [200] * len(replies)


@pytest.mark.parametrize(
    ("form", "wrong"),
    [
        ({"model": ""}, {"model"}),
        ({"model": "RMBG-1.4"}, {"model"}),
        ({"model": "RealESRGAN_x4"}, {"model"}),
        ({"scale": "4"}, {"scale"}),
        ({"mode": "clipping"}, {"mode"}),
        ({"webhook_url": "http://example.com"}, {"webhook_url"}),
        ({"webhook_url": "https://example.com/" + "a" * 2048}, {"webhook_url"}),
        ({"webhook_secret": "s" * 32}, {"webhook_url"}),
        ({"webhook_url": "https://example.com", "webhook_secret": "s"}, {"webhook_secret"}),
    ],
)
def test_each_field_error_of_a_removal_stands_under_its_field(
    api: DeApiCalls, form: dict[str, str], wrong: set[str]
) -> None:
    """422 names exactly the fields that are wrong, and makes no job."""
    assert fields_in_error(api.remove(**form)) == wrong
    assert api.simulation.ledger.jobs == {}


@pytest.mark.parametrize(
    ("change", "wrong"),
    [
        ({"prompt": ""}, {"prompt"}),
        ({"width": None, "height": None}, {"width", "height"}),
        ({"width": "512"}, set()),
        ({"width": 128}, {"width"}),
        ({"width": 4096}, {"width"}),
        ({"width": 513}, {"width"}),
        ({"width": 512.5}, {"width"}),
        ({"width": True}, {"width"}),
        ({"steps": 0}, {"steps"}),
        ({"steps": 11}, {"steps"}),
        ({"steps": 5, "model": "Flux_2_Klein_4B_BF16"}, {"steps"}),
        ({"guidance": 7.5}, {"guidance"}),
        ({"guidance": "much"}, {"guidance"}),
        ({"seed": "x"}, {"seed"}),
        ({"loras": [{"name": "x"}]}, {"loras"}),
        ({"loras": [{"name": "x", "weight": -1}]}, {"loras"}),
        ({"enhance_prompt": "yes"}, {"enhance_prompt"}),
        ({"model": "Ben2"}, {"model"}),
        ({"model": 7}, {"model"}),
        ({"image": "a.png"}, {"image"}),
    ],
)
def test_each_field_error_of_a_generation_stands_under_its_field(
    api: DeApiCalls, change: dict[str, Any], wrong: set[str]
) -> None:
    """The fields' kinds, and the limits of the model."""
    reply = api.generate(**(GENERATION | change))
    assert (fields_in_error(reply) if wrong else reply.status) == (wrong or 200)


@pytest.mark.parametrize(
    "bad",
    [
        photo(name="a.tiff", content_type="image/tiff"),
        photo(name="a.png", content_type="application/octet-stream"),
        photo(name="a.txt", content_type="image/png"),
        photo(size=0),
        photo(size=10_000_001),
        replace(photo(), head=png_head(63, 100)),
        replace(photo(), head=png_head(100, 5001)),
    ],
)
def test_an_image_of_another_kind_or_size_is_422(api: DeApiCalls, bad: Any) -> None:
    """JPG, PNG, GIF, BMP or WebP, at most 10 MB, 64 to 5000 pixels a side."""
    assert fields_in_error(api.remove(bad)) == {"image"}
    assert api.remove(replace(photo(), head=png_head(64, 5000))).status == 200


def test_images_are_counted_and_exclude_each_other(api: DeApiCalls) -> None:
    """An edit takes `image` or `images[]`, as many as the model; a removal takes one."""
    edit = {"prompt": "red", "model": "QwenImageEdit_Plus_NF4", "steps": "9", "seed": "7"}
    two = (photo(), photo("b.png"))
    assert fields_in_error(api.multipart("edits", (), **edit)) == {"image"}
    assert fields_in_error(api.multipart("edits", two, name="images[]", **edit)) == {"images[]"}
    assert fields_in_error(api.multipart("background-removals", two, model="Ben2")) == {"image"}
    assert fields_in_error(api.multipart("upscales", (), model="RealESRGAN_x4")) == {"image"}


def test_a_body_of_the_wrong_kind_lacks_every_field(api: DeApiCalls) -> None:
    """Multipart where JSON is due, broken JSON, JSON where multipart is due: all fields missing."""
    assert "prompt" in fields_in_error(api.multipart("generations", (), prompt="x"))
    headers = {**api.headers, "content-type": "application/json"}
    for task, missing in (("generations", "prompt"), ("background-removals", "image")):
        path = f"/api/v2/images/{task}"
        reply = api.simulation.handle(Received("POST", path, {}, headers, b'{"prompt":'), 0.0)
        assert missing in fields_in_error(reply)


def test_the_message_counts_the_further_errors(api: DeApiCalls) -> None:
    """First error, then how many more there are."""
    one = body_of(api.generate(**(GENERATION | {"width": 128})))
    assert one["message"] == "The width field must be at least 256."
    three = body_of(api.generate(**(GENERATION | {"width": 128, "height": 128, "steps": 99})))
    assert three["message"] == "The width field must be at least 256. (and 2 more errors)"


def test_a_request_over_75_mb_is_413_before_its_fields(api: DeApiCalls) -> None:
    """The whole body is limited, at the edge: the answer is a page."""
    reply = api.remove(photo(size=75_000_001), model="none")
    assert reply.status == 413
    assert reply.headers["content-type"].startswith("text/html")


def test_unknown_routes_and_methods(api: DeApiCalls) -> None:
    """404 for a route that is none (pages of the documentation are none), 405 for a method."""
    assert api.get("/api/v2/utilities/balance").status == 404
    assert api.get("/api/v1/client/jobs/x").status == 404
    assert api.get("/api/v1/client/img-rmbg").status == 405
    assert api.get("/api/v2/images/edits").status == 405
    assert api.multipart("img-rmbg", (photo(),)).status == 404
    assert "message" in body_of(api.get("/api/v2/jobs/"))


# --- Money ----------------------------------------------------------------------------------------


def test_a_low_balance_is_422_by_one_sign_or_the_other() -> None:
    """`errors.balance` or `code: insufficient_balance`; a top-up lets the same request pass."""
    api = DeApiCalls.with_faults("credits=0")
    bodies = [body_of(api.remove(photo(f"{n}.png"))) for n in range(20)]
    assert {body["code"] for body in bodies} == {"insufficient_balance"}
    assert {"errors" in body for body in bodies} == {True, False}
    assert all(body.get("errors", {"balance": []}).keys() == {"balance"} for body in bodies)
    assert fields_in_error(api.remove(scale="4")) == {"scale"}
    api.simulation.top_up(1)
    assert api.remove().status == 200


def test_the_balance_falls_below_the_minimum_with_the_last_job() -> None:
    """Below 0.49 USD nothing is accepted, as the balance page says."""
    api = DeApiCalls.with_faults("credits=1")
    path = "/api/v2/account/balance"
    assert body_of(api.get(path)) == {"data": {"balance": 0.49}}
    api.job()
    assert body_of(api.get(path)) == {"data": {"balance": 0.48}}


def test_a_keys_limit_is_402_and_a_refund_lifts_it() -> None:
    """`key_limit_exceeded` with its numbers; a failed and refunded job gives its cost back."""
    api = DeApiCalls.with_faults("key_limit=1,rejected=1")
    job_id = api.job()
    reply = api.remove()
    body = body_of(reply)
    assert (reply.status, body["code"]) == (402, "key_limit_exceeded")
    assert (body["limit"], body["remaining"], body["resets_at"]) == (0.01, 0, None)
    api.read(job_id)
    assert api.remove().status == 200


def test_an_api_key_may_not_ask_for_the_balance() -> None:
    """403 `insufficient_permissions` in the newest era; before it, keys had no roles."""
    path = "/api/v2/account/balance"
    reply = DeApiCalls.with_faults("role=api").get(path)
    assert (reply.status, body_of(reply)["code"]) == (403, "insufficient_permissions")
    assert DeApiCalls.with_faults("role=api,era=e4").get(path).status == 200


def test_a_dead_key_and_a_suspended_account() -> None:
    """401 or 403 from a given job on: for submits only, or for everything."""
    api = DeApiCalls.with_faults("unauthorized_from=2")
    job_id = api.job()
    assert body_of(api.remove())["code"] == "key_revoked"
    assert api.read(job_id).status == 200

    api = DeApiCalls.with_faults("forbidden_from=1")
    reply = api.remove()
    assert (reply.status, body_of(reply)) == (403, {"message": "Your account has been suspended."})

    api = DeApiCalls.with_faults("key_dead_from=2")
    job_id = api.job()
    assert [api.remove().status, api.read(job_id).status] == [401, 401]


# --- Limits ---------------------------------------------------------------------------------------


def test_the_basic_tier_and_its_headers() -> None:
    """5 removals a minute, 100 a day, told by headers; the sixth has to wait."""
    api = DeApiCalls.with_faults("tier=basic")
    headers = [api.remove().headers for _ in range(5)][-1]
    told = {name: headers[f"x-ratelimit-{name}"] for name in ("limit", "remaining", "daily-limit")}
    assert told == {"limit": "5", "remaining": "0", "daily-limit": "100"}
    assert headers["x-ratelimit-daily-remaining"] == "95"
    assert headers["x-ratelimit-reset"] == str(int(api.now_s) + 60)
    assert headers["x-ratelimit-source"] == "tier"
    assert headers["x-ratelimit-policy"] == "5;w=60, 100;w=86400"
    assert "retry-after" not in headers

    reply = api.remove()
    assert reply.status == 429
    assert body_of(reply) == {"message": "Too Many Attempts.", "code": "rate_limited"}
    assert reply.headers["x-ratelimit-type"] == "minute"
    assert reply.headers["retry-after"] == "60"
    api.now_s += 60
    assert api.remove().status == 200


def test_the_day_has_its_own_limit_and_wait() -> None:
    """The 101st removal of a day is refused until the day is over, whatever the minute says."""
    api = DeApiCalls.with_faults("tier=basic")
    for _ in range(20):
        assert [api.remove().status for _ in range(5)] == [200] * 5
        api.now_s += 60

    reply = api.remove()
    assert (reply.status, reply.headers["x-ratelimit-type"]) == (429, "daily")
    assert int(reply.headers["retry-after"]) == 86_400 - 20 * 60


def test_limits_count_before_validation_but_not_for_others() -> None:
    """A 422 uses up quota; each task and the status reads have their own."""
    api = DeApiCalls.with_faults("tier=basic")
    assert [api.remove(scale="4").status for _ in range(6)] == [422] * 5 + [429]
    assert api.multipart("upscales", (photo(),), model="RealESRGAN_x4").status == 200
    reply = api.read("unknown")
    assert (reply.status, reply.headers["x-ratelimit-daily-limit"]) == (404, "200")


def test_the_newest_premium_limits_belong_to_models() -> None:
    """Per model in E5 (unknown models count to the tier), one number for all in E4."""
    api = DeApiCalls.with_faults("tier=premium")
    headers = api.remove().headers
    assert (headers["x-ratelimit-limit"], headers["x-ratelimit-source"]) == ("300", "model")
    assert headers["x-ratelimit-policy"] == "300;w=60, 100000;w=86400"
    headers = api.remove(model="none").headers
    assert (headers["x-ratelimit-policy"], headers["x-ratelimit-source"]) == ("300;w=60", "tier")

    headers = DeApiCalls.with_faults("tier=premium,era=e4").remove().headers
    assert (headers["x-ratelimit-limit"], headers["x-ratelimit-source"]) == ("300", "tier")
    assert not {"x-ratelimit-reset", "x-ratelimit-policy"} & headers.keys()


def test_a_drawn_429_may_lack_its_wait() -> None:
    """60 seconds by default, another number by the plan, or nothing at all."""
    headers = DeApiCalls.with_faults("429=1,tier=basic").remove().headers
    assert (headers["retry-after"], headers["x-ratelimit-remaining"]) == ("60", "0")
    assert DeApiCalls.with_faults("429=1,retry_after_s=2").remove().headers["retry-after"] == "2"
    assert "retry-after" not in DeApiCalls.with_faults("429=1,bare_429=1").remove().headers
    assert DeApiCalls.with_faults("status_throttle=1").read("x").status == 429


# --- Error eras -----------------------------------------------------------------------------------


def test_the_old_envelope() -> None:
    """E2: `data`, `errors` as a list and `statusCode`; an unknown model is 404."""
    api = DeApiCalls.with_faults("era=e2")
    assert body_of(api.remove(scale="4")) == {
        "data": None,
        "message": "Validation failed",
        "errors": [{"field": "scale", "messages": ["The scale field is prohibited."]}],
        "statusCode": 422,
    }
    assert body_of(api.read("x"))["message"] == "Request not found."
    assert api.remove(model="none").status == 404
    api.headers = {**api.headers, "authorization": ""}
    assert body_of(api.remove()) == {
        "data": None,
        "message": "Unauthorized user.",
        "errors": [],
        "statusCode": 401,
    }


def test_the_middle_era_has_no_code() -> None:
    """E4: `message`, and `errors` on 422 alone."""
    api = DeApiCalls.with_faults("era=e4,429=1")
    assert body_of(api.remove()) == {"message": "Too Many Attempts."}
    api = DeApiCalls.with_faults("era=e4,credits=0")
    assert body_of(api.remove()) == {
        "message": "Not enough balance.",
        "errors": {"balance": ["Not enough balance."]},
    }


def test_a_500_is_json_or_a_page() -> None:
    """`Server Error` of the API, or 502 of the gateway before it; 503 likewise."""
    reply = DeApiCalls.with_faults("error_before=1").remove()
    assert (reply.status, body_of(reply)) == (500, {"message": "Server Error"})
    reply = DeApiCalls.with_faults("error_before=1,html=1").remove()
    assert (reply.status, reply.headers["content-type"][:9]) == (502, "text/html")
    assert DeApiCalls.with_faults("503=1").remove().status == 503
    assert DeApiCalls.with_faults("status_error=1").read("x").status == 500


# --- Jobs -----------------------------------------------------------------------------------------


def test_a_job_goes_from_pending_over_processing_to_done() -> None:
    """The words over time; the result and its alternates come with `done`, freshly signed."""
    api = DeApiCalls.with_faults("duration=100,url_expires_s=60")
    job_id = api.job()
    replies = [api.read(job_id, after_s=age) for age in (0, 45.5, 100, 101)]
    assert [reply.status for reply in replies] == [200] * 4
    jobs = [body_of(reply)["data"] for reply in replies]
    assert [(job["status"], job["progress"]) for job in jobs] == [
        ("pending", 0),
        ("processing", 45.5),
        ("done", 100),
        ("done", 100),
    ]
    assert jobs[1]["result_url"] is None
    assert set(jobs[2]["results_alt_formats"]) == {"jpg", "webp"}
    assert jobs[2]["result_url"] != jobs[3]["result_url"]


def test_a_failed_job_is_never_an_http_error() -> None:
    """200 with `error`, its reason and what became of the money, the same at every read."""
    api = DeApiCalls.with_faults("rejected=1,retryable=1")
    job_id = api.job()
    reply = api.read(job_id)
    job = body_of(reply)["data"]
    assert (reply.status, job["status"]) == (200, "error")
    assert (job["retryable"], job["refunded"], job["result_url"]) == (True, True, None)
    assert job["failed_at"] == "2027-01-15T08:00:00+00:00"
    assert body_of(api.read(job_id, after_s=99))["data"] == job

    api = DeApiCalls.with_faults("rejected=1,refund_unconfirmed=1")
    assert body_of(api.read(api.job()))["data"]["refunded"] is False
    api = DeApiCalls.with_faults("rejected=1,refund_none=1,era=e2")
    job = body_of(api.read(api.job()))["data"]
    assert job["status"] == "failed"
    assert "refunded" not in job


def test_reasons_of_failures_are_an_open_list() -> None:
    """Among the reasons there is one that nobody documented."""
    api = DeApiCalls.with_faults("rejected=1")
    job_ids = [str(body_of(api.remove(photo(f"{n}.png")))["data"]["request_id"]) for n in range(40)]
    reasons = {body_of(api.read(job_id))["data"]["error_reason"] for job_id in job_ids}
    assert {"TIMEOUT", "MOON_PHASE"} <= reasons


def test_text_comes_inline_when_asked_for(api: DeApiCalls) -> None:
    """OCR gives a file, and the text itself with `return_result_in_response`."""
    for inline in ("true", "false"):
        reply = api.multipart(
            "ocr", (photo(),), model="Nanonets_Ocr_S_F16", return_result_in_response=inline
        )
        job = body_of(api.read(body_of(reply)["data"]["request_id"]))["data"]
        assert "result.txt?" in job["result_url"]
        assert job["results_alt_formats"] is None
        assert (job["result"] is not None) is (inline == "true")


def test_partner_models_tell_their_price(api: DeApiCalls) -> None:
    """They are settled after the job; native models do not speak of money."""
    for model, told in (("gpt-image-2", True), ("ZImageTurbo_INT8", False)):
        reply = api.generate(**(GENERATION | {"model": model}))
        job = body_of(api.read(body_of(reply)["data"]["request_id"]))["data"]
        assert ("price" in job) is told


def test_a_job_may_be_missing_at_first_or_for_good() -> None:
    """404 right after the submit, or always; and words and empty results that nobody expects."""
    api = DeApiCalls.with_faults("lag=5")
    job_id = api.job()
    assert [api.read(job_id, after_s=age).status for age in (0, 4.9, 5)] == [404, 404, 200]

    api = DeApiCalls.with_faults("forgotten=1")
    assert api.read(api.job(), after_s=1e6).status == 404

    api = DeApiCalls.with_faults("hollow=1")
    job_id = api.job()
    jobs = [body_of(api.read(job_id))["data"] for _ in range(2)]
    assert [(job["status"], bool(job["result_url"])) for job in jobs] == [("done", 0), ("done", 1)]

    api = DeApiCalls.with_faults("duration=10,unknown_word=1")
    word = body_of(api.read(api.job(), after_s=5))["data"]["status"]
    assert word not in ("pending", "processing", "done", "error")


# --- Models ---------------------------------------------------------------------------------------


def test_the_catalogue_filters_and_pages(api: DeApiCalls) -> None:
    """`limit` up to 50, `page`, a filter; `per_page` is ignored, unknown words find nothing."""
    path = "/api/v2/models"
    everything = body_of(api.get(path))
    assert everything["meta"]["per_page"] == 25
    assert {type(model["info"]) for model in everything["data"]} == {dict, list}

    found = body_of(api.get(path, {"filter[inference_types]": "img-rmbg,img-upscale"}))["data"]
    assert [model["slug"] for model in found] == ["Ben2", "RealESRGAN_x4"]
    assert body_of(api.get(path, {"filter[inference_types]": "none"}))["data"] == []

    second = body_of(api.get(path, {"limit": "4", "page": "2", "per_page": "100"}))
    assert second["data"] == everything["data"][4:8]
    assert (second["meta"]["last_page"], second["meta"]["per_page"]) == (3, 4)
    assert body_of(api.get(path, {"limit": "999"}))["meta"]["per_page"] == 50


def test_the_account_routes_have_limits_in_the_newest_era() -> None:
    """600 a minute for the balance, for every tier; none before E5."""
    path = "/api/v2/account/balance"
    headers = DeApiCalls.with_faults("tier=basic").get(path).headers
    assert (headers["x-ratelimit-limit"], headers["x-ratelimit-source"]) == ("600", "static")
    api = DeApiCalls.with_faults("tier=basic")
    api.simulation.plan = FaultPlan(tier="basic", era="e4")
    assert "x-ratelimit-limit" not in api.get(path).headers
