"""deAPI's first version: other paths and fewer fields, the same jobs, limits and money."""

from __future__ import annotations

import pytest

from tests.simulator.calls import DeApiCalls, body_of, photo
from tests.simulator.test_deapi import GENERATION

V1 = "/api/v1/client"
EDIT = {"prompt": "red", "model": "Flux_2_Klein_4B_BF16", "steps": "4", "seed": "7"}


@pytest.fixture
def api() -> DeApiCalls:
    """Start deAPI without faults."""
    return DeApiCalls.with_faults()


def test_every_task_is_there_under_its_slug(api: DeApiCalls) -> None:
    """Five submits, and five prices behind `/price-calculation`."""
    image = (photo(),)
    size = {"width": "9", "height": "9"}
    replies = [
        api.post_json(f"{V1}/txt2img", **GENERATION),
        api.post_form(f"{V1}/img2img", image, **EDIT),
        api.post_form(f"{V1}/img-rmbg", image, model="Ben2"),
        api.post_form(f"{V1}/img-upscale", image, model="RealESRGAN_x4"),
        api.post_form(f"{V1}/img2txt", image, model="Nanonets_Ocr_S_F16"),
    ]
    assert all(set(body_of(reply)["data"]) == {"request_id"} for reply in replies)
    prices = [
        api.post_json(f"{V1}/txt2img/price-calculation", **GENERATION),
        api.post_json(f"{V1}/img2img/price-calculation", **EDIT),
        api.post_form(f"{V1}/img-rmbg/price-calculation", model="Ben2", **size),
        api.post_form(f"{V1}/img-upscale/price-calculation", model="RealESRGAN_x4", **size),
        api.post_form(f"{V1}/img2txt/price-calculation", image, model="Nanonets_Ocr_S_F16"),
    ]
    assert all(body_of(reply)["data"]["price"] > 0 for reply in prices)
    assert len(api.simulation.ledger.jobs) == 5


def test_both_versions_read_each_others_jobs(api: DeApiCalls) -> None:
    """One namespace of ids, one balance, one catalogue."""
    first = body_of(api.post_form(f"{V1}/img-rmbg", (photo(),), model="Ben2"))["data"]["request_id"]
    second = api.job()
    for job_id in (first, second):
        old, new = api.get(f"{V1}/request-status/{job_id}"), api.read(job_id)
        assert body_of(old)["data"]["status"] == body_of(new)["data"]["status"] == "done"

    assert api.get(f"{V1}/request-status/nobody").status == 404
    assert body_of(api.get(f"{V1}/balance")) == body_of(api.get("/api/v2/account/balance"))
    old, new = api.get(f"{V1}/models"), api.get("/api/v2/models")
    assert body_of(old)["data"] == body_of(new)["data"]


def test_a_row_is_the_same_row_in_both_versions(api: DeApiCalls) -> None:
    """The ledger shows a second job for it, whichever way it was submitted."""
    api.post_form(f"{V1}/img-rmbg", (photo(),), model="Ben2")
    api.remove()
    assert list(api.simulation.ledger.duplicates().values()) == [2]


def test_both_versions_share_their_limits() -> None:
    """Five removals a minute in all."""
    api = DeApiCalls.with_faults("tier=basic")
    for _ in range(4):
        assert api.remove().status == 200

    assert api.post_form(f"{V1}/img-rmbg", (photo(),), model="Ben2").status == 200
    assert api.post_form(f"{V1}/img-rmbg", (photo(),), model="Ben2").status == 429
    assert api.remove().status == 429


def test_fields_that_it_lacks_are_passed_over_and_counted(api: DeApiCalls) -> None:
    """`webhook_secret`, `quality` and `enhance_prompt` came later; what is wrong stays wrong."""
    later = {"quality": "high", "enhance_prompt": True, "scale": 3}
    assert api.post_json(f"{V1}/txt2img", **GENERATION, **later).status == 200
    assert api.simulation.ledger.counts()["unknown fields"] == 3
    (job,) = api.simulation.ledger.jobs.values()
    assert job.order.prompt == ""
    assert api.generate(**GENERATION, scale=3).status == 422

    lora = {"loras[0][name]": "x", "loras[0][weight]": "0.5"}
    assert api.post_form(f"{V1}/img2img", (photo(),), **EDIT, **lora).status == 200
    assert api.post_form(f"{V1}/img-rmbg", (photo(),), model="none").status == 422
    assert api.simulation.ledger.counts()["unknown fields"] == 3
