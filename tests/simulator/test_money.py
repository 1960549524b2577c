"""deAPI's money: what a question says, what is charged, what comes back, and when nothing goes."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batcher.core.money import nanos
from batcher.simulator import Reply, Upload
from tests.simulator.calls import T0, DeApiCalls, RemovitCalls, body_of, photo, png_head
from tests.simulator.test_deapi import GENERATION

EDIT = {"prompt": "red", "model": "QwenImageEdit_Plus_NF4", "steps": "20", "seed": "7"}
PARTNER = GENERATION | {"model": "gpt-image-2"}


def sized(width: int, height: int, name: str = "a.png") -> Upload:
    """Return a picture of so many pixels."""
    picture = photo(name)
    return Upload(
        picture.field,
        picture.filename,
        picture.content_type,
        picture.size_bytes,
        picture.sha256,
        png_head(width, height),
    )


def price_in(reply: Reply) -> float:
    """Return the price that an answer tells."""
    assert reply.status == 200, reply.body
    return float(body_of(reply)["data"]["price"])


def job_of(reply: Reply) -> str:
    """Return the id of a job that was just made."""
    assert reply.status == 200, reply.body
    return str(body_of(reply)["data"]["request_id"])


@pytest.fixture
def api() -> DeApiCalls:
    """Start deAPI without faults."""
    return DeApiCalls.with_faults()


# --- Prices ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "usd"),
    [
        (GENERATION, 0.00136),
        (GENERATION | {"width": 1024, "height": 1024}, 4 * 0.00136),
        (GENERATION | {"steps": 8}, 2 * 0.00136),
        (GENERATION | {"model": "Flux_2_Klein_4B_BF16"}, 0.00186),
        (GENERATION | {"model": "ZImageTurbo_INT8", "steps": 8}, 0.0034),
    ],
)
def test_the_published_price_points_hold(
    api: DeApiCalls, fields: dict[str, Any], usd: float
) -> None:
    """Price by model, size and steps, as JSON, and the charge is what was asked."""
    path = "/api/v2/images/generations/price"
    assert price_in(api.post_json(path, **fields)) == pytest.approx(usd)
    job_of(api.generate(**fields))
    assert api.simulation.ledger.charged_nanos == nanos(usd)


def test_an_edit_is_priced_without_any_size(api: DeApiCalls) -> None:
    """Asked with four fields, and charged the same whatever the size."""
    asked = {**EDIT, "steps": 20, "seed": 7}
    price = price_in(api.post_json("/api/v2/images/edits/price", **asked))
    assert price == pytest.approx(0.0179)
    job_of(api.multipart("edits", (sized(900, 800),), **EDIT, width="512", height="512"))
    assert api.simulation.ledger.charged_nanos == nanos(price)


@pytest.mark.parametrize(
    ("task", "model"),
    [
        ("background-removals", "Ben2"),
        ("upscales", "RealESRGAN_x4"),
        ("ocr", "Nanonets_Ocr_S_F16"),
    ],
)
def test_a_price_by_the_image_and_by_its_size_are_one(
    api: DeApiCalls, task: str, model: str
) -> None:
    """Multipart with the image, or with its width and height; the submit costs the same."""
    path = f"/api/v2/images/{task}/price"
    by_size = price_in(api.post_form(path, model=model, width="1024", height="512"))
    by_image = price_in(api.post_form(path, (sized(1024, 512),), model=model))
    assert by_size == by_image > 0
    assert price_in(api.post_form(path, (sized(1024, 1024),), model=model)) > by_image
    job_of(api.multipart(task, (sized(1024, 512),), model=model))
    assert api.simulation.ledger.charged_nanos == nanos(by_image)


def test_what_a_price_passes_a_submit_may_refuse(api: DeApiCalls) -> None:
    """Unknown fields, sizes and steps beyond the model: no 422 before the submit."""
    wild = GENERATION | {"width": 99_999, "steps": 500, "scale": 3}
    assert price_in(api.post_json("/api/v2/images/generations/price", **wild)) > 0
    assert api.generate(**wild).status == 422


@pytest.mark.parametrize(
    ("task", "form", "wrong"),
    [
        ("background-removals", {"model": "Ben2"}, {"image"}),
        ("background-removals", {"model": "Ben2", "width": "9"}, {"height"}),
        ("background-removals", {"model": "Ben2", "width": "x", "height": "9"}, {"width"}),
        ("background-removals", {"model": "RMBG-1.4", "width": "9", "height": "9"}, {"model"}),
        ("upscales", {"model": "Ben2", "width": "9", "height": "9"}, {"model"}),
        ("edits", {"prompt": "x"}, {"prompt", "model", "steps", "seed"}),
        ("generations", {"prompt": "x", "steps": "4"}, {"model", "width", "height", "steps"}),
    ],
)
def test_a_price_without_what_it_needs_is_422(
    api: DeApiCalls, task: str, form: dict[str, str], wrong: set[str]
) -> None:
    """Model, and image or size; a form in the place of JSON has no fields at all."""
    reply = api.post_form(f"/api/v2/images/{task}/price", **form)
    assert reply.status == 422
    assert set(body_of(reply)["errors"]) == wrong


def test_prices_have_a_bucket_of_their_own() -> None:
    """50 a minute, 200 a day for all tasks together; submits and status are not in it."""
    api = DeApiCalls.with_faults("tier=basic")
    form = {"model": "Ben2", "width": "9", "height": "9"}
    paths = [f"/api/v2/images/{task}/price" for task in ("background-removals", "upscales")]
    statuses = [api.post_form(paths[n % 2], **form).status for n in range(51)]
    assert set(statuses[:50:2]) == {200}
    assert statuses[50] == 429
    reply = api.post_form("/api/v1/client/img-rmbg/price-calculation", **form)
    assert (reply.status, reply.headers["x-ratelimit-daily-limit"]) == (429, "200")
    assert api.remove().status == 200

    middle = DeApiCalls.with_faults("tier=basic,era=e4").post_form(paths[0], **form).headers
    assert middle["x-ratelimit-daily-limit"] == "200"
    premium = DeApiCalls.with_faults("tier=premium").post_form(paths[0], **form).headers
    assert (premium["x-ratelimit-limit"], premium["x-ratelimit-policy"]) == ("300", "300;w=60")


def test_a_better_prompt_and_one_price_for_all(api: DeApiCalls) -> None:
    """`enhance_prompt` costs a little more; `price_usd` stands in the place of every price."""
    path = "/api/v2/images/generations/price"
    more = price_in(api.post_json(path, **GENERATION, enhance_prompt=True))
    assert more == pytest.approx(0.00136 + 0.0004)
    api = DeApiCalls.with_faults("price_usd=0.25")
    assert price_in(api.post_json(path, **GENERATION)) == 0.25
    removit = RemovitCalls.with_faults("price_usd=0.25")
    removit.job()
    assert removit.simulation.ledger.counts()["charged_nanos"] == nanos(0.25)


# --- Charges and refunds --------------------------------------------------------------------------


def test_a_native_job_is_charged_at_acceptance() -> None:
    """The balance falls with the submit, also of a job whose answer is lost."""
    api = DeApiCalls.with_faults("balance_usd=1,price_usd=0.1,duration=60,drop_after=1")
    api.remove()
    assert api.balance == 0.9
    (job,) = api.simulation.ledger.jobs.values()
    assert (job.charged_nanos, job.charged_at, job.charged) == (nanos(0.1), T0, True)


def test_a_partner_job_is_charged_after_it_at_what_it_settled_for() -> None:
    """An estimate before, `price` null while it runs, then what the ledger booked."""
    api = DeApiCalls.with_faults("balance_usd=1,duration=60")
    told = body_of(api.post_json("/api/v2/images/generations/price", **PARTNER))["data"]
    assert told == {"price": 0.04, "is_estimated": True}
    job_id = job_of(api.generate(**PARTNER))
    assert api.balance == 1
    assert "price" not in body_of(api.read(job_id, after_s=59))["data"]
    price = body_of(api.read(job_id, after_s=60))["data"]["price"]
    assert price["is_estimated"] is False
    assert 0.036 <= price["amount"] <= 0.044
    ledger = api.simulation.ledger
    assert ledger.charged_nanos == nanos(price["amount"]) != nanos(0.04)
    assert ledger.jobs[job_id].charged_at == T0 + 60
    assert api.balance == pytest.approx(1 - price["amount"])


def test_a_partner_job_is_charged_though_nobody_reads_it() -> None:
    """What was lost after the job was made costs money all the same, in its time."""
    api = DeApiCalls.with_faults("drop_after=1,duration=60,balance_usd=1")
    api.generate(**PARTNER)
    assert api.balance == 1
    api.now_s += 60
    assert api.balance < 1


def test_a_failed_partner_job_was_never_charged() -> None:
    """Amount 0, `refunded` false: nothing was taken, so nothing comes back."""
    api = DeApiCalls.with_faults("rejected=1")
    job = body_of(api.read(job_of(api.generate(**PARTNER))))["data"]
    assert (job["refunded"], job["price"]) == (False, {"amount": 0, "is_estimated": False})
    counts = api.simulation.ledger.counts()
    assert (counts["charged"], counts["charged_nanos"], counts["refunded"]) == (0, 0, 0)


@pytest.mark.parametrize(
    ("faults", "told", "back"),
    [
        ("", True, True),
        ("refund_already=1", True, True),
        ("refund_unconfirmed=1", False, False),
        ("refund_none=1", None, False),
    ],
)
def test_a_refund_is_booked_with_the_word_for_it(
    faults: str, told: bool | None, back: bool
) -> None:
    """Once, with the first answer that tells of it, to the nano; other words give nothing back."""
    api = DeApiCalls.with_faults(f"rejected=1,price_usd=0.123456789,balance_usd=1,{faults}")
    job_id = job_of(api.remove())
    for _ in range(3):
        assert body_of(api.read(job_id, after_s=5))["data"].get("refunded") is told

    counts = api.simulation.ledger.counts()
    assert counts["charged_nanos"] == 123_456_789
    assert (counts["refunded"], counts["refunded_nanos"]) == ((1, 123_456_789) if back else (0, 0))
    assert api.simulation.ledger.jobs[job_id].as_json()["refunded_at"] == (T0 + 5 if back else None)
    assert api.balance == pytest.approx(1 if back else 1 - 0.123456789)


@given(
    st.lists(st.sampled_from(["native", "partner", "read", "wait"]), max_size=40),
    st.integers(0, 20),
)
def test_the_money_adds_up(moves: list[str], seed: int) -> None:
    """Balance = paid in - charged + refunded, and the totals are the sums of the jobs' own."""
    faults = "balance_usd=0.7,duration=uniform:0:90,rejected=0.4,refund_unconfirmed=0.4,stuck=0.1"
    api = DeApiCalls.with_faults(faults, seed)
    ledger = api.simulation.ledger
    for n, move in enumerate(moves):
        if move == "native":
            api.generate(**GENERATION | {"prompt": str(n)})
        elif move == "partner":
            api.generate(**PARTNER | {"prompt": str(n)})
        elif move == "wait":
            api.now_s += 30
        elif ledger.jobs:
            api.read(list(ledger.jobs)[n % len(ledger.jobs)])

        counts, jobs = ledger.counts(), list(ledger.jobs.values())
        assert counts["charged_nanos"] == sum(job.charged_nanos for job in jobs)
        assert counts["refunded_nanos"] == sum(job.refunded_nanos for job in jobs)
        assert counts["charged"] == sum(job.charged for job in jobs)
        assert counts["refunded"] == sum(job.refunded for job in jobs)
        assert all(job.refunded_nanos <= job.charged_nanos for job in jobs)
        left = nanos(0.7) - counts["charged_nanos"] + counts["refunded_nanos"]
        assert nanos(api.simulation.balance_usd) == left


