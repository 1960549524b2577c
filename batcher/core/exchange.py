"""One request and its answer, as values, and the port that carries them.

Rule: a request says what to send, never how. Bodies of files are named by path and streamed by the
transport; the API key is added by the transport and is never part of a request.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import msgspec
from msgspec.structs import astuple

from batcher.core.secret import Secret


@dataclass(frozen=True, slots=True)
class FilePart:
    """One file of a multipart body, read from disk while it is sent."""

    field: str
    path: str
    filename: str
    content_type: str
    size_bytes: int | None = None  # when it was looked at; of another size, it is not sent


class Request(msgspec.Struct, frozen=True):
    """What to send. With `json` the body is JSON; with `form` or `files` it is multipart.

    Its text is its method and path: where the API is to call, with which secret, and our name for
    an attempt stand in the rest.
    """

    method: str
    path: str  # below the base URL, begins with "/"; the query is part of it, encoded
    json: bytes | None = None
    form: tuple[tuple[str, str], ...] = ()
    files: tuple[FilePart, ...] = ()
    headers: tuple[tuple[str, str], ...] = ()  # beside the transport's own
    secrets: tuple[Secret, ...] = ()  # among what is sent: an answer that echoes them is blotted

    def __eq__(self, other: object) -> bool:
        """Compare all but the secrets: one of them equals itself alone."""
        return isinstance(other, Request) and astuple(self)[:-1] == astuple(other)[:-1]

    def __hash__(self) -> int:
        return hash(astuple(self)[:-1])

    def __repr__(self) -> str:
        return f"Request({self.method} {self.path})"

    def __rich_repr__(self) -> list[tuple[str, object]]:
        return [("method", self.method), ("path", self.path)]


class Response(msgspec.Struct, frozen=True):
    """An answer whose headers were read whole. `body` is complete, decompressed and bounded."""

    status: int
    body: bytes = b""
    headers: Mapping[str, str] = msgspec.field(default_factory=dict)  # names in lower case
    received_at: float = 0.0  # epoch seconds


class Transport(Protocol):
    """Carry one request. No retry, no redirect, no decision."""

    async def send(self, request: Request, *, timeout_s: float) -> Response:
        """Send *request* and return its answer, whatever its status.

        Raises `NotSent` when nothing can have reached the API (DNS, refused or timed-out connect,
        TLS, a local file that is unreadable or has changed, found before the first byte) and `Lost`
        for everything else that is not a whole answer: reset, end of file, timeout, a body that is
        too large, cut or cannot be decompressed, a local file that changes while it is sent.
        """
        ...
