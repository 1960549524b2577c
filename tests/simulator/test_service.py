"""What the service promises whatever the API: a true ledger, and the same fates every time."""

from __future__ import annotations

from random import Random

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from batcher.core.errors import UsageError
from batcher.simulator import Fate, FaultPlan, Received, Reply, Simulation
from tests.simulator.calls import T0, DeApiCalls, RemovitCalls, body_of, photo

HOSTILE = "hostile,submits_per_minute=0"
URLS = [f"https://example.com/{n}.jpg" for n in range(60)]


def told(reply: Reply) -> tuple[Fate, int, bytes, float]:
    """Return what a reply tells a client, and when."""
    return reply.fate, reply.status, reply.body, reply.after_s


def submits_in(
    order: list[int], seed: int
) -> dict[tuple[int, int], tuple[Fate, int, bytes, float]]:
    """Submit rows by number in this order, and return what became of the k-th submit of each."""
    api = RemovitCalls.with_faults(HOSTILE, seed)
    seen: dict[tuple[int, int], tuple[Fate, int, bytes, float]] = {}
    for row in order:
        ordinal = sum(1 for other, _ in seen if other == row)
        seen[row, ordinal] = told(api.upload(file_url=URLS[row]))

    return seen


@given(st.permutations(list(range(30)) * 2), st.integers(0, 5))
def test_fates_do_not_depend_on_the_order_of_arrival(order: list[int], seed: int) -> None:
    """Same seed and same calls, in another order: the same answers, ids, delays and drops."""
    assert submits_in(order, seed) == submits_in(sorted(order), seed)


def test_the_fates_of_reads_do_not_depend_on_other_jobs() -> None:
    """The k-th read of a job ends the same, whatever is read in between."""
    alone = RemovitCalls.with_faults("status_error=0.5,status_drop=0.2,unknown_word=0.5,duration=9")
    mixed = RemovitCalls.with_faults("status_error=0.5,status_drop=0.2,unknown_word=0.5,duration=9")
    ids = [alone.job(file_url=url) for url in URLS]
    assert [mixed.job(file_url=url) for url in reversed(URLS)] == ids[::-1]
    expected = {job_id: [told(alone.status(job_id)) for _ in range(4)] for job_id in ids}
    calls = ids * 4
    Random(3).shuffle(calls)
    seen: dict[str, list[tuple[Fate, int, bytes, float]]] = {job_id: [] for job_id in ids}
    for job_id in calls:
        seen[job_id].append(told(mixed.status(job_id)))

    assert seen == expected


def test_another_seed_is_another_world() -> None:
    """Ids and fates change with the seed."""
    first, second = (submits_in(list(range(60)), seed) for seed in (1, 2))
    assert first != second


def test_every_hostile_fate_occurs() -> None:
    """The hostile preset shows each way in which a submit can end."""
    api = RemovitCalls.with_faults(HOSTILE)
    replies = [api.upload(file_url=f"https://example.com/{n}.jpg") for n in range(600)]
    assert {reply.fate for reply in replies} == set(Fate) - {Fate.CUT}
    assert {reply.status for reply in replies} == {0, 202, 429, 500, 502, 503}


# --- The ledger under drops -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("knob", "fate"), [("no_connect", Fate.NO_CONNECT), ("drop_before", Fate.DROP_BEFORE)]
)
def test_what_was_lost_before_made_no_job(knob: str, fate: Fate) -> None:
    """The submit is in the ledger, a job is not."""
    api = RemovitCalls.with_faults(f"{knob}=1")
    assert api.upload(file_url=URLS[0]).fate is fate
    assert api.simulation.ledger.jobs_per_reference() == {URLS[0]: 0}
    assert api.simulation.ledger.references[URLS[0]].submits == 1


@pytest.mark.parametrize(
    ("knob", "fate", "status"),
    [
        ("drop_after", Fate.DROP_AFTER, 0),
        ("hang", Fate.HANG, 0),
        ("error_after", Fate.ANSWER, 500),
        ("garbled", Fate.ANSWER, 202),
    ],
)
def test_what_was_lost_after_left_a_charged_job(knob: str, fate: Fate, status: int) -> None:
    """The job exists and is charged, its id never left; submitting again makes a second one."""
    api = RemovitCalls.with_faults(f"{knob}=1,credits=2")
    reply = api.upload(file_url=URLS[0])
    assert (reply.fate, reply.status, reply.job) == (fate, status, None)
    ledger = api.simulation.ledger
    (job,) = ledger.jobs.values()
    assert job.charged
    assert ledger.undelivered() == [job]
    assert job.id.encode() not in reply.body
    assert api.simulation.credits_left == 1

    api.upload(file_url=URLS[0])
    assert ledger.duplicates() == {URLS[0]: 2}
    assert ledger.counts()["duplicates"] == 1
    assert api.upload(file_url=URLS[0]).status == 402


def test_half_an_answer_is_no_json() -> None:
    """A garbled answer cannot be read, and does not hold the whole id."""
    reply = DeApiCalls.with_faults("garbled=1").remove()
    assert reply.job is None
    with pytest.raises(orjson.JSONDecodeError):
        orjson.loads(reply.body)

    api = DeApiCalls.with_faults("status_garbled=1")
    with pytest.raises(orjson.JSONDecodeError):
        orjson.loads(api.read(api.job()).body)