# --- The balance ----------------------------------------------------------------------------------


def test_below_the_minimum_no_submit_is_taken() -> None:
    """0.49 USD must be there; a payment opens the account again, the same request passes."""
    api = DeApiCalls.with_faults("balance_usd=0.7,price_usd=0.2,era=e4")
    assert [api.remove(photo(f"{n}.png")).status for n in range(3)] == [200, 200, 422]
    assert api.balance == pytest.approx(0.3)
    assert body_of(api.remove()) == {
        "message": "Not enough balance.",
        "errors": {"balance": ["Not enough balance."]},
    }
    api.simulation.top_up_usd(0.19)
    assert api.remove().status == 200

    api = DeApiCalls.with_faults("balance_usd=0.1,balance_min=0,price_usd=0.2")
    assert api.remove().status == 422
    assert api.generate(**PARTNER | {"model": "nano-banana-2"}).status == 200


def test_jobs_and_dollars_both_count() -> None:
    """Whichever ends first ends the submits."""
    api = DeApiCalls.with_faults("credits=9,balance_usd=0.6,price_usd=0.1")
    assert [api.remove(photo(f"{n}.png")).status for n in range(3)] == [200, 200, 422]
    api = DeApiCalls.with_faults("credits=1,balance_usd=9")
    assert [api.remove(photo(f"{n}.png")).status for n in range(2)] == [200, 422]


