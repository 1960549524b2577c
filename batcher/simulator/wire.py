"""One request as the API saw it, and what it answers: the values between a carrier and the service.

Rule: a carrier (the in-process transport, the server) turns its own kind of request into `Received`
and performs a `Reply`; everything between the two is decided without I/O.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING

import orjson

from batcher.simulator.pixels import size_of

if TYPE_CHECKING:
    from batcher.simulator.ledger import Job

JSON_HEADERS: Mapping[str, str] = {"content-type": "application/json"}
HTML_HEADERS: Mapping[str, str] = {"content-type": "text/html; charset=UTF-8"}
XML_HEADERS: Mapping[str, str] = {"content-type": "application/xml"}

# Of an uploaded file, kept while its request is handled: a JPEG tells its size behind its metadata.
HEAD_BYTES = 65_536


@dataclass(frozen=True, slots=True)
class Upload:
    """One file of a multipart body: what is kept of it, never its content."""

    field: str
    filename: str
    content_type: str
    size_bytes: int
    sha256: str  # hexadecimal
    head: bytes = b""  # the first `HEAD_BYTES`

    @property
    def pixels(self) -> tuple[int, int] | None:
        """Width and height, where the head tells them."""
        return size_of(self.head)


@dataclass(frozen=True, slots=True)
class Received:
    """One request. `form` and `files` are the parts of a multipart body, in order."""

    method: str
    path: str  # decoded, without the query
    query: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)  # names in lower case, or any-case
    body: bytes = b""  # of anything but multipart
    form: tuple[tuple[str, str], ...] = ()
    files: tuple[Upload, ...] = ()
    size_bytes: int = 0  # of the whole body, also when it was too large to be read
    broken: bool = False  # the body could not be read as what its content type says


class Fate(Enum):
    """What becomes of an answer on its way."""

    ANSWER = "answer"
    NO_CONNECT = "no_connect"  # there never was a connection: nothing was processed
    DROP_BEFORE = "drop_before"  # the connection broke, nothing was processed
    DROP_AFTER = "drop_after"  # processed (and charged), but the connection broke before the answer
    CUT = "cut"  # the connection breaks in the middle of the body
    HANG = "hang"  # processed, and never answered


@dataclass(frozen=True, slots=True)
class Answer:
    """What the API says, before anything happens to it on its way. Header names in lower case."""

    status: int
    body: bytes
    headers: Mapping[str, str] = field(default_factory=lambda: JSON_HEADERS)


@dataclass(frozen=True, slots=True)
class Reply:
    """What a carrier performs: wait `after_s`, then do what `fate` says with the answer.

    `job` is set when the answer carries the id of a new job: the carrier sets `job.delivered` once
    the answer has left it whole.
    """

    status: int
    body: bytes
    headers: Mapping[str, str]
    after_s: float = 0.0
    fate: Fate = Fate.ANSWER
    job: Job | None = None


def json_answer(status: int, value: object, headers: Mapping[str, str] | None = None) -> Answer:
    """Return *value* as a JSON answer, with more *headers* if there are any."""
    if not headers:
        return Answer(status, orjson.dumps(value))

    return Answer(status, orjson.dumps(value), {**JSON_HEADERS, **headers})


def html_answer(status: int, title: str, headers: Mapping[str, str] | None = None) -> Answer:
    """Return a page as a gateway prints it when the API itself does not answer."""
    page = f"<!DOCTYPE html><html><head><title>{title}</title></head><body><h1>{title}</h1></body>"
    return Answer(status, page.encode() + b"</html>", {**HTML_HEADERS, **(headers or {})})
