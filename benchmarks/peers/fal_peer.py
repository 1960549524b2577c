"""fal-client 1.0.3: `AsyncClient.submit`, then the handle's `get`, which reads until it is done.

Used as https://docs.fal.ai/model-endpoints/queue advises; the base URL is the one thing that has to
be bent, since the client knows no other host and no plain http. `get(interval=)` is the documented
pause between reads (0.1 s by default, which would be 1,600 reads a second here). Every request,
submits included, is tried up to ten times after 429 and transport errors, by the client's own
pauses (Retry-After is not read) and without a way to turn it off. It has no limits and keeps
nothing on disk: the loop spaces its submits itself, as in `stamina_peer.py`.
"""

from __future__ import annotations

import asyncio

import fal_client
import fal_client.client
import httpx

from benchmarks.peers.work import PAUSE_S, SLOTS, Writer, read_work, spaced


async def main() -> None:
    """Do every row that is not done."""
    work = read_work()
    fal_client.client.QUEUE_URL_FORMAT = f"{work.url}/fal/"
    client = fal_client.AsyncClient(key="test-key")
    slots = asyncio.Semaphore(SLOTS)
    out = work.writer()
    async with asyncio.TaskGroup() as group:
        async for row in spaced(work.todo()):
            await slots.acquire()
            task = group.create_task(one(client, row, out))
            task.add_done_callback(lambda _: slots.release())


async def one(client: fal_client.AsyncClient, row: dict[str, str], out: Writer) -> None:
    """Submit a row, wait for its result, and write the outcome."""
    try:
        handle = await client.submit("rows", arguments={"file_url": row["file_url"]})
        result = await handle.get(interval=PAUSE_S)
    except (httpx.HTTPError, fal_client.FalClientError) as error:
        out.write(row["id"], "failed", error=error)
    else:
        out.write(row["id"], "done", job_id=result["job_id"])


if __name__ == "__main__":
    asyncio.run(main())
