"""Echoes: an answer that quotes what was sent does not bring a secret into a record or a log.

An API that says which key it refused, or what it was sent, says it as it is, or as a URL or JSON
spell it. Of JSON that is any letter as its number, which means the same and is written plainly
here. The body stays as it was but for that and the secrets.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import replace
from itertools import chain
from urllib.parse import quote

from batcher.core.exchange import Response
from batcher.core.secret import Secret

HIDDEN = "***"
_ESCAPE = re.compile(rb"\\\\|\\u00([2-7][0-9a-fA-F])")  # the first: a backslash, not its escape
_KEPT = frozenset(b'"\\\x7f')  # written plainly they would mean something else


def without_secrets(secrets: Iterable[Secret], answer: Response) -> Response:
    """Return an answer that does not say what is secret, in its body or its headers."""
    values = [value for secret in secrets if (value := secret.reveal())]
    spelled = ((value, value.replace("/", "\\/"), quote(value, safe="")) for value in values)
    spellings = dict.fromkeys(chain.from_iterable(spelled))

    def blotted(text: str) -> str:
        for spelling in spellings:
            text = text.replace(spelling, HIDDEN)

        return text

    body = _ESCAPE.sub(_plain, answer.body) if b"\\u00" in answer.body else answer.body
    for spelling in spellings:
        body = body.replace(spelling.encode(), HIDDEN.encode())

    headers = {name: blotted(text) for name, text in answer.headers.items()}
    return replace(answer, body=body, headers=headers)


def _plain(found: re.Match[bytes]) -> bytes:
    """Return the letter that an escape of JSON stands for."""
    code = None if found[1] is None else int(found[1], 16)
    return found[0] if code is None or code in _KEPT else bytes([code])
