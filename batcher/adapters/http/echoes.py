"""Echoes: an answer that quotes what was sent does not bring a secret into a record or a log.

An API that says which key it refused, or what it was sent, says it as it is, or as a URL or JSON
spell it. Of JSON that is any letter as its number, which means the same and is written plainly
here. The body stays as it was but for that and the secrets.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from urllib.parse import quote

from batcher.core.secret import Secret

HIDDEN = "***"
_ESCAPE = re.compile(rb"\\\\|\\u00([2-7][0-9a-fA-F])")  # the first: a backslash, not its escape
_KEPT = frozenset(b'"\\\x7f')  # written plainly they would mean something else


class Echoes:
    """How some secrets may be spelled in an answer. Made once for a key: every answer is read."""

    __slots__ = ("_encoded", "_spellings")

    def __init__(self, secrets: Iterable[Secret]) -> None:
        self._spellings = tuple(dict.fromkeys(_spellings(secrets)))
        self._encoded = tuple(spelling.encode() for spelling in self._spellings)

    def blotted(self, body: bytes) -> bytes:
        """Return an answer's body without the secrets."""
        if b"\\u00" in body:
            body = _ESCAPE.sub(_plain, body)

        for spelling in self._encoded:
            body = body.replace(spelling, HIDDEN.encode())

        return body

    def blotted_headers(self, headers: dict[str, str]) -> dict[str, str]:
        """Return an answer's headers without the secrets."""
        told = "\n".join(headers.values())
        for spelling in self._spellings:
            if spelling in told:
                headers = {name: text.replace(spelling, HIDDEN) for name, text in headers.items()}

        return headers


def _spellings(secrets: Iterable[Secret]) -> Iterable[str]:
    for secret in secrets:
        if value := secret.reveal():
            yield from (value, value.replace("/", "\\/"), quote(value, safe=""))


def _plain(found: re.Match[bytes]) -> bytes:
    """Return the letter that an escape of JSON stands for."""
    code = None if found[1] is None else int(found[1], 16)
    return found[0] if code is None or code in _KEPT else bytes([code])
