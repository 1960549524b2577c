"""What every dialect must prove, as data and strategies: `test_conformance.py` runs it over all.

A dialect brings `payloads/<name>/profile.json` (what the suite must know to speak to it),
`requests.json` (rows and the requests that they become) and recorded answers: a status, headers, a
body, and what they must read as. Where it differs from the common table it says so in the profile.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Any

import orjson

from batcher.core.exchange import Request, Response
from batcher.core.model import LocalFile
from batcher.core.verdict import StatusVerdict, SubmitVerdict
from batcher.providers import PROVIDERS, Provider, provider_named

PAYLOADS = Path(__file__).parent / "payloads"
NOW = 1_790_000_000.0  # when recorded answers arrived, unless they say otherwise
NOT_ANSWERS = ("profile.json", "requests.json")

# What an answer to a submit means when its body names no job, by status code; `core.verdict` in
# numbers. Everything that is not listed is a doubt.
SUBMIT_TABLE: dict[int, str] = {
    **dict.fromkeys(range(300, 500), "Refused"),
    **dict.fromkeys((401, 402, 403), "Halt"),
    **dict.fromkeys((408, 425, 429, 503), "Later"),
}
# The same for a status read. Everything that is not listed is no news.
STATUS_TABLE: dict[int, str] = {202: "Pending", 401: "Halt", 403: "Halt", 404: "Missing"} | {
    410: "Missing",
    429: "Later",
}
# Bodies that say nothing of a job, in the forms in which nothing is said.
SILENT_BODIES = {
    "empty": b"",
    "object": b"{}",
    "message": b'{"message":"Something happened"}',
    "cut": b'{"message":"Some',
    "list": b"[1,2]",
    "page": b"<!doctype html><title>Not here</title>",
}


@dataclass(frozen=True)
class Profile:
    """What the suite knows of one dialect."""

    name: str
    params: dict[str, object]
    row: dict[str, object]
    file: LocalFile | None
    accepted_status: int
    job_id_at: list[str]
    done_words: list[str]
    failed_words: list[str]
    differences: list[dict[str, Any]]

    def provider(self) -> Provider:
        """Return the dialect, set up so that `row` can be sent."""
        return provider_named(self.name, self.params)

    def naming(self, job_id: object, beside: Mapping[str, object] | None = None) -> bytes:
        """Return a body that names a job where this API does, with other keys *beside*."""
        body: dict[str, Any] = dict(beside or {})
        place = body
        for key in self.job_id_at[:-1]:
            place[key] = {}
            place = place[key]

        place[self.job_id_at[-1]] = job_id
        return json.dumps(body).encode()

    def named(self, body: bytes) -> object:
        """Return what stands where this API names a job, or None."""
        try:
            value: Any = orjson.loads(body.removeprefix(b"\xef\xbb\xbf"))
        except ValueError:
            return None

        for key in self.job_id_at:
            value = value.get(key) if isinstance(value, dict) else None

        return value

    def expected(self, lane: str, status: int, body: str) -> str:
        """Return the verdict that the table, or a declared difference, has for a silent body."""
        for difference in self.differences:
            if (lane, status, body) == tuple(difference[key] for key in ("lane", "status", "body")):
                return str(difference["verdict"])

        if lane == "submit":
            return SUBMIT_TABLE.get(status, "Doubt")

        if body == "page" and STATUS_TABLE.get(status) == "Missing":
            return "Unreadable"  # a gateway or a wrong address spoke: it knows no jobs

        return STATUS_TABLE.get(status, "Unreadable")


@cache
def load(api: str, name: str) -> Any:
    """Return one file of recorded payloads."""
    return json.loads((PAYLOADS / api / name).read_text(encoding="utf-8"))


def profile_of(api: str) -> Profile:
    """Return a dialect's profile."""
    values = {key: value for key, value in load(api, "profile.json").items() if key != "about"}
    return Profile(name=api, **{**values, "file": local_file(values["file"])})


def local_file(value: Mapping[str, Any] | None) -> LocalFile | None:
    """Return the local file that a recorded row goes with."""
    return None if value is None else LocalFile(**value)


PROFILES = [profile_of(api) for api in PROVIDERS]


def recorded(kind: str) -> Iterator[tuple[str, str, str, dict[str, Any]]]:
    """Yield (api, file, case, record) of every recorded `answers` or `requests`."""
    for api in PROVIDERS:
        for path in sorted((PAYLOADS / api).glob("*.json")):
            if (
                (path.name == "requests.json")
                if kind == "requests"
                else path.name not in NOT_ANSWERS
            ):
                for case, record in load(api, path.name).items():
                    yield api, path.stem, case, record


def response_of(record: Mapping[str, Any]) -> Response:
    """Return a recorded answer as it arrived."""
    text = record["text"] if "text" in record else json.dumps(record["body"])
    return Response(
        status=record["status"],
        body=text.encode(),
        headers=record.get("headers", {}),
        received_at=record.get("received_at", NOW),
    )


def read(provider: Provider, lane: str, response: Response) -> SubmitVerdict | StatusVerdict:
    """Let a dialect read an answer of one lane."""
    return provider.read_submit(response) if lane == "submit" else provider.read_status(response)


def as_data(verdict: SubmitVerdict | StatusVerdict) -> dict[str, Any]:
    """Return a verdict as a payload file writes it."""
    text = json.dumps({"verdict": type(verdict).__name__, **asdict(verdict)})
    data: dict[str, Any] = json.loads(text)
    return data


def part_of(expected: object, found: object) -> bool:
    """Tell whether *found* has everything that is *expected* of it; what is not named is free.

    A plain object is compared whole unless one of its keys is a field of a verdict's own values.
    """
    if isinstance(expected, dict) and isinstance(found, dict) and expected.keys() <= VALUE_FIELDS:
        return all(key in found and part_of(value, found[key]) for key, value in expected.items())

    return expected == found


VALUE_FIELDS = (
    {"verdict", "job_id", "request_id", "error", "result", "reason", "retry_after_s", "throttled"}
    | {"daily", "resubmission", "word", "progress", "unknown", "refund", "refund_raw", "rerun"}
    | {"cost", "kind", "message", "http_status", "code", "fields", "retriable"}
    | {"urls", "text", "files", "warnings", "ignored"}
)


def request_data(request: Request) -> dict[str, Any]:
    """Return a request as a payload file writes it: only what it has."""
    data = {
        "method": request.method,
        "path": request.path,
        "json": None if request.json is None else json.loads(request.json),
        "form": [list(pair) for pair in request.form],
        "files": [asdict(part) for part in request.files],
    }
    return {key: value for key, value in data.items() if value}
