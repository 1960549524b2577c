"""The simulator over real sockets: uploads that stream in, and connections that really break."""

from __future__ import annotations

import errno
import hashlib
import io
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import anyio
import orjson
import pytest

from batcher.core.errors import UsageError
from batcher.simulator import FaultPlan, Simulation, serve
from tests.simulator.test_deapi import GENERATION

HEADERS = {"X-API-Key": "test-key", "Accept": "application/json", "User-Agent": "batcher/1"}
BEARER = {**HEADERS, "Authorization": "Bearer test-key"}
URL = "https://example.com/a.jpg"


@asynccontextmanager
async def served(
    faults: str = "", api: str = "removit", *, files_port: int | None = None
) -> AsyncIterator[tuple[aiohttp.ClientSession, Simulation]]:
    """Serve a simulation on a free port, and give a session that knows its address and the key."""
    simulation = Simulation(api, FaultPlan.parse(faults))
    urls: list[str] = []
    ready = anyio.Event()

    def on_ready(url: str) -> None:
        urls.append(url)
        ready.set()

    async def run() -> None:
        await serve(simulation, on_ready=on_ready, files_port=files_port)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(run)
        await ready.wait()
        async with aiohttp.ClientSession(urls[0], headers=BEARER) as session:
            yield session, simulation

        tasks.cancel_scope.cancel()


async def submit(session: aiohttp.ClientSession, url: str = URL) -> str:
    """Upload an image by its URL and return the job's id."""
    async with session.post("/api/v1/upload", json={"file_url": url}) as response:
        assert response.status == 202
        return str((await response.json())["job_id"])


async def test_json_goes_in_and_comes_out() -> None:
    """Submit, read, download: the whole way of a row, on one connection."""
    async with served() as (session, simulation):
        job_id = await submit(session)
        assert simulation.ledger.jobs[job_id].delivered
        async with session.get("/api/v1/status", params={"job_id": job_id}) as response:
            assert response.headers["content-type"] == "application/json"
            url = (await response.json())["final_urls"]["clipping"]
            assert url.startswith(f"{response.url.origin()}/files/")

        async with aiohttp.request("GET", url) as response:
            assert (response.status, response.content_type) == (200, "image/png")
            assert (await response.read()).startswith(b"\x89PNG")


async def test_a_multipart_body_is_hashed_while_it_streams(tmp_path: Path) -> None:
    """A file of several megabytes arrives whole, under its name, type and digest."""
    content = os.urandom(3_000_000)
    image = tmp_path / "a.png"
    image.write_bytes(content)
    async with served(api="deapi") as (session, simulation):
        with image.open("rb") as file:
            form = aiohttp.FormData({"model": "Ben2"})
            form.add_field("image", file, filename="shoe.png", content_type="image/png")
            async with session.post("/api/v2/images/background-removals", data=form) as response:
                assert response.status == 200, await response.text()

        digest = hashlib.sha256(content).hexdigest()[:16]
        assert simulation.ledger.jobs_per_reference() == {f"shoe.png:{digest}": 1}


@pytest.mark.parametrize(
    ("content_type", "body", "status"),
    [
        ("multipart/form-data", b"x", 400),
        ("multipart/form-data; boundary=x", b"no boundary at all", 400),
        ("multipart/form-data; boundary=x", b"--x\r\n\r\nnameless\r\n--x--\r\n", 400),
        ("multipart/form-data; boundary=x", b"--x--\r\n", 422),
        ("application/json", b"[" * 100_000, 400),
        ("application/json", b'{"mode":"clip"}' + b" " * 9_000_000, 400),
    ],
)
async def test_a_body_that_cannot_be_read_is_answered(
    content_type: str, body: bytes, status: int
) -> None:
    """Whatever comes in, it is 400 or 422, and no job."""
    async with served() as (session, simulation):
        headers = {"Content-Type": content_type}
        async with session.post(
            "/api/v1/upload", data=io.BytesIO(body), headers=headers
        ) as response:
            assert response.status == status

        assert simulation.ledger.jobs == {}


async def test_a_body_that_announces_too_much_is_refused_unread() -> None:
    """413 comes without waiting for 80 MB."""
    async with served(api="deapi") as (_, simulation):
        host, port = simulation.files.origin.removeprefix("http://").split(":")
        async with await anyio.connect_tcp(host, int(port)) as stream:
            lines = [
                "POST /api/v2/images/background-removals HTTP/1.1",
                "Host: x",
                *(f"{name}: {value}" for name, value in BEARER.items()),
                "Content-Type: multipart/form-data; boundary=x",
                "Content-Length: 80000000",
            ]
            await stream.send("\r\n".join([*lines, "", ""]).encode())
            assert (await stream.receive()).startswith(b"HTTP/1.1 413 ")


async def test_who_waits_for_100_continue_gets_it() -> None:
    """Some clients hold back a body until they are told to go on."""
    async with (
        served() as (session, simulation),
        session.post("/api/v1/upload", json={"file_url": URL}, expect100=True) as response,
    ):
        assert response.status == 202
        assert len(simulation.ledger.jobs) == 1


