"""Webhooks as deAPI makes them: what is called when, how it is signed, what is tried again."""

from __future__ import annotations

import hmac
from hashlib import sha256
from itertools import accumulate
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from batcher.simulator import Delivery, FaultPlan, Outbox, Simulation, Target
from batcher.simulator.hooks import PAUSES_S
from tests.simulator.calls import T0, DeApiCalls, body_of, photo
from tests.simulator.test_deapi import GENERATION

SECRET = "s" * 32
HOOK = {"webhook_url": "https://example.com/hook?token=7", "webhook_secret": SECRET}


def with_job(faults: str = "", seed: int = 0) -> tuple[DeApiCalls, str]:
    """Start deAPI and submit a job that is to be told of."""
    api = DeApiCalls.with_faults(faults, seed)
    return api, api.job(**HOOK)


def body_in(delivery: Delivery) -> Any:
    """Return the JSON of a call."""
    return orjson.loads(delivery.body)


def signature(secret: str, delivery: Delivery) -> str:
    """Return what the signature should be, by the documentation."""
    message = delivery.headers["x-deapi-timestamp"].encode() + b"." + delivery.body
    return "sha256=" + hmac.new(secret.encode(), message, sha256).hexdigest()


def drain(outbox: Outbox, until_s: float, status: int | None = 200) -> list[tuple[float, Delivery]]:
    """Take every call in its time, answer it, and return it with its time."""
    seen: list[tuple[float, Delivery]] = []
    while (at := outbox.next_due()) is not None and at <= until_s:
        for delivery in outbox.due(at):
            seen.append((at, delivery))
            outbox.answered(delivery, status, at)

    return seen


# --- What is called -------------------------------------------------------------------------------


def test_a_job_is_told_of_when_it_starts_and_when_it_is_done() -> None:
    """Two calls in their time, with the body that the live API sends."""
    api, job_id = with_job("duration=100")
    assert api.simulation.outbox.due(T0 + 9) == []
    (first,) = api.simulation.outbox.due(T0 + 10)
    (second,) = api.simulation.outbox.due(T0 + 100)
    assert body_in(first) == {
        "event": "job.processing",
        "delivery_id": first.headers["x-deapi-delivery-id"],
        "timestamp": "2027-01-15T08:00:10+00:00",
        "data": {
            "job_request_id": job_id,
            "status": "processing",
            "previous_status": "pending",
            "job_type": "img-rmbg",
            "started_at": "2027-01-15T08:00:10+00:00",
        },
    }
    done = body_in(second)["data"]
    assert (done["status"], done["previous_status"]) == ("done", "processing")
    assert done["completed_at"] == "2027-01-15T08:01:40+00:00"
    assert done["processing_time_ms"] == 90_000
    assert "/result.png?" in done["result_url"]
    assert (first.url, first.job_id) == (HOOK["webhook_url"], job_id)
    assert first.id != second.id
    assert first.headers["user-agent"] == "DeAPI-Webhook/1.0"
    assert first.headers["x-deapi-event"] == "job.processing"


def test_a_failed_job_is_told_with_its_reason_and_refund() -> None:
    """The same reason as the status read tells."""
    api, job_id = with_job("rejected=1,retryable=1")
    _, failed = api.simulation.outbox.due(T0)
    told, read = body_in(failed)["data"], body_of(api.read(job_id))["data"]
    assert (failed.headers["x-deapi-event"], told["status"]) == ("job.failed", "error")
    names = ("error_code", "error_message", "error_reason", "retryable", "refunded", "failed_at")
    assert {name: told[name] for name in names} == {name: read[name] for name in names}


def test_a_stuck_job_only_starts_and_a_forgotten_one_is_never_told_of() -> None:
    """Nobody hears of an end that never comes."""
    api, _ = with_job("stuck=1")
    assert [d.event for _, d in drain(api.simulation.outbox, T0 + 1e9)] == ["processing"]
    api, _ = with_job("forgotten=1")
    assert api.simulation.outbox.next_due() is None


def test_a_job_whose_answer_was_lost_is_told_of_all_the_same() -> None:
    """That is how a client can learn of it: the URL is the submit's own."""
    for lost in ("drop_after", "hang", "error_after", "garbled"):
        api = DeApiCalls.with_faults(f"{lost}=1")
        api.generate(**GENERATION, **HOOK)
        (job_id,) = api.simulation.ledger.jobs
        (first, _) = api.simulation.outbox.due(T0)
        assert (first.job_id, first.url) == (job_id, HOOK["webhook_url"])


def test_without_a_webhook_and_without_a_job_nobody_is_called() -> None:
    """No URL, a refused submit, another API."""
    api = DeApiCalls.with_faults("")
    api.job()
    assert api.remove(model="none", **HOOK).status == 422
    assert api.simulation.outbox.next_due() is None


