"""Keys and a list of jobs: what the simulated APIs have only when they are told to."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from batcher.simulator import FaultPlan, Received, Reply, Simulation

T0 = 1_700_000_000.0
REMOVIT = "/api/v1/upload", {"file_url": "https://x.example/1.jpg"}, {"x-api-key": "test-key"}
DEAPI = (
    "/api/v2/images/generations",
    {"prompt": "a cat", "model": "Flux1schnell", "width": 512, "height": 512, "steps": 4,
     "guidance": 0, "seed": 1},
    {"authorization": "Bearer test-key", "user-agent": "batcher/test"},
)  # fmt: skip
APIS: dict[str, tuple[str, dict[str, Any], dict[str, str]]] = {"removit": REMOVIT, "deapi": DEAPI}


def submit(
    api: Simulation, at: float = T0, headers: dict[str, str] | None = None, **more: object
) -> Reply:
    """Submit the one row of an API."""
    path, values, auth = APIS[api.api_name]
    body = orjson.dumps({**values, **more})
    all_headers = {"content-type": "application/json", **auth, **(headers or {})}
    return api.handle(Received("POST", path, headers=all_headers, body=body), at)


def listed(api: Simulation, at: float, cursor: str | None = None) -> dict[str, Any]:
    """Read a page of the list."""
    query = {} if cursor is None else {"cursor": cursor}
    reply = api.handle(Received("GET", "/jobs", query, APIS[api.api_name][2]), at)
    body = orjson.loads(reply.body) if reply.status == 200 else {}
    assert isinstance(body, dict)
    return {"status": reply.status, **body}


@pytest.mark.parametrize("name", APIS)
def test_by_default_a_key_means_nothing_and_there_is_no_list(name: str) -> None:
    """As both APIs are: two submits are two jobs, and /jobs is an unknown route."""
    api = Simulation(name)
    for _ in range(2):
        assert submit(api, headers={"idempotency-key": "k"}).job is not None

    assert len(api.ledger.jobs) == 2
    assert listed(api, T0)["status"] == 404


@pytest.mark.parametrize("name", APIS)
def test_a_key_makes_one_job_for_so_long(name: str) -> None:
    """The same answer, one charge; after its time a key is like any other."""
    api = Simulation(name, FaultPlan.parse("idempotent=60"))
    key = {"idempotency-key": "k"}
    first = submit(api, T0, key)
    again = submit(api, T0 + 59, key)
    assert again.body == first.body
    assert api.ledger.counts()["jobs"] == api.ledger.counts()["charged"] == 1
    assert api.ledger.counts()["repeated"] == 1
    assert submit(api, T0 + 60, key).body != first.body
    assert submit(api, T0 + 60, {"idempotency-key": "other"}).body != first.body
    assert submit(api, T0 + 60).job is not None
    assert api.ledger.counts()["jobs"] == 4


def test_a_key_with_another_body_is_refused() -> None:
    """It is somebody's mistake, and must not bring another row's job."""
    api = Simulation("removit", FaultPlan.parse("idempotent=60"))
    submit(api, headers={"idempotency-key": "k"})
    other = submit(api, headers={"idempotency-key": "k"}, file_url="https://x.example/2.jpg")
    assert (other.status, other.job) == (422, None)


def test_limits_and_checks_come_before_a_key() -> None:
    """A refusal is not kept under it, and says nothing of a job that it made."""
    api = Simulation("removit", FaultPlan.parse("idempotent=60,throttle=1"))
    key = {"idempotency-key": "k"}
    assert submit(api, headers=key).status == 429
    api.plan = FaultPlan.parse("idempotent=60")
    assert submit(api, headers=key).status == 202
    api.plan = FaultPlan.parse("idempotent=60,throttle=1")
    assert submit(api, headers=key).status == 429
    assert len(api.ledger.jobs) == 1


@pytest.mark.parametrize("name", APIS)
def test_a_job_is_listed_late_under_its_mark(name: str) -> None:
    """After the delay, with what its submit carried; pages hang together."""
    api = Simulation(name, FaultPlan.parse("listing=10"))
    for n in range(45):
        submit(api, T0 + n, {"client-reference": f"m{n}"})

    assert listed(api, T0 + 9)["data"] == []
    assert [job["client_reference"] for job in listed(api, T0 + 10)["data"]] == ["m0"]
    seen: list[str] = []
    cursor: str | None = None
    while cursor is not None or not seen:
        page = listed(api, T0 + 100, cursor)
        seen += [job["client_reference"] for job in page["data"]]
        cursor = page["next"]

    assert seen == [f"m{n}" for n in range(45)]


def test_a_list_needs_the_key_and_can_fail() -> None:
    """401 without; the knobs of questions hold for its pages."""
    api = Simulation("removit", FaultPlan.parse("listing=10"))
    assert api.handle(Received("GET", "/jobs"), T0).status == 401
    api.plan = FaultPlan.parse("listing=10,question_error=1")
    assert listed(api, T0)["status"] == 500
    api.plan = FaultPlan.parse("listing=10,question_throttle=1")
    assert listed(api, T0)["status"] == 429