@pytest.mark.parametrize(
    ("faults", "jobs"), [("drop_before=1", 0), ("no_connect=1", 0), ("drop_after=1", 1)]
)
async def test_a_dropped_answer_is_a_broken_connection(faults: str, jobs: int) -> None:
    """The client gets no answer at all; with `drop_after` the job stays in the ledger."""
    async with served(faults) as (session, simulation):
        with pytest.raises(aiohttp.ClientConnectionError):
            await submit(session)

        assert len(simulation.ledger.jobs) == len(simulation.ledger.undelivered()) == jobs
        assert simulation.ledger.references[URL].submits == 1


async def test_a_dropped_connection_is_reset_not_ended() -> None:
    """RST, as when a machine on the way dies."""
    async with served("drop_after=1") as (session, _):
        with pytest.raises(aiohttp.ClientOSError) as caught:
            await submit(session)

        assert caught.value.errno == errno.ECONNRESET


@pytest.mark.parametrize("faults", ["hang=1", "latency=1000"])
async def test_a_client_that_leaves_without_an_answer_leaves_its_job(faults: str) -> None:
    """The job is made at once; the silent connection ends with the client, or with the server."""
    async with served(faults) as (session, simulation):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(submit, session)
            while not simulation.ledger.jobs:
                async with session.get("/_simulator/counts") as response:
                    await response.read()

            tasks.cancel_scope.cancel()

        assert len(simulation.ledger.undelivered()) == 1


async def test_files_can_come_from_a_host_of_their_own() -> None:
    """Another port is another origin; a file can break off in its middle."""
    async with served("file_cut=1", files_port=0) as (session, _):
        job_id = await submit(session)
        async with session.get("/api/v1/status", params={"job_id": job_id}) as response:
            url = (await response.json())["final_urls"]["clipping"]
            assert not url.startswith(str(response.url.origin()))

        async with aiohttp.request("GET", url) as response:
            assert response.status == 200
            with pytest.raises(aiohttp.ClientPayloadError):
                await response.read()


async def test_the_admin_routes_show_and_change() -> None:
    """Ledger, counts, plan and credits, without a key; a bad plan is told in one line."""
    async with served("credits=0") as (session, simulation):
        for path, body, expected in [
            ("plan", "credits=0,latency=0.001", "latency_s=0.001,credits=0"),
            ("credits", "1", '{"credits_left":1}'),
        ]:
            async with session.post(f"/_simulator/{path}", data=body) as response:
                assert (response.status, await response.text()) == (200, expected)

        await submit(session)
        for path, body in [("plan", "nonsense"), ("credits", "many"), ("ledger", "")]:
            async with session.post(f"/_simulator/{path}", data=body) as response:
                assert response.status in (400, 404)

        async with session.get("/_simulator/plan") as response:
            assert await response.text() == "latency_s=0.001,credits=0"

        async with session.get("/_simulator/counts") as response:
            assert (await response.json())["jobs"] == 1

        async with session.get("/_simulator/ledger") as response:
            assert orjson.loads(await response.read()) == orjson.loads(simulation.ledger.as_json())


async def test_money_and_keys_are_changed_while_it_runs() -> None:
    """Dollars are paid in, keys are exchanged; what cannot be read is told in one line."""
    async with served("balance_usd=0.1,price_usd=0.05", api="deapi") as (session, simulation):
        for path, body, status in [
            ("usd", "0.44", 200),
            ("usd", "-1", 400),
            ("usd", "much", 400),
            ("keys", " ", 400),
            ("keys", "test-key\nnext-key\n", 200),
        ]:
            async with session.post(f"/_simulator/{path}", data=body) as response:
                assert response.status == status

        assert simulation.keys == ("test-key", "next-key")
        for n, status in enumerate((200, 200, 422)):
            fields = GENERATION | {"prompt": str(n)}
            async with session.post("/api/v2/images/generations", json=fields) as response:
                assert response.status == status

        async with session.get("/_simulator/account") as response:
            assert await response.json() == {
                "balance_usd": 0.44,
                "credits_left": None,
                "charged_usd": 0.1,
                "refunded_usd": 0.0,
            }

        async with session.post("/_simulator/keys", data="next-key") as response:
            assert await response.json() == {"keys": 1}

        async with session.get("/api/v2/jobs/x") as response:
            assert response.status == 401


async def test_a_port_that_is_taken_is_told() -> None:
    """One line for the user, not a traceback."""
    async with served() as (_, simulation):
        port = int(simulation.files.origin.rpartition(":")[2])
        with pytest.raises(UsageError, match="cannot listen on"):
            await serve(Simulation("removit"), port=port, on_ready=print)


@pytest.mark.e2e
@pytest.mark.parametrize("loop", [[], ["--uvloop"]])
def test_it_serves_as_a_process_of_its_own(loop: list[str]) -> None:
    """The first line is its address; a drop is a reset on either event loop; it ends when told."""
    module = ["-m", "tests.simulator.serve_process", "removit", "--faults", "drop_after=1"]
    root = Path(__file__).parents[2]
    with subprocess.Popen(
        [sys.executable, *module, *loop], cwd=root, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        base_url = process.stdout.readline().strip()
        counts = anyio.run(_drop_one, base_url)
        process.terminate()

    assert counts["submit drop_after"] == counts["jobs"] == counts["undelivered"] == 1


async def _drop_one(base_url: str) -> dict[str, int]:
    async with aiohttp.ClientSession(base_url, headers=HEADERS) as session:
        with pytest.raises(aiohttp.ClientOSError):
            await submit(session)

        async with session.get("/_simulator/counts") as response:
            return dict(await response.json())