def test_the_oldest_era_writes_times_and_types_differently() -> None:
    """`…000Z`, and underscores in the type."""
    api, _ = with_job("era=e2")
    body = body_in(api.simulation.outbox.due(T0)[0])
    assert body["timestamp"] == "2027-01-15T08:00:00.000Z"
    assert body["data"]["job_type"] == "img_rmbg"


# --- How it is signed -----------------------------------------------------------------------------


def test_the_signature_covers_time_and_raw_body() -> None:
    """HMAC-SHA256 over `timestamp.body`; slashes are escaped, so a re-dump would not fit."""
    api, _ = with_job()
    for delivery in api.simulation.outbox.due(T0):
        assert delivery.headers["x-deapi-signature"] == signature(SECRET, delivery)
        assert delivery.headers["x-deapi-timestamp"] == str(int(T0))

    assert b"http:\\/\\/" in delivery.body
    assert b"//" not in delivery.body


def test_an_attempt_that_is_late_is_signed_with_its_own_time() -> None:
    """A retry after hours must not look like a replay."""
    api, _ = with_job()
    outbox = api.simulation.outbox
    first = outbox.due(T0)[0]
    outbox.answered(first, 500, T0 + 1)
    (again,) = outbox.due(T0 + 61)
    assert again.headers["x-deapi-timestamp"] == str(int(T0) + 61)
    assert again.headers["x-deapi-signature"] == signature(SECRET, again)
    assert (again.id, again.body, again.attempt) == (first.id, first.body, 2)


@pytest.mark.parametrize("knob", ["bad_signature", "unsigned", "stale", "garbled"])
def test_each_blemish_is_one_and_alone(knob: str) -> None:
    """A wrong signature, none, an old time (signed), half a body (signed)."""
    api, _ = with_job(f"hook_{knob}=1")
    delivery = api.simulation.outbox.due(T0)[0]
    told = delivery.headers["x-deapi-signature"]
    assert (told == signature(SECRET, delivery)) is (knob in ("stale", "garbled"))
    assert (told == "") is (knob == "unsigned")
    age_s = int(T0) - int(delivery.headers["x-deapi-timestamp"])
    assert age_s == (600 if knob == "stale" else 0)
    if knob == "garbled":
        with pytest.raises(orjson.JSONDecodeError):
            body_in(delivery)
    else:
        assert body_in(delivery)["event"] == "job.processing"


def test_without_a_secret_the_signature_is_empty() -> None:
    """The call is made all the same; with the account's secret it is signed."""
    form = {"webhook_url": "https://example.com/hook", "model": "Ben2"}
    api = DeApiCalls.with_faults()
    api.post_form("/api/v1/client/img-rmbg", (photo(),), **form)
    assert api.simulation.outbox.due(T0)[0].headers["x-deapi-signature"] == ""

    account = Target("https://example.com/account", SECRET)
    api.simulation = Simulation("deapi", account_hook=account)
    api.post_form("/api/v1/client/img-rmbg", (photo(),), **form)
    delivery = api.simulation.outbox.due(T0)[0]
    assert delivery.url == "https://example.com/hook"
    assert delivery.headers["x-deapi-signature"] == signature(SECRET, delivery)


# --- What is tried again --------------------------------------------------------------------------


def test_a_call_is_tried_ten_times_over_a_day() -> None:
    """At 0, then 1, 2, 5, 10, 30 minutes, 1, 3, 6, 12 hours later; then it is given up."""
    api, _ = with_job("stuck=1")
    seen = drain(api.simulation.outbox, T0 + 1e9, None)
    assert [at - T0 for at, _ in seen] == [0.0, *accumulate(PAUSES_S)]
    assert seen[-1][0] - T0 == (22 * 60 + 48) * 60
    assert [delivery.attempt for _, delivery in seen] == list(range(1, 11))
    assert api.simulation.outbox.next_due() is None
    tally = api.simulation.ledger.tally
    assert (tally["hook sent"], tally["hook no answer"], tally["hook given up"]) == (10, 10, 1)


@pytest.mark.parametrize(
    ("status", "again"), [(200, False), (204, False), (302, True), (404, True), (500, True)]
)
def test_only_2xx_is_success(status: int, again: bool) -> None:
    """A redirect is a failure; nobody follows it."""
    api, _ = with_job("stuck=1")
    (delivery,) = api.simulation.outbox.due(T0)
    api.simulation.outbox.answered(delivery, status, T0)
    assert (api.simulation.outbox.next_due() is not None) is again


def test_the_pauses_can_be_scaled() -> None:
    """So that a test need not last a day."""
    api, _ = with_job("stuck=1,hook_retry_scale=0.01")
    seen = drain(api.simulation.outbox, T0 + 1e9, 500)
    assert [at - T0 for at, _ in seen][:3] == pytest.approx([0, 0.6, 1.8])


