"""deAPI's rarer answers: keys that die, refusals of each kind, several images, odd catalogues."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from batcher.simulator import FaultPlan, Simulation
from tests.simulator.calls import DeApiCalls, body_of, photo, png_head
from tests.simulator.test_deapi import GENERATION, fields_in_error

EDIT = {"prompt": "red", "model": "Flux_2_Klein_4B_BF16", "steps": "4", "seed": "7"}
MODELS = "/api/v2/models"


@pytest.fixture
def api() -> DeApiCalls:
    """Start deAPI without faults."""
    return DeApiCalls.with_faults()


# --- Keys and refusals ----------------------------------------------------------------------------


def test_a_key_dies_and_another_one_goes_on() -> None:
    """The first of two keys is dead from a job on, for everything; the second never is."""
    plan = FaultPlan.parse("key_dead_from=2")
    api = DeApiCalls.with_faults()
    api.simulation = Simulation("deapi", plan, keys=("test-key", "next-key"))
    job_id = api.job()
    assert [api.remove().status, api.read(job_id).status] == [401, 401]
    assert body_of(api.remove())["code"] == "key_revoked"
    api.headers = {**api.headers, "authorization": "Bearer next-key"}
    assert [api.remove(photo("b.png")).status, api.read(job_id).status] == [200, 200]


def test_keys_can_be_exchanged_while_calls_go_on(api: DeApiCalls) -> None:
    """What is not among the new keys is unknown at once."""
    job_id = api.job()
    api.simulation.keys = ("next-key",)
    assert body_of(api.read(job_id))["code"] == "invalid_key"
    api.headers = {**api.headers, "authorization": "Bearer next-key"}
    assert api.read(job_id).status == 200


@pytest.mark.parametrize("code", ["key_revoked", "key_expired", "invalid_key"])
def test_a_401_says_why(code: str) -> None:
    """For submits alone, or for everything."""
    api = DeApiCalls.with_faults(f"unauthorized_from=1,unauthorized_as={code}")
    assert body_of(api.remove()) == {"message": "Unauthenticated.", "code": code}
    api = DeApiCalls.with_faults(f"key_dead_from=1,unauthorized_as={code}")
    assert body_of(api.read("x"))["code"] == code


@pytest.mark.parametrize("what", ["ip_not_allowed", "insufficient_permissions"])
def test_a_403_says_why(what: str) -> None:
    """A code in the newest era only; prices and status go on."""
    api = DeApiCalls.with_faults(f"forbidden_from=1,forbidden_as={what}")
    reply = api.remove()
    assert (reply.status, body_of(reply)["code"]) == (403, what)
    assert api.get("/api/v2/account/balance").status == 200
    api = DeApiCalls.with_faults(f"forbidden_from=1,forbidden_as={what},era=e4")
    assert "code" not in body_of(api.remove())


def test_a_403_may_be_the_edges_page() -> None:
    """No JSON, as for user agents that are banned."""
    reply = DeApiCalls.with_faults("forbidden_from=1,forbidden_as=page").remove()
    assert (reply.status, b"1010" in reply.body) == (403, True)


@pytest.mark.parametrize(("form", "kind"), [("page", "text/html"), ("json", "application/json")])
def test_a_413_is_a_page_or_json_and_its_limit_can_be_small(form: str, kind: str) -> None:
    """Before the fields are looked at."""
    api = DeApiCalls.with_faults(f"body_bytes_max=999,large_as={form}")
    reply = api.remove(photo(size=1000), model="none")
    assert (reply.status, reply.headers["content-type"].split(";")[0]) == (413, kind)
    assert api.remove(photo(size=999)).status == 200


def test_a_drawn_429_may_count_days() -> None:
    """`daily` with a long wait; the headers of the day can be missing."""
    headers = DeApiCalls.with_faults("429=1,throttle_daily=1,tier=basic").remove().headers
    assert (headers["x-ratelimit-type"], headers["retry-after"]) == ("daily", "86400")
    assert headers["x-ratelimit-daily-remaining"] == "0"
    headers = DeApiCalls.with_faults("tier=basic,hide_daily=1").remove().headers
    assert "x-ratelimit-daily-limit" not in headers
    assert (headers["x-ratelimit-limit"], "w=86400" in headers["x-ratelimit-policy"]) == ("5", True)


def test_days_end_at_midnight_before_the_newest_era() -> None:
    """E4: the wait is until midnight UTC; E5: a day from the first request on."""
    for era, wait_s in (("e4", 16 * 3600), ("e5", 86_400)):
        api = DeApiCalls.with_faults(f"submits_per_day=1,era={era}")
        assert api.now_s % 86_400 == 8 * 3600
        assert [api.remove().status, api.remove().status] == [200, 429]
        assert int(api.remove().headers["retry-after"]) == wait_s
        api.now_s += wait_s
        assert api.remove().status == 200


def test_a_model_that_the_plan_lacks() -> None:
    """422 in words of its own; it is not in the catalogue either."""
    api = DeApiCalls.with_faults("plan_models=native")
    body = body_of(api.generate(**GENERATION | {"model": "gpt-image-2"}))
    assert body["errors"]["model"][0].startswith("This model is not available on your plan.")
    assert "gpt-image-2" not in {model["slug"] for model in body_of(api.get(MODELS))["data"]}


# --- Fields ---------------------------------------------------------------------------------------


def test_an_image_may_have_to_fit_its_model() -> None:
    """Only others say so, so it is a knob: 128 to 2048 pixels a side for Ben2."""
    small, large = (replace(photo(), head=png_head(*size)) for size in ((127, 500), (128, 2048)))
    assert DeApiCalls.with_faults().remove(small).status == 200
    api = DeApiCalls.with_faults("image_limits=model")
    assert fields_in_error(api.remove(small)) == {"image"}
    assert api.remove(large).status == 200


@pytest.mark.parametrize(
    ("lora", "wrong"),
    [
        ({"loras[0][name]": "x", "loras[0][weight]": "0"}, set()),
        ({"loras[0][name]": "x"}, {"loras.0"}),
        ({"loras[0][name]": "x", "loras[1][weight]": "1"}, {"loras.0", "loras.1"}),
        ({"loras[0][name]": "x", "loras[0][weight]": "-1"}, {"loras.0.weight"}),
        ({"loras[0][name]": "x", "loras[0][weight]": "much"}, {"loras.0.weight"}),
        ({"loras[0][scale]": "1"}, {"loras[0][scale]"}),
        ({"loras[][name]": "x"}, {"loras[][name]"}),
    ],
)
def test_loras_of_an_edit_are_spelt_as_forms_spell_them(
    api: DeApiCalls, lora: dict[str, str], wrong: set[str]
) -> None:
    """`loras[0][name]` and `loras[0][weight]`, both, with a weight of at least 0."""
    reply = api.multipart("edits", (photo(),), **EDIT, **lora)
    assert (fields_in_error(reply) if wrong else reply.status) == (wrong or 200)


def test_an_edit_takes_one_image_or_a_list_never_both(api: DeApiCalls) -> None:
    """`image` xor `images[]`, up to what the model takes."""
    many = {"name": "images[]"}
    assert api.multipart("edits", (photo(),) * 3, **many, **EDIT).status == 200
    assert fields_in_error(api.multipart("edits", (photo(),) * 4, **many, **EDIT)) == {"images[]"}
    assert fields_in_error(api.multipart("edits", (photo(),) * 2, **EDIT)) == {"image"}
    bad = (photo(), photo("b.tiff", "image/tiff"))
    assert fields_in_error(api.multipart("edits", bad, **many, **EDIT)) == {"images[]"}


def test_where_the_api_is_to_call_says_nothing_of_the_row(api: DeApiCalls) -> None:
    """Submits of one row under different webhooks are one reference, for forms and for JSON."""
    for n in range(2):
        hook = {"webhook_url": f"https://example.com/{n}", "webhook_secret": "s" * 32}
        api.remove(**hook)
        api.generate(**GENERATION, **hook)
        api.multipart("edits", (photo(),) * 2, name="images[]", **EDIT, **hook)

    assert list(api.simulation.ledger.duplicates().values()) == [2, 2, 2]


def test_tasks_on_one_image_are_different_rows(api: DeApiCalls) -> None:
    """Only a removal is known by its image alone."""
    api.remove()
    for form in ({}, {"format": "json"}, {"language": "en"}):
        api.multipart("ocr", (photo(),), model="Nanonets_Ocr_S_F16", **form)

    api.multipart("upscales", (photo(),), model="RealESRGAN_x4")
    assert len(api.simulation.ledger.jobs_per_reference()) == 5


# --- Jobs -----------------------------------------------------------------------------------------


def test_a_better_prompt_is_told_with_the_result(api: DeApiCalls) -> None:
    """Both prompts; models without a guide refuse it."""
    fields = GENERATION | {"enhance_prompt": True}
    job_id = body_of(api.generate(**fields))["data"]["request_id"]
    job = body_of(api.read(job_id))["data"]
    assert job["prompt_boosted"] is True
    assert job["prompt_boost"]["prompt_original"] == "a shoe"
    assert job["prompt_boost"]["prompt"] != "a shoe"
    plain = body_of(api.read(body_of(api.generate(**GENERATION))["data"]["request_id"]))["data"]
    assert "prompt_boosted" not in plain
    assert fields_in_error(api.generate(**fields | {"model": "gpt-image-2"})) == {"enhance_prompt"}


@pytest.mark.parametrize("reason", ["TIMEOUT", "SOURCE_PRIVATE", "MOON_PHASE", "none"])
def test_the_reason_of_a_failure_can_be_chosen(reason: str) -> None:
    """A known one, an unknown one, or none at all."""
    api = DeApiCalls.with_faults(f"rejected=1,error_reason={reason}")
    job = body_of(api.read(api.job()))["data"]
    assert job.get("error_reason", "none") == reason


@pytest.mark.parametrize(
    ("faults", "told"),
    [
        ("duration=9", {"status": "pending"}),
        ("rejected=1", {"status": "error"}),
        ("", {"status": "done", "result_url": "…"}),
    ],
)
def test_a_job_may_be_told_barely(faults: str, told: dict[str, Any]) -> None:
    """Nothing in a job's object is promised: only its word, and where the result is."""
    api = DeApiCalls.with_faults(f"bare_job=1,{faults}")
    job = body_of(api.read(api.job()))["data"]
    assert job | ({"result_url": "…"} if "result_url" in job else {}) == told


