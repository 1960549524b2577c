"""aiometer 1.0.0: `amap` over the rows, with its two limits.

Used as https://github.com/florimondmanca/aiometer#usage shows it: `max_at_once` and
`max_per_second` on one coroutine for a row (submit, then read until done), results taken as they
come. aiometer knows neither retries nor state on disk, and an exception of one row would end all
of them, so the coroutine returns what went wrong. Its limit counts rows, not requests: reads are
held below their limit by the pause alone.
"""

from __future__ import annotations

import asyncio
import functools

import aiohttp
import aiometer

from benchmarks.peers.work import PAUSE_S, SLOTS, SUBMITS_PER_S, read_work


async def main() -> None:
    """Do every row that is not done."""
    work = read_work()
    todo = work.todo()
    if not todo:
        return

    connector = aiohttp.TCPConnector(limit=SLOTS)
    async with aiohttp.ClientSession(
        work.url, connector=connector, raise_for_status=True
    ) as session:
        out = work.writer()
        async with aiometer.amap(
            functools.partial(one, session),
            todo,
            max_at_once=SLOTS,
            max_per_second=SUBMITS_PER_S,
        ) as results:
            async for row, error in results:
                out.write(row, "failed" if error else "done", error=error)


async def one(
    session: aiohttp.ClientSession, row: dict[str, str]
) -> tuple[str, aiohttp.ClientError | None]:
    """Submit a row and read its job until it is done; return its id and what went wrong."""
    try:
        async with session.post("/api/v1/upload", json={"file_url": row["file_url"]}) as answer:
            job_id = (await answer.json())["job_id"]

        state = ""
        while state != "done":
            await asyncio.sleep(PAUSE_S)
            async with session.get(f"/api/v1/status?job_id={job_id}") as answer:
                state = (await answer.json())["state"]
    except aiohttp.ClientError as error:
        return row["id"], error

    return row["id"], None


if __name__ == "__main__":
    asyncio.run(main())
