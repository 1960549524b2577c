"""crawlee 1.11.0: an `HttpCrawler` whose requests are the submits; its handler follows the job.

Used as https://crawlee.dev/python/docs advises: `ConcurrencySettings(max_tasks_per_minute=)` paces
submits (one task is one row), `ThrottlingRequestManager` holds the domain back after a 429 for as
long as Retry-After says, `max_request_retries` is raised from 3 to 8, the file system's request
queue with `purge_on_start=False` goes on after a stop. The handler reads the job with
`context.send_request`. What it lacks: jobs are unknown to it; a handler that fails, or a process
that dies in it, has its request fetched, so submitted, again; lost connections are retried, for
POST as for GET; reads by `send_request` know neither retries nor limits: the handler reads again.
"""

from __future__ import annotations

import asyncio
import json
from datetime import timedelta

from crawlee import ConcurrencySettings, Request, service_locator
from crawlee.configuration import Configuration
from crawlee.crawlers import BasicCrawlingContext, HttpCrawler, HttpCrawlingContext
from crawlee.request_loaders import ThrottlingRequestManager
from crawlee.storage_clients import FileSystemStorageClient
from crawlee.storages import RequestQueue

from benchmarks.peers.work import PAUSE_S, SLOTS, SUBMITS_PER_S, read_work


async def main() -> None:
    """Put every row on the queue, which knows those that it has, and run the crawler."""
    work = read_work()
    out = work.writer()
    service_locator.set_configuration(
        Configuration(
            storage_dir=str(work.folder / "storage"), purge_on_start=False, log_level="WARNING"
        )
    )
    service_locator.set_storage_client(FileSystemStorageClient())
    throttler = ThrottlingRequestManager(
        inner=await RequestQueue.open(),
        domains=["127.0.0.1"],
        request_manager_opener=RequestQueue.open,
        base_delay=timedelta(seconds=1),
    )
    crawler = HttpCrawler(
        request_manager=throttler,
        max_request_retries=8,
        concurrency_settings=ConcurrencySettings(
            min_concurrency=SLOTS,
            desired_concurrency=SLOTS,
            max_concurrency=SLOTS,
            max_tasks_per_minute=SUBMITS_PER_S * 60,
        ),
    )

    @crawler.router.default_handler
    async def follow(context: HttpCrawlingContext) -> None:
        job_id = json.loads(await context.http_response.read())["job_id"]
        state = ""
        while state != "done":
            await asyncio.sleep(PAUSE_S)
            answer = await context.send_request(f"{work.url}/api/v1/status?job_id={job_id}")
            if answer.status_code == 200:
                state = json.loads(await answer.read())["state"]

        out.write(context.request.unique_key, "done", job_id=job_id)

    @crawler.failed_request_handler
    async def lost(context: BasicCrawlingContext, error: Exception) -> None:
        out.write(context.request.unique_key, "failed", error=error)

    await crawler.run(
        [
            Request.from_url(
                f"{work.url}/api/v1/upload",
                method="POST",
                headers={"content-type": "application/json"},
                payload=json.dumps({"file_url": row["file_url"]}).encode(),
                unique_key=row["id"],
            )
            for row in work.rows
        ]
    )


if __name__ == "__main__":
    asyncio.run(main())