@given(
    st.lists(st.tuples(st.integers(0, 4), st.sampled_from("sr")), max_size=60), st.integers(0, 9)
)
def test_the_books_add_up(calls: list[tuple[int, str]], seed: int) -> None:
    """Jobs, references, charges, refunds and answers agree, whatever happened in whatever order."""
    api = RemovitCalls.with_faults("hostile,duration=0,lag=0,missing_s=0", seed)
    ledger = api.simulation.ledger
    for number, kind in calls:
        known = [job.id for job in ledger.jobs.values()]
        if kind == "s":
            reply = api.upload(file_url=URLS[number])
            if reply.job is not None:
                reply.job.delivered = True
                assert body_of(reply)["job_id"] == reply.job.id
        elif known:
            api.status(known[number % len(known)])

    counts = ledger.counts()
    assert counts["jobs"] == sum(ledger.jobs_per_reference().values()) == counts["charged"]
    assert counts["submits"] == len(ledger.submits_at) == sum(1 for _, kind in calls if kind == "s")
    assert counts["submits"] == sum(trace.submits for trace in ledger.references.values())
    assert counts["status_reads"] == sum(job.reads for job in ledger.jobs.values())
    assert counts["refunded"] == sum(job.refunded for job in ledger.jobs.values())
    assert counts["duplicates"] == sum(n - 1 for n in ledger.duplicates().values())
    assert counts["jobs"] - counts.get("submit 202", 0) <= counts["undelivered"]
    assert sum(n for word, n in counts.items() if word.startswith("submit ")) == counts["submits"]


def test_the_ledger_as_json_holds_everything() -> None:
    """Counts, references, jobs with their times, and arrival times; what never came is null."""
    api = RemovitCalls.with_faults("stuck=1")
    job_id = api.job(file_url=URLS[0])
    api.status(job_id, after_s=5)
    ledger = orjson.loads(api.simulation.ledger.as_json())
    assert ledger["references"] == {URLS[0]: {"submits": 1, "jobs": 1}}
    assert (ledger["submits_at"], ledger["reads_at"]) == ([T0], [T0 + 5])
    (job,) = ledger["jobs"]
    assert (job["job_id"], job["reference"], job["reads"]) == (job_id, URLS[0], 1)
    assert (job["created_at"], job["done_at"], job["told_at"]) == (T0, None, None)
    assert (job["charged"], job["refunded"], job["end"]) == (True, False, "stuck")


def test_the_ledger_tells_when_a_job_ended_and_when_that_was_first_told() -> None:
    """The lag of a client's polling can be read off the ledger."""
    api = RemovitCalls.with_faults("duration=10")
    job_id = api.job()
    for age_s in (3, 12, 20):
        api.status(job_id, after_s=age_s)

    job = api.simulation.ledger.jobs[job_id]
    assert (job.done_at, job.told_at) == (T0 + 10, T0 + 12)


# --- References -----------------------------------------------------------------------------------


def test_a_reference_is_the_rows_own_word() -> None:
    """The image's URL, the file's name and content, or the whole form."""
    api = RemovitCalls.with_faults()
    api.upload(file_url=URLS[0], mode="background")
    api.upload(file_url=URLS[0])
    api.send_file(photo("a.png"))
    api.send_file(photo("b.png"))
    api.upload(mode="clipping")
    api.raw(b"{")
    assert [trace.submits for trace in api.simulation.ledger.references.values()] == [2, 1, 1, 1, 1]
    names = list(api.simulation.ledger.references)
    assert names[0] == URLS[0]
    assert names[1].startswith("a.png:")
    assert names[3] == '{"mode":"clipping"}'

    api2 = DeApiCalls.with_faults()
    edit = {"model": "Flux_2_Klein_4B_BF16", "steps": "4", "seed": "7"}
    for prompt in ("red", "blue"):
        api2.multipart("edits", (photo(),), prompt=prompt, **edit)
        api2.multipart("edits", (photo(), photo("b.png")), name="images[]", prompt=prompt, **edit)
        api2.generate(prompt=prompt, model="Flux1schnell")

    assert set(api2.simulation.ledger.jobs_per_reference().values()) == {0, 1}
    assert len(api2.simulation.ledger.references) == 6


# --- The rest -------------------------------------------------------------------------------------


def test_a_plan_can_be_exchanged_while_calls_go_on() -> None:
    """New calls obey the new plan; jobs that are under way keep what was in store for them."""
    api = RemovitCalls.with_faults("duration=10,rejected=1")
    job_id = api.job()
    api.simulation.plan = FaultPlan()
    assert body_of(api.status(job_id, after_s=5))["status"] == "pending_compose"
    assert body_of(api.status(job_id, after_s=10))["status"] == "rejected"
    assert body_of(api.status(api.job()))["status"] == "done"


def test_an_answer_takes_its_time() -> None:
    """The latency of the plan, also for what is lost on the way."""
    api = RemovitCalls.with_faults("latency=2,drop_after=1")
    assert api.upload(file_url=URLS[0]).after_s == 2
    assert api.status("x").after_s == 2


def test_only_known_apis_are_simulated_and_only_given_keys_taken() -> None:
    """A wrong name is the user's error; other keys can be given."""
    with pytest.raises(UsageError, match="removit, deapi"):
        Simulation("nobody")

    simulation = Simulation("removit", keys=("another",))
    for key, status in (("another", 422), ("test-key", 401)):
        received = Received("GET", "/api/v1/status", {}, {"x-api-key": key})
        assert simulation.handle(received, T0).status == status
