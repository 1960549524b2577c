"""One request and its answer, as values, and the port that carries them.

Rule: a request says what to send, never how. Bodies of files are named by path and streamed by the
transport; the API key is added by the transport and is never part of a request.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

import msgspec

from batcher.core.secret import Secret


@dataclass(frozen=True, slots=True)
class FilePart:
    """One file of a multipart body, read from disk while it is sent."""

    field: str
    path: str
    filename: str
    content_type: str
    size_bytes: int | None = None  # when it was looked at; of another size, it is not sent


@dataclass(frozen=True, slots=True)
class Request:
    """What to send. With `json` the body is JSON; with `form` or `files` it is multipart."""

    method: str
    path: str  # below the base URL, begins with "/"; the query is part of it, encoded
    # Not shown: where the API is to call, and with which secret, stands in them.
    json: bytes | None = field(default=None, repr=False)
    form: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    files: tuple[FilePart, ...] = ()
    # Beside the transport's own. Not shown: our name for an attempt travels in them.
    headers: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    # Among what is sent: an answer that echoes them is blotted. A secret equals itself alone.
    secrets: tuple[Secret, ...] = field(default=(), compare=False)


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