def test_ten_failures_in_a_row_switch_off_the_accounts_url_alone() -> None:
    """Calls to URLs that a submit named go on; one success in between starts the count anew."""
    for successes, broken in ((0, True), (1, False)):
        simulation = Simulation("deapi", account_hook=Target("https://example.com/account"))
        api = DeApiCalls(simulation, DeApiCalls.with_faults().headers)
        for n in range(11):
            api.remove(photo(f"{n}.png"))

        calls = simulation.outbox.due(T0)
        assert {call.url for call in calls} == {"https://example.com/account"}
        for n, call in enumerate(calls[:19]):
            simulation.outbox.answered(call, 200 if n == 9 and successes else 500, T0)

        assert simulation.outbox.is_broken is broken
        again = simulation.outbox.due(T0 + 60)
        assert bool(again) is not broken
        api.job(**HOOK)
        assert HOOK["webhook_url"] in {call.url for call in simulation.outbox.due(T0 + 60)}


def test_an_answer_that_comes_twice_counts_once() -> None:
    """A carrier that stumbles does not make two retries."""
    api, _ = with_job("stuck=1")
    (delivery,) = api.simulation.outbox.due(T0)
    for _ in range(2):
        api.simulation.outbox.answered(delivery, 500, T0)

    assert len(api.simulation.outbox.due(T0 + 1e6)) == 1


# --- Loss, copies, disorder -----------------------------------------------------------------------


def test_lost_calls_are_never_made() -> None:
    """Neither at once nor later; the tally tells how many."""
    api, _ = with_job("hook_lost=1")
    assert api.simulation.outbox.next_due() is None
    assert api.simulation.ledger.tally["hook lost"] == 2


def test_a_copy_has_the_same_id_and_is_not_tried_again() -> None:
    """A receiver tells it by the delivery id."""
    api, _ = with_job("hook_duplicate=1,stuck=1")
    first, copy = api.simulation.outbox.due(T0)
    assert (first.id, first.body, copy.is_copy) == (copy.id, copy.body, True)
    for delivery in (first, copy):
        api.simulation.outbox.answered(delivery, 500, T0)

    assert len(api.simulation.outbox.due(T0 + 1e6)) == 1


def test_delays_bring_calls_out_of_order() -> None:
    """Some jobs are done before they have started."""
    api = DeApiCalls.with_faults("hook_delay=uniform:0:100,duration=10")
    for n in range(30):
        api.remove(photo(f"{n}.png"), **HOOK)

    order: dict[str, list[str]] = {}
    for _, delivery in drain(api.simulation.outbox, T0 + 1e9):
        order.setdefault(delivery.job_id, []).append(delivery.event)

    assert {tuple(events) for events in order.values()} == {
        ("processing", "completed"),
        ("completed", "processing"),
    }


@given(st.permutations(range(12)), st.integers(0, 5))
def test_the_fates_of_calls_do_not_depend_on_the_order_of_submits(
    order: list[int], seed: int
) -> None:
    """Same seed: the same calls about the same rows at the same times, with the same blemishes."""

    def calls(numbers: list[int]) -> list[tuple[float, Delivery]]:
        api = DeApiCalls.with_faults("hostile,drop_before=0,no_connect=0,duration=20", seed)
        for n in numbers:
            api.remove(photo(f"{n}.png"), **HOOK)

        found = drain(api.simulation.outbox, T0 + 1e6)
        return sorted(found, key=lambda call: (call[0], call[1].id, call[1].is_copy))

    assert calls(order) == calls(sorted(order))


@given(st.lists(st.sampled_from([200, 500, None]), max_size=60), st.integers(0, 9))
def test_every_planned_call_ends_answered_or_given_up(answers: list[int | None], seed: int) -> None:
    """Whatever the receiver does: nothing is lost but by the plan, nothing is called forever."""
    faults = "hook_lost=0.2,hook_duplicate=0.3,hook_delay=exponential:5,duration=5"
    api = DeApiCalls.with_faults(faults, seed)
    for n in range(4):
        api.remove(photo(f"{n}.png"), **HOOK)

    outbox, tally, heard, rest = api.simulation.outbox, api.simulation.ledger.tally, set(), 0
    given_answers = iter(answers)
    while (at := outbox.next_due()) is not None:
        for delivery in outbox.due(at):
            rest += 1
            status = next(given_answers, 200)
            outbox.answered(delivery, status, at)
            if status == 200 and not delivery.is_copy:
                assert delivery.id not in heard, "called again after a success"
                heard.add(delivery.id)

    assert len(heard) + tally["hook lost"] + tally["hook given up"] == 8
    assert tally["hook sent"] == rest == sum(tally[f"hook {a}"] for a in (200, 500, "no answer"))


def test_a_plan_can_change_what_is_still_to_be_sent() -> None:
    """Blemishes and pauses are those of the plan in force when an attempt is made."""
    api, _ = with_job("hook_unsigned=1,duration=10")
    assert api.simulation.outbox.due(T0 + 1)[0].headers["x-deapi-signature"] == ""
    api.simulation.plan = FaultPlan()
    assert api.simulation.outbox.due(T0 + 10)[0].headers["x-deapi-signature"] != ""
