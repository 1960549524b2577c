"""dbos 3.4.0 on SQLite: a durable workflow for each row, on a queue with a limiter.

Used as https://docs.dbos.dev/python/tutorials/queue-tutorial and …/step-tutorial advise: the row's
id is the workflow's id, submit and read are steps with `retries_allowed`, `DBOS.sleep_async` stands
between reads, `launch` recovers what was under way when the process died. What it lacks: a step
that was running when the process died, or that is retried, runs again whole, so a submit whose
answer was lost makes a second job; the limiter is about starts of workflows, not about reads.

Variant `careful`: `should_retry` lets a submit be tried again after an answer only.
"""

from __future__ import annotations

import asyncio
from typing import Any

import aiohttp
from dbos import DBOS, SetWorkflowID

from benchmarks.peers.work import PAUSE_S, SLOTS, SUBMITS_PER_S, read_work

WORK = read_work()
SESSIONS: dict[int, aiohttp.ClientSession] = {}  # by event loop: DBOS chooses where steps run
PERIOD_S = 0.5  # the limiter's window: 20 starts, which the API takes at once
LOOK_S = 0.1  # between two looks at the queue
RETRIED: dict[str, Any] = {
    "retries_allowed": True,
    "max_attempts": 8,
    "interval_seconds": 1.0,
    "backoff_rate": 1.5,
}


def session() -> aiohttp.ClientSession:
    """Return the client of the running loop."""
    loop = id(asyncio.get_running_loop())
    if loop not in SESSIONS:
        connector = aiohttp.TCPConnector(limit=SLOTS)
        SESSIONS[loop] = aiohttp.ClientSession(WORK.url, connector=connector, raise_for_status=True)

    return SESSIONS[loop]


def may_submit_again(error: BaseException) -> bool:
    """Say whether a submit may be tried again."""
    return WORK.variant != "careful" or isinstance(error, aiohttp.ClientResponseError)


@DBOS.step(**RETRIED, should_retry=may_submit_again)
async def submit(url: str) -> str:
    """Submit a row and return the id of its job."""
    async with session().post("/api/v1/upload", json={"file_url": url}) as answer:
        job_id: str = (await answer.json())["job_id"]
        return job_id


@DBOS.step(**RETRIED)
async def read(job_id: str) -> str:
    """Return the state of a job."""
    async with session().get(f"/api/v1/status?job_id={job_id}") as answer:
        state: str = (await answer.json())["state"]
        return state


@DBOS.workflow()
async def one(url: str) -> str:
    """Submit a row and read its job until it is done."""
    job_id: str = await submit(url)
    state = ""
    while state != "done":
        await DBOS.sleep_async(PAUSE_S)
        state = await read(job_id)

    return job_id


async def main() -> None:
    """Put every row on the queue, which knows those that it has, and write what came of them."""
    DBOS(
        config={
            "name": "peers",
            "system_database_url": f"sqlite:///{WORK.folder}/dbos.sqlite",
            "log_level": "WARNING",
        }
    )
    DBOS.launch()
    await DBOS.register_queue_async(
        "rows",
        worker_concurrency=SLOTS,
        limiter={"limit": int(SUBMITS_PER_S * PERIOD_S), "period": PERIOD_S},
        polling_interval_sec=LOOK_S,
    )
    handles = []
    for row in WORK.rows:
        with SetWorkflowID(row["id"]):
            handles.append(await DBOS.enqueue_workflow_async("rows", one, row["file_url"]))

    out = WORK.writer()

    async def follow(row: dict[str, str], handle: Any) -> None:
        try:
            job_id = await handle.get_result()
        except Exception as error:
            out.write(row["id"], "failed", error=error)
        else:
            out.write(row["id"], "done", job_id=job_id)

    async with asyncio.TaskGroup() as group:
        for row, handle in zip(WORK.rows, handles, strict=True):
            group.create_task(follow(row, handle))

    for client in SESSIONS.values():
        await client.close()

    DBOS.destroy()


if __name__ == "__main__":
    asyncio.run(main())
