"""A loop of one's own: a semaphore, aiohttp and stamina 26.1, which most people would write.

Used as https://stamina.hynek.me/en/stable/tutorial.html shows it: `retry_context` around each
request, `on` naming the exceptions of the HTTP client, a backoff hook that returns the seconds of
Retry-After. Submits and reads are retried apart, so that a read that fails never submits again.
stamina has no limit of starts a second and keeps nothing on disk: the loop spaces its submits
itself, the file of outcomes is all that a second start knows.

Variant `careful`: a submit is tried again after 429 and 503 only, never after a lost connection.
"""

from __future__ import annotations

import asyncio
from typing import Any

import aiohttp
import stamina

from benchmarks.peers.work import PAUSE_S, SLOTS, Writer, read_work, spaced

ATTEMPTS = 8


def again(error: Exception) -> bool | float:
    """Say whether to try again, and after how many seconds if the answer told."""
    if isinstance(error, aiohttp.ClientResponseError):
        told = error.headers.get("Retry-After") if error.headers else None
        return float(told) if told else error.status >= 500

    return isinstance(error, aiohttp.ClientError)


def again_if_told(error: Exception) -> bool | float:
    """The same without lost connections, after which a job may have been made."""
    return again(error) if isinstance(error, aiohttp.ClientResponseError) else False


async def main() -> None:
    """Do every row that is not done."""
    work = read_work()
    slots = asyncio.Semaphore(SLOTS)
    on = again_if_told if work.variant == "careful" else again
    connector = aiohttp.TCPConnector(limit=SLOTS)
    async with (
        aiohttp.ClientSession(work.url, connector=connector, raise_for_status=True) as session,
        asyncio.TaskGroup() as group,
    ):
        out = work.writer()
        async for row in spaced(work.todo()):
            await slots.acquire()
            task = group.create_task(one(session, row, on, out))
            task.add_done_callback(lambda _: slots.release())


async def one(session: aiohttp.ClientSession, row: dict[str, str], on: Any, out: Writer) -> None:
    """Submit a row, read its job until it is done, and write the outcome."""
    try:
        body = {"file_url": row["file_url"]}
        async for attempt in stamina.retry_context(on=on, attempts=ATTEMPTS):
            with attempt:
                async with session.post("/api/v1/upload", json=body) as answer:
                    job_id = (await answer.json())["job_id"]

        state = ""
        while state != "done":
            await asyncio.sleep(PAUSE_S)
            async for attempt in stamina.retry_context(on=again, attempts=ATTEMPTS):
                with attempt:
                    path = f"/api/v1/status?job_id={job_id}"
                    async with session.get(path) as answer:
                        state = (await answer.json())["state"]
    except aiohttp.ClientError as error:
        out.write(row["id"], "failed", error=error)
    else:
        out.write(row["id"], "done", job_id=job_id)


if __name__ == "__main__":
    asyncio.run(main())
