"""Scrapy 2.19.0: a spider that submits with POST, waits in its callback, then requests the status.

Used as https://docs.scrapy.org/en/2.19/ advises: `DOWNLOAD_SLOTS` gives submits and reads a delay
of their own (40 and 100 a second, evenly), RETRY_TIMES is raised from 2 to 8, `JOBDIR` keeps queue
and seen requests. What it lacks: a request cannot be scheduled for later, so the pause is an
`asyncio.sleep` in the callback; the retry middleware tries again at once and does not read
Retry-After; a JOBDIR is for clean stops, which its page says. Lost connections are in the default
RETRY_EXCEPTIONS, for POST as for GET.

Variant `careful`: submits carry `dont_retry` and are retried by `get_retry_request` in the
callback, after 429 and 503 only. Variant `plain` has no JOBDIR: a second start knows the file of
outcomes alone.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import scrapy
from scrapy.crawler import AsyncCrawlerProcess
from scrapy.downloadermiddlewares.retry import get_retry_request

from benchmarks.peers.work import (
    PAUSE_S,
    READS_PER_S,
    SUBMITS_PER_S,
    Work,
    read_work,
)

ALL = [429, 503]


class Rows(scrapy.Spider):
    """Submits every row and follows its job."""

    name = "rows"

    def __init__(self, work: Work) -> None:
        super().__init__()
        self.work, self.out = work, work.writer()

    async def start(self) -> AsyncIterator[Any]:
        """Submit the rows that are not done."""
        for row in self.work.todo():
            meta: dict[str, Any] = {"download_slot": "submit"}
            if self.work.variant == "careful":
                meta |= {"dont_retry": True, "handle_httpstatus_list": ALL}

            yield scrapy.http.JsonRequest(
                f"{self.work.url}/api/v1/upload",
                data={"file_url": row["file_url"]},
                meta=meta,
                callback=self.accepted,
                errback=self.lost,
                cb_kwargs={"row": row["id"]},
            )

    async def accepted(self, response: Any, row: str) -> AsyncIterator[Any]:
        """Wait, then ask for the job."""
        if response.status in ALL:
            await asyncio.sleep(float(response.headers.get("Retry-After", b"1")))
            request = get_retry_request(response.request, spider=self, reason="told to")
            if request is None:
                self.out.write(row, "failed", error=response.status)
            else:
                yield request

            return

        await asyncio.sleep(PAUSE_S)
        yield self.status(response.json()["job_id"], row)

    async def told(self, response: Any, row: str, job_id: str) -> AsyncIterator[Any]:
        """Write the outcome, or wait and ask again."""
        if response.json()["state"] == "done":
            self.out.write(row, "done", job_id=job_id)
        else:
            await asyncio.sleep(PAUSE_S)
            yield self.status(job_id, row)

    def status(self, job_id: str, row: str) -> Any:
        """Return the request for a job."""
        return scrapy.Request(
            f"{self.work.url}/api/v1/status?job_id={job_id}",
            meta={"download_slot": "status"},
            dont_filter=True,
            callback=self.told,
            errback=self.lost,
            cb_kwargs={"row": row, "job_id": job_id},
        )

    def lost(self, failure: Any) -> None:
        """Write that a row failed."""
        self.out.write(failure.request.cb_kwargs["row"], "failed", error=failure.value)


def main() -> None:
    """Run the spider."""
    work = read_work()
    process = AsyncCrawlerProcess(
        settings={
            "CONCURRENT_REQUESTS": 64,
            "CONCURRENT_REQUESTS_PER_DOMAIN": 64,
            "DOWNLOAD_DELAY": 0,
            "DOWNLOAD_SLOTS": {
                "submit": {"concurrency": 32, "delay": 1 / SUBMITS_PER_S, "jitter": 0},
                "status": {"concurrency": 32, "delay": 1 / READS_PER_S, "jitter": 0},
            },
            "RETRY_TIMES": 8,
            "ROBOTSTXT_OBEY": False,
            "COOKIES_ENABLED": False,
            "TELNETCONSOLE_ENABLED": False,
            "LOG_LEVEL": "WARNING",
            "JOBDIR": None if work.variant == "plain" else str(work.folder / "job"),
        }
    )
    process.crawl(Rows, work=work)
    process.start()


if __name__ == "__main__":
    main()