def test_the_balance_stands_in_one_of_two_places() -> None:
    """Nested as the specification has it, or at the top as an older page printed it."""
    path = "/api/v2/account/balance"
    assert body_of(DeApiCalls.with_faults("balance_usd=19.72").get(path)) == {
        "data": {"balance": 19.72}
    }
    api = DeApiCalls.with_faults("balance_usd=19.72,balance_at=top")
    assert body_of(api.get(path)) == {"balance": 19.72}


def test_the_limit_of_a_key_starts_anew() -> None:
    """402 tells when; then the key may spend again, counted from its first use."""
    api = DeApiCalls.with_faults("key_limit=2,key_limit_resets_s=3600")
    assert [api.remove(photo(f"{n}.png")).status for n in range(3)] == [200, 200, 402]
    assert body_of(api.remove())["resets_at"] == "2027-01-15T09:00:00+00:00"
    api.now_s += 3599
    assert api.remove().status == 402
    api.now_s += 1
    assert [api.remove(photo(f"{n}.png")).status for n in range(3)] == [200, 200, 402]
    assert body_of(api.remove())["resets_at"] == "2027-01-15T10:00:00+00:00"


def test_questions_stumble_by_the_plan() -> None:
    """500, 429 and half answers, for price, balance and models alike; nothing else is hit."""
    form = {"model": "Ben2", "width": "9", "height": "9"}
    for faults, status in (("question_error=1", 500), ("question_throttle=1", 429)):
        api = DeApiCalls.with_faults(faults)
        replies = [
            api.post_form("/api/v2/images/ocr/price", **form),
            api.get("/api/v2/account/balance"),
            api.get("/api/v2/models"),
        ]
        assert [reply.status for reply in replies] == [status] * 3
        assert api.remove().status == 200

    api = DeApiCalls.with_faults("question_garbled=1")
    whole = DeApiCalls.with_faults().get("/api/v2/models").body
    assert api.get("/api/v2/models").body == whole[: len(whole) // 2]
    api = DeApiCalls.with_faults("question_error=0.5")
    assert {api.get("/api/v2/models").status for _ in range(20)} == {200, 500}
