"""What every dialect must prove, as data and strategies: `test_conformance.py` runs it over all.

A dialect brings `payloads/<name>/profile.json` (what the suite must know to speak to it),
`requests.json` (rows and the requests that they become), `calls.json` (calls that the API makes, if
it makes any) and recorded answers: a status, headers, a body, and what they must read as. Where it
differs from the common table it says so in the profile. A profile lists every set of parameters
under which the dialect keeps all promises: deAPI's two versions are two of them.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Any

import msgspec
import orjson

from batcher.core.exchange import FilePart, Request, Response
from batcher.core.model import LocalFile
from batcher.core.secret import Secret
from batcher.providers import PROVIDERS, Provider, provider_named
from batcher.providers.base import Account, Callback, Files

PAYLOADS = Path(__file__).parent / "payloads"
NOW = 1_790_000_000.0  # when recorded answers arrived, unless they say otherwise
KINDS = {"profile.json": "profile", "requests.json": "requests", "calls.json": "calls"}

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
    files: Files
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


def profiles_of(api: str) -> Iterator[Profile]:
    """Yield a dialect's profile, once for each set of parameters that it lists."""
    values = {key: value for key, value in load(api, "profile.json").items() if key != "about"}
    files = local_files(values.pop("file"))
    for params in values.pop("params"):
        yield Profile(name=api, params=params, files=files, **values)


def local_files(value: Any) -> Files:
    """Return the local files that a recorded row goes with: none, one object, or a list of them."""
    several = value if isinstance(value, list) else [value]
    return tuple(
        LocalFile(**{**each, "pixels": tuple(each["pixels"]) if "pixels" in each else None})
        for each in several
        if each is not None
    )


def params_of(api: str, record: Mapping[str, Any]) -> dict[str, object]:
    """Return the parameters that a record is read or sent with: its own, or the profile's first."""
    params: dict[str, object] = record.get("params", load(api, "profile.json")["params"][0])
    return params


PROFILES = [profile for api in PROVIDERS for profile in profiles_of(api)]


def profile_id(profile: Profile) -> str:
    """Return what a test of a profile is called."""
    return f"{profile.name}-{profile.params.get('api', 'default')}"


def recorded(kind: str) -> Iterator[tuple[str, str, str, dict[str, Any]]]:
    """Yield (api, file, case, record) of every recorded `answers`, `requests` or `calls`."""
    for api in PROVIDERS:
        for path in sorted((PAYLOADS / api).glob("*.json")):
            if KINDS.get(path.name, "answers") == kind:
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


def read(provider: Provider, lane: str, response: Response) -> object:
    """Let a dialect read an answer: of a lane, to a question, or for what its headers tell."""
    match lane:
        case "submit":
            return provider.read_submit(response)
        case "status":
            return provider.read_status(response)
        case "windows":
            return provider.windows(response)
        case "balance":
            return account_of(provider).read_balance(response)
        case "price":
            return account_of(provider).read_quote(response)
        case _:
            assert lane == "models"
            return account_of(provider).read_models(response)


def account_of(provider: Provider) -> Account:
    """Return the account of a dialect that has one."""
    assert provider.account is not None
    return provider.account


def asked(provider: Provider, record: Mapping[str, Any]) -> Request:
    """Return the request that a record says to build: a submit, unless it asks something else."""
    row, files = record.get("row", {}), local_files(record.get("file"))
    match record.get("ask", "submit"):
        case "status":
            return provider.status(record["job_id"])
        case "balance":
            return account_of(provider).balance()
        case "models":
            return account_of(provider).models(record["page"])
        case "price":
            return account_of(provider).quote(row, files).request
        case _:
            said = record.get("callback")
            callback = said and Callback(said["url"], Secret(said["secret"], "the record"))
            return provider.submit(row, files, callback)


def as_data(verdict: object) -> Any:
    """Return a verdict, or the windows that an answer tells of, as a payload file writes it."""
    if isinstance(verdict, tuple):
        return [asdict(window) for window in verdict]

    found = json.loads(msgspec.json.encode(verdict, order="sorted"))  # sets become lists
    return {"verdict": type(verdict).__name__, **found}


PARTIAL = ("error", "result")  # values of a verdict of which a record names some


def part_of(expected: Any, found: Any) -> bool:
    """Tell whether *found* has everything that is *expected* of it.

    A verdict, its error and its result may have more than a record names; all else is equal.
    """
    if not isinstance(expected, dict):
        return bool(expected == found)

    return all(
        key in found
        and (
            part_of(value, found[key])
            if key in PARTIAL and isinstance(found[key], dict)
            else value == found[key]
        )
        for key, value in expected.items()
    )


def request_data(request: Request) -> dict[str, Any]:
    """Return a request as a payload file writes it: only what it has."""
    data = {
        "method": request.method,
        "path": request.path,
        "json": None if request.json is None else json.loads(request.json),
        "form": [list(pair) for pair in request.form],
        "files": [_part_data(part) for part in request.files],
    }
    return {key: value for key, value in data.items() if value}


def _part_data(part: FilePart) -> dict[str, Any]:
    """Return a file of a request without its size, which a row's own file says already."""
    return {key: value for key, value in asdict(part).items() if key != "size_bytes"}
