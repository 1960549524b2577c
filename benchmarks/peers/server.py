"""An API of jobs with limits, drawn faults and a ledger: the same one for everybody.

It speaks two dialects about the same jobs: Removit's words (`POST /api/v1/upload`,
`GET /api/v1/status?job_id=`) and those of fal's queue (`POST /fal/rows`, `…/requests/ID/status`,
`…/requests/ID`), which `fal-client` cannot do without. Two token buckets guard submits and status
reads; what is over them is answered 429 with Retry-After. Every answer takes `--latency-s`.

Rule: a row's fate hangs on the row alone, so that every client meets the same faults. Each strikes
the row's first submit only. `GET /ledger` tells what happened; nothing else looks at the clients.
"""

from __future__ import annotations

import argparse
import asyncio
import math
import socket
import struct
import time
from collections import Counter
from dataclasses import asdict, dataclass
from random import Random

from aiohttp import web

SUBMITS_PER_S, READS_PER_S = 40.0, 100.0
SUBMITS_AT_ONCE, READS_AT_ONCE = 20, 50  # half a second's worth: what the buckets hold
LATENCY_S = 0.02
JOB_S = (3.0, 5.0)  # a row's job takes a time between these
PERIOD = 50  # of every fifty rows one is dropped, one is answered 503, one 429


def job_s(row: str) -> float:
    """Return how long the job of a row takes: the same in every run."""
    return Random(f"job of {row}").uniform(*JOB_S)


def fault(row: str) -> str:
    """Return what the row's first submit meets where faults are on."""
    return {7: "dropped", 23: "503", 41: "429"}.get(int(row.rpartition("-")[2]) % PERIOD, "")


@dataclass(slots=True)
class Job:
    """One job: whose it is, when it was made, is done and was first read as done."""

    row: str
    made_at: float
    done_at: float
    seen_at: float | None = None


class Bucket:
    """A token bucket: so many at once, refilled at a rate."""

    def __init__(self, per_s: float, at_once: int) -> None:
        self._per_s, self._room, self._at_once = per_s, float(at_once), at_once
        self._at = time.monotonic()

    def wait_s(self, now: float) -> float:
        """Take one and return 0, or return how long until there is one."""
        self._room = min(self._at_once, self._room + (now - self._at) * self._per_s)
        self._at = now
        if self._room >= 1.0:
            self._room -= 1.0
            return 0.0

        return (1.0 - self._room) / self._per_s


