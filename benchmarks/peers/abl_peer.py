"""async-batch-llm 0.28.0: `process_stream` over a `CallableStrategy`, one call for a row.

Used as its README's "Use your existing async client" and "Production runs" show it: bounded queues,
`max_requests_per_minute` with a small `quota_burst_seconds`, an fsynced `JsonlArtifactStore` and
`ResumePolicy.REUSE_SUCCESSES`. The default cooldown of 300 s and its slow start are set to the 1 s
that the API's Retry-After says. The item's own `RetryState` keeps the job id, so that a failed read
never submits again while the process lives. What it lacks: jobs are unknown to it, so the store
keeps what is done and nothing of what is under way, and its limit counts calls, not reads. Unknown
exceptions are retried (its default classifier), lost connections among them.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
from async_batch_llm import (
    ArtifactIdentity,
    CallableStrategy,
    CallOutcome,
    JsonlArtifactStore,
    ProcessorConfig,
    RateLimitConfig,
    ResumePolicy,
    RetryConfig,
    process_stream,
)

from benchmarks.peers.work import PAUSE_S, SLOTS, SUBMITS_PER_S, read_work


async def main() -> None:
    """Do every row; the store gives back those that are done."""
    work = read_work()
    identity = ArtifactIdentity(provider="removit", model="clipping")
    store = JsonlArtifactStore(work.folder / "store.jsonl", identity=identity, fsync=True)
    config = ProcessorConfig(
        concurrency=SLOTS,
        max_queue_size=2 * SLOTS,
        max_result_queue_size=SLOTS,
        max_requests_per_minute=SUBMITS_PER_S * 60,
        quota_burst_seconds=0.25,
        attempt_timeout=120,
        retry=RetryConfig(max_attempts=8),
        rate_limit=RateLimitConfig(cooldown_seconds=1, slow_start_items=0, backoff_multiplier=1.0),
    )
    connector = aiohttp.TCPConnector(limit=SLOTS)
    async with aiohttp.ClientSession(
        work.url, connector=connector, raise_for_status=True
    ) as session:

        async def invoke(
            prompt: str,
            *,
            attempt: int,
            timeout: float,  # noqa: ASYNC109  # the shape that the library calls
            state: Any,
        ) -> CallOutcome[str]:
            job_id = state.get("job_id")
            if job_id is None:
                async with session.post("/api/v1/upload", json={"file_url": prompt}) as answer:
                    job_id = (await answer.json())["job_id"]
                    state.set("job_id", job_id)

            while True:
                await asyncio.sleep(PAUSE_S)
                async with session.get(f"/api/v1/status?job_id={job_id}") as answer:
                    if (await answer.json())["state"] == "done":
                        return CallOutcome(job_id)

        async def source() -> AsyncIterator[tuple[str, str]]:
            for row in work.rows:
                yield row["id"], row["file_url"]

        out = work.writer()
        strategy = CallableStrategy(invoke, identity=identity)
        stream = process_stream(
            strategy,
            source(),
            config=config,
            artifact_store=store,
            resume=ResumePolicy.REUSE_SUCCESSES,
        )
        async for result in stream:
            outcome = "done" if result.success else "failed"
            out.write(result.item_id, outcome, error=result.error)


if __name__ == "__main__":
    asyncio.run(main())
