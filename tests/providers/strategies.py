"""Answers and rows at random, built of the words that mean something to the dialects."""

from __future__ import annotations

import json

from hypothesis import strategies as st

from batcher.core.exchange import Response

STATUSES = st.one_of(
    st.sampled_from([200, 201, 202, 204, 301, 400, 401, 402, 403, 404, 408, 410, 422, 425, 429]),
    st.sampled_from([500, 502, 503, 504, 520, 524]),
    st.integers(min_value=-1, max_value=1_000),
)
WORDS = st.sampled_from(
    [
        "done",
        "DONE",
        "completed",
        "rejected",
        "error",
        "failed",
        "queued",
        "pending",
        "already_done",
        "not_found",
        "insufficient_balance",
        "key_limit_exceeded",
        "insufficient_credits",
    ]
)
LEAVES = st.one_of(
    WORDS,
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(max_size=20),
)
KEYS = st.sampled_from(
    [
        "job_id",
        "request_id",
        "data",
        "status",
        "state",
        "error",
        "errors",
        "code",
        "message",
        "details",
        "refund",
        "refunded",
        "retryable",
        "final_url",
        "final_urls",
        "result_url",
        "result",
        "results_alt_formats",
        "price",
        "amount",
        "progress",
        "warnings",
        "balance",
        "ignored_variations",
        "resets_at",
        "retry_after",
        "field",
        "messages",
        "error_reason",
        "mode",
        "params",
        "delivery_mode",
        "output_format",
        "task",
        "model",
        "prompt",
        "steps",
        "seed",
        "loras",
        "file",
        "file_url",
        "width",
        "height",
        "guidance",
        "quality",
        "enhance_prompt",
        "is_estimated",
        "prompt_boost",
        "failed_at",
        "slug",
        "inference_types",
        "info",
        "limits",
        "features",
        "meta",
        "current_page",
        "last_page",
        "links",
        "next",
        "event",
        "delivery_id",
        "job_request_id",
    ]
)
VALUES = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(st.one_of(KEYS, st.text(max_size=5)), inner, max_size=6),
    ),
    max_leaves=20,
)
OBJECTS = st.dictionaries(KEYS, VALUES, max_size=8)
BODIES = st.one_of(
    OBJECTS.map(lambda value: json.dumps(value).encode("utf-8", "surrogatepass")),
    VALUES.map(lambda value: json.dumps(value).encode("utf-8", "surrogatepass")),
    st.binary(max_size=200),
    st.sampled_from([b"", b"{}", b"null", b"[" * 2_000, b'{"data":' * 600, b"\xef\xbb\xbf{}"]),
    st.sampled_from([b'{"job_id":NaN}', b'{"job_id":"\\ud800"}', b'{"job_id":1e999}', b"<html>"]),
)
HEADERS = st.dictionaries(
    st.sampled_from(
        [
            "retry-after",
            "content-type",
            "x-request-id",
            "cf-ray",
            "location",
            "x-ratelimit-type",
            "x-ratelimit-daily-reset",
            "x-ratelimit-limit",
            "x-ratelimit-remaining",
            "ratelimit",
        ]
    ),
    st.one_of(
        st.text(max_size=30),
        st.sampled_from(["60", "-1", "1e9", "1e400", "daily", "minute", "text/html", "nan"]),
        st.sampled_from(
            ["Wed, 21 Oct 2015 07:28:00 GMT", "Sun, 99 Nov 9999 99:99:99 GMT", "5, 90"]
        ),
    ),
    max_size=4,
)
RESPONSES = st.builds(
    Response,
    status=STATUSES,
    body=BODIES,
    headers=HEADERS,
    received_at=st.floats(min_value=0, max_value=4e9),
)
