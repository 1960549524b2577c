"""The simulation in process: what the real transport would raise, on virtual time."""

from __future__ import annotations

import hashlib
from pathlib import Path

import anyio
import orjson
import pytest

from batcher.core.errors import Lost, NotSent
from batcher.core.exchange import FilePart, Request, Response, Transport
from batcher.simulator import FaultPlan, SimulatedTransport, Simulation

pytestmark = pytest.mark.virtual

SUBMIT = Request("POST", "/api/v1/upload", json=b'{"file_url":"https://example.com/a%20b.jpg"}')


def transport(faults: str = "", api: str = "removit") -> tuple[SimulatedTransport, Simulation]:
    """Start a simulation and the transport into it."""
    simulation = Simulation(api, FaultPlan.parse(faults))
    headers = {"X-API-Key": "test-key", "Authorization": "Bearer test-key"}
    return SimulatedTransport(simulation, headers), simulation


async def job_of(carrier: Transport) -> str:
    """Submit and return the job's id."""
    response = await carrier.send(SUBMIT, timeout_s=60)
    return str(orjson.loads(response.body)["job_id"])


async def test_a_request_is_answered_at_the_loops_time() -> None:
    """Query, key and body arrive; the answer has its status, headers and time."""
    carrier, simulation = transport("duration=5,latency=1")
    started = anyio.current_time()
    job_id = await job_of(carrier)
    response = await carrier.send(Request("GET", f"/api/v1/status?job_id={job_id}"), timeout_s=60)
    assert response.status == 200
    assert response.headers["content-type"] == "application/json"
    assert response.received_at == pytest.approx(started + 2)
    assert simulation.ledger.jobs[job_id].created_at == pytest.approx(started, abs=0.01)
    assert simulation.ledger.jobs[job_id].delivered


async def test_files_are_read_and_hashed(tmp_path: Path) -> None:
    """The ledger tells a file by its name and content; a file that is not there is never sent."""
    image = tmp_path / "a.png"
    image.write_bytes(b"content")
    carrier, simulation = transport(api="deapi")
    part = FilePart("image", str(image), "shoe.png", "image/png")
    form = (("model", "Ben2"),)
    request = Request("POST", "/api/v2/images/background-removals", form=form, files=(part,))
    assert (await carrier.send(request, timeout_s=60)).status == 200
    digest = hashlib.sha256(b"content").hexdigest()[:16]
    assert simulation.ledger.jobs_per_reference() == {f"shoe.png:{digest}": 1}

    image.unlink()
    with pytest.raises(NotSent, match="cannot read"):
        await carrier.send(request, timeout_s=60)

    assert len(simulation.ledger.submits_at) == 1


@pytest.mark.parametrize(
    ("faults", "error", "jobs", "waited_s"),
    [
        ("no_connect=1", NotSent, 0, 0),
        ("drop_before=1", Lost, 0, 0),
        ("drop_after=1", Lost, 1, 0),
        ("drop_after=1,latency=2", Lost, 1, 2),
        ("hang=1", Lost, 1, 10),
        ("latency=11", Lost, 1, 10),
    ],
)
async def test_what_is_lost_is_raised_and_leaves_what_it_did(
    faults: str, error: type[Exception], jobs: int, waited_s: float
) -> None:
    """`NotSent` only where nothing can have arrived; a job made before the loss stays made."""
    carrier, simulation = transport(faults)
    started = anyio.current_time()
    with pytest.raises(error):
        await carrier.send(SUBMIT, timeout_s=10)

    assert anyio.current_time() - started == pytest.approx(waited_s, abs=0.01)
    assert len(simulation.ledger.undelivered()) == len(simulation.ledger.jobs) == jobs


async def test_a_cancelled_submit_leaves_an_undelivered_job() -> None:
    """The job is made when the request arrives, not when it is answered."""
    carrier, simulation = transport("latency=5")
    with anyio.move_on_after(1):
        await carrier.send(SUBMIT, timeout_s=60)

    assert len(simulation.ledger.undelivered()) == 1


async def test_results_are_fetched_without_the_key() -> None:
    """A result URL leads to its file; a cut one is lost, a host that is none is never reached."""
    carrier, simulation = transport()
    status = Request("GET", f"/api/v1/status?job_id={await job_of(carrier)}")
    url = orjson.loads((await carrier.send(status, timeout_s=60)).body)["final_urls"]["clipping"]
    response: Response = await carrier.fetch(url)
    assert (response.status, response.body[:4]) == (200, b"\x89PNG")
    assert "leaked keys" not in simulation.ledger.counts()

    with pytest.raises(NotSent):
        await carrier.fetch("https://elsewhere.example/a.png")

    simulation.plan = FaultPlan.parse("file_cut=1")
    with pytest.raises(Lost):
        await carrier.fetch(url)