class Api:
    """The jobs and the ledger."""

    def __init__(self, *, rough: bool, latency_s: float) -> None:
        self._rough, self._latency_s = rough, latency_s
        self._submits = Bucket(SUBMITS_PER_S, SUBMITS_AT_ONCE)
        self._reads = Bucket(READS_PER_S, READS_AT_ONCE)
        self._jobs: dict[str, Job] = {}
        self._struck: set[str] = set()
        self._counts: Counter[str] = Counter()
        self._started_at = time.time()

    async def answer(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer one request."""
        path, words = request.path, request.path.strip("/").split("/")
        if path == "/ledger":
            return web.json_response(self._ledger())

        if request.method == "POST" and words[0] in ("api", "fal"):
            return await self._submit(request, words[0])

        if path == "/api/v1/status":
            return await self._read(request.query.get("job_id", ""), "api", request)

        if words[0] == "fal" and words[-1] == "status":
            return await self._read(words[-2], "fal", request)

        return await self._result(words[-1].removesuffix(".json"))

    # --- Submits ------------------------------------------------------------------------------

    async def _submit(self, request: web.BaseRequest, dialect: str) -> web.StreamResponse:
        body = await request.json()
        row = str(body["file_url"]).rpartition("/")[2].removesuffix(".jpg")
        self._counts["submits"] += 1
        await asyncio.sleep(self._latency_s)
        wait_s = self._submits.wait_s(time.monotonic())
        if wait_s:
            self._counts["submits_429"] += 1
            return _too_many(wait_s)

        struck = fault(row) if self._rough and row not in self._struck else ""
        self._struck.add(row)
        if struck:
            self._counts[f"faults_{struck}"] += 1

        if struck == "503":
            # As the web server in front of an API says it; some clients look for its name.
            page = "<html><h1>503 Service Temporarily Unavailable</h1>nginx</html>"
            return web.Response(status=503, text=page, content_type="text/html")

        if struck == "429":
            return _too_many(1.0)

        job_id = f"job-{len(self._jobs) + 1}"
        now = time.time()
        self._jobs[job_id] = Job(row, now, now + job_s(row))
        if struck == "dropped":
            _reset(request)

        return _accepted(request, job_id, dialect)

    # --- Reads --------------------------------------------------------------------------------

    async def _read(self, job_id: str, dialect: str, request: web.BaseRequest) -> web.Response:
        self._counts["reads"] += 1
        await asyncio.sleep(self._latency_s)
        wait_s = self._reads.wait_s(time.monotonic())
        if wait_s:
            self._counts["reads_429"] += 1
            return _too_many(wait_s)

        job, now = self._jobs.get(job_id), time.time()
        if job is None:
            return web.json_response({"error": "not_found"}, status=404)

        is_done = now >= job.done_at
        if is_done and job.seen_at is None:
            job.seen_at = now

        if dialect == "fal":
            urls = _fal_urls(request, job_id)
            word = "COMPLETED" if is_done else "IN_PROGRESS"
            return web.json_response({"status": word, "logs": [], "metrics": {}, **urls})

        if not is_done:
            return web.json_response({"status": "pending", "state": "pending", "progress": 50})

        url = f"http://{request.host}/files/{job_id}.json"
        return web.json_response({"status": "done", "state": "done", "final_url": url})

    async def _result(self, job_id: str) -> web.Response:
        self._counts["results"] += 1
        await asyncio.sleep(self._latency_s)
        job = self._jobs.get(job_id)
        if job is None or time.time() < job.done_at:
            return web.json_response({"error": "not_found"}, status=404)

        return web.json_response({"row": job.row, "job_id": job_id})

    def _ledger(self) -> dict[str, object]:
        return {
            "started_at": self._started_at,
            "counts": dict(self._counts),
            "jobs": {job_id: asdict(job) for job_id, job in self._jobs.items()},
        }


def _accepted(request: web.BaseRequest, job_id: str, dialect: str) -> web.Response:
    if dialect == "fal":
        return web.json_response({"request_id": job_id, **_fal_urls(request, job_id)})

    body = {"status": "accepted", "state": "queued", "job_id": job_id}
    return web.json_response(body, status=202)


def _fal_urls(request: web.BaseRequest, job_id: str) -> dict[str, str]:
    url = f"http://{request.host}/fal/rows/requests/{job_id}"
    return {"status_url": f"{url}/status", "response_url": url, "cancel_url": f"{url}/cancel"}


def _too_many(wait_s: float) -> web.Response:
    headers = {"Retry-After": str(math.ceil(wait_s))}
    return web.json_response({"error": "too_many_requests"}, status=429, headers=headers)


def _reset(request: web.BaseRequest) -> None:
    """Break the connection with a reset: the client cannot tell what became of its request."""
    transport = request.transport
    if transport is not None:
        connection = transport.get_extra_info("socket")
        linger = struct.pack("ii", 1, 0)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        transport.abort()


async def main() -> None:
    """Serve until killed; the base URL is the first line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--faults", choices=("none", "rough"), default="none")
    parser.add_argument("--latency-s", type=float, default=LATENCY_S)
    told = parser.parse_args()
    api = Api(rough=told.faults == "rough", latency_s=told.latency_s)
    runner = web.ServerRunner(web.Server(api.answer), access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, backlog=1024).start()
    print(f"http://127.0.0.1:{runner.addresses[0][1]}", flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main())