# --- The catalogue --------------------------------------------------------------------------------


def test_models_are_told_in_every_form_that_was_seen(api: DeApiCalls) -> None:
    """`info` whole, partly there or an empty list; tasks as a list or under keys."""
    models = body_of(api.get(MODELS, {"limit": "50"}))["data"]
    infos = [model["info"] or {} for model in models]
    assert [] in [model["info"] for model in models]
    assert {frozenset(info) for info in infos if info} == {
        frozenset({"limits", "features", "defaults"}),
        frozenset({"limits", "defaults"}),
        frozenset({"limits"}),
    }
    assert {type(model["inference_types"]) for model in models} == {list, dict}
    flags = [info["features"]["supports_guidance"] for info in infos if "features" in info]
    assert set(flags) == {False, "1"}


def test_models_fill_more_than_one_page() -> None:
    """`limit` is clamped to 50, `per_page` ignored; every model is on exactly one page."""
    api = DeApiCalls.with_faults("models_more=100")
    found: list[str] = []
    page, last = 1, 1
    while page <= last:
        query = {"limit": "999", "page": str(page), "per_page": "100"}
        body = body_of(api.get(MODELS, query))
        found += [model["slug"] for model in body["data"]]
        last = body["meta"]["last_page"]
        assert len(body["data"]) <= 50
        page += 1

    assert (last, len(found), len(set(found))) == (3, 111, 111)
    assert api.remove(model="Community_7").status == 200
    assert body_of(api.get(MODELS, {"page": "9"}))["data"] == []


def test_the_oldest_era_wraps_its_pages_once_more() -> None:
    """`data.data`, and 15 by default."""
    body = body_of(DeApiCalls.with_faults("era=e2,models_more=20").get(MODELS))
    assert len(body["data"]["data"]) == 15
    assert body["data"]["meta"]["per_page"] == 15
