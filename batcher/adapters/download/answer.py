"""What a file host's answer means if it is not the file, and how the rest of a file is asked for.

Rule: an address that is too old is worth one more look at the job, which names a fresh one. File
hosts say so in many ways: 403 above all, 401, 404, 410, and 400 with a word of their own in a small
XML body (S3 and those that speak like it; "Error responses" of the Amazon S3 API reference).
"""

from __future__ import annotations

import contextlib
import re
from dataclasses import dataclass
from typing import Self

import aiohttp
import anyio

from batcher.adapters.download.checks import DownloadFailed, Expired

ERROR_BYTES = 4_096  # of an error's body: its code stands at the beginning
ERROR_S = 5.0  # for as much of it as comes: the status alone says enough

_OLD = (401, 403, 404, 410)  # no key goes there, so also a 401 speaks of the address
_LATER = (408, 425, 429)
_OLD_CODES = frozenset(
    (
        *("AccessDenied", "AuthenticationFailed", "AuthorizationQueryParametersError"),
        *("ExpiredToken", "InvalidToken", "NoSuchKey", "RequestExpired", "RequestTimeTooSkewed"),
        *("SignatureDoesNotMatch", "TokenRefreshRequired"),
    )
)
_CODE = re.compile(rb"<Code>([A-Za-z]{2,40})</Code>")


async def refusal(answer: aiohttp.ClientResponse) -> DownloadFailed:
    """Return what an answer means that is not a file."""
    found = _CODE.search(await _begin(answer))
    code = "" if found is None else found[1].decode()
    status = answer.status
    reason = f"{answer.url.host} answered {status}" + (f" ({code})" if code else "")
    if status in _OLD or (400 <= status < 500 and code in _OLD_CODES):
        return Expired(reason)

    return DownloadFailed(reason, retriable=status in _LATER or status >= 500)


async def _begin(answer: aiohttp.ClientResponse) -> bytes:
    """Return the beginning of a body, as far as it comes."""
    body = b""
    with contextlib.suppress(aiohttp.ClientError), anyio.move_on_after(ERROR_S):
        async for piece in answer.content.iter_chunked(ERROR_BYTES):
            body += piece
            if len(body) >= ERROR_BYTES:
                break

    return body[:ERROR_BYTES]


@dataclass(frozen=True, slots=True)
class Rest:
    """What it takes to ask for the rest of a file after its connection broke (RFC 9110, 13.1.5).

    Only where the host names the file's version by a strong entity tag and its length: then it
    sends the rest of just that version, or all of another one, which is not taken.
    """

    tag: str
    size_bytes: int

    @classmethod
    def of(cls, answer: aiohttp.ClientResponse) -> Self | None:
        """Return how the rest of the file in *answer* could be asked for, or None."""
        tag, size = answer.headers.get("ETag", ""), answer.content_length
        if not tag.startswith('"') or not size or "Content-Encoding" in answer.headers:
            return None

        return cls(tag, size)

    def headers(self, have: int) -> dict[str, str]:
        """Return the headers that ask for what follows the first *have* bytes."""
        return {"Range": f"bytes={have}-", "If-Range": self.tag}

    def is_in(self, answer: aiohttp.ClientResponse, have: int) -> bool:
        """Return whether *answer* brings just that."""
        span = f"bytes {have}-{self.size_bytes - 1}/{self.size_bytes}"
        return (
            answer.status == 206
            and answer.headers.get("Content-Range") == span
            and answer.headers.get("ETag", self.tag) == self.tag
            and "Content-Encoding" not in answer.headers
        )
