"""airbyte-cdk 7.39.1: a declarative source with an `AsyncRetriever`, read as a connector is read.

Used as https://docs.airbyte.com/platform/connector-development/config-based/ describes it:
creation, polling and download requesters, a status map, an `HTTPAPIBudget` with the API's two
limits, `WaitTimeFromHeader` for Retry-After, `max_concurrent_async_job_count`. What it lacks: jobs
are made and read one after another in one thread, with 5 s between two rounds of reads that cannot
be set; job ids live in memory; a creation that failed is tried again (three times), lost
connections too.
"""

from __future__ import annotations

import json
from typing import Any

from airbyte_cdk.entrypoint import AirbyteEntrypoint
from airbyte_cdk.models import ConfiguredAirbyteCatalogSerializer
from airbyte_cdk.sources.declarative.concurrent_declarative_source import (
    ConcurrentDeclarativeSource,
)

from benchmarks.peers.work import READS_PER_S, SLOTS, SUBMITS_PER_S, Work, read_work

RETRIES = {
    "type": "DefaultErrorHandler",
    "max_retries": 8,
    "backoff_strategies": [
        {"type": "WaitTimeFromHeader", "header": "Retry-After"},
        {"type": "ExponentialBackoffStrategy", "factor": 1},
    ],
}
SCHEMA = {"type": "object", "properties": {}, "additionalProperties": True}


def requester(method: str, url: str, **more: Any) -> dict[str, Any]:
    """Return one of the requesters."""
    head = {"type": "HttpRequester", "http_method": method, "url": url}
    return {**head, "error_handler": RETRIES, **more}


def extractor(path: str) -> dict[str, Any]:
    """Return what reads one field."""
    return {"type": "DpathExtractor", "field_path": [path] if path else []}


def policy(path: str, method: str, per_s: int) -> dict[str, Any]:
    """Return a limit of one of the two routes."""
    return {
        "type": "MovingWindowCallRatePolicy",
        "rates": [{"type": "Rate", "limit": per_s, "interval": "PT1S"}],
        "matchers": [
            {"type": "HttpRequestRegexMatcher", "method": method, "url_path_pattern": path}
        ],
    }


def manifest(work: Work, rows: list[str]) -> dict[str, Any]:
    """Return the declarative source of these rows."""
    upload, status = f"{work.url}/api/v1/upload", f"{work.url}/api/v1/status"
    retriever = {
        "type": "AsyncRetriever",
        "partition_router": {
            "type": "ListPartitionRouter",
            "values": rows,
            "cursor_field": "row",
        },
        "creation_requester": requester(
            "POST",
            upload,
            request_body_json={"file_url": "https://shop.example/{{ stream_partition.row }}.jpg"},
        ),
        "polling_requester": requester(
            "GET", status, request_parameters={"job_id": "{{ creation_response['job_id'] }}"}
        ),
        "download_requester": requester("GET", "{{ download_target }}"),
        "download_target_extractor": extractor("final_url"),
        "status_extractor": extractor("state"),
        "status_mapping": {
            "type": "AsyncJobStatusMap",
            "running": ["pending", "queued"],
            "completed": ["done"],
            "failed": ["rejected"],
            "timeout": ["timeout"],
        },
        "record_selector": {"type": "RecordSelector", "extractor": extractor("")},
        "decoder": {"type": "JsonDecoder"},
        "download_decoder": {"type": "JsonDecoder"},
    }
    stream = {
        "type": "DeclarativeStream",
        "name": "rows",
        "primary_key": [],
        "retriever": retriever,
        "schema_loader": {"type": "InlineSchemaLoader", "schema": SCHEMA},
    }
    return {
        "version": "7.39.1",
        "type": "DeclarativeSource",
        "check": {"type": "CheckStream", "stream_names": ["rows"]},
        "streams": [stream],
        "api_budget": {
            "type": "HTTPAPIBudget",
            "policies": [
                policy("^/api/v1/upload", "POST", SUBMITS_PER_S),
                policy("^/api/v1/status", "GET", READS_PER_S),
            ],
        },
        "spec": {"type": "Spec", "connection_specification": SCHEMA},
        "concurrency_level": {"type": "ConcurrencyLevel", "default_concurrency": 10},
        "max_concurrent_async_job_count": SLOTS,
    }


def main() -> None:
    """Read the stream; every record is a row that is done."""
    work = read_work()
    rows = [row["id"] for row in work.todo()]
    if not rows:
        return

    stream = {
        "stream": {"name": "rows", "json_schema": {}, "supported_sync_modes": ["full_refresh"]},
        "sync_mode": "full_refresh",
        "destination_sync_mode": "append",
    }
    catalog = {"streams": [stream]}
    source = ConcurrentDeclarativeSource(
        catalog=ConfiguredAirbyteCatalogSerializer.load(catalog),
        config={},
        state=[],
        source_config=manifest(work, rows),
    )
    (work.folder / "config.json").write_text("{}")
    (work.folder / "catalog.json").write_text(json.dumps(catalog))
    words = ["read", "--config", str(work.folder / "config.json")]
    words += ["--catalog", str(work.folder / "catalog.json")]
    out = work.writer()
    for line in AirbyteEntrypoint(source).run(AirbyteEntrypoint.parse_args(words)):
        message = json.loads(line)
        if message["type"] == "RECORD":
            record = message["record"]["data"]
            out.write(record["row"], "done", job_id=record["job_id"])
        else:
            print(line)


if __name__ == "__main__":
    main()
