"""Taking secrets out of whatever is about to be logged.

Rule: a value is made of plain JSON first and redacted then, so that nothing hides in an object's
own text. Redacted are the run's secrets wherever they stand, user and password of any URL, and the
parts of a query that sign or authorize. Long texts are cut after that, never through a secret.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from urllib.parse import quote

import orjson

from batcher.core.secret import Secret

TEXT_CHARS_MAX = 8_192
MARGIN_CHARS = 4_096  # read beyond the cut, so that a secret which stands across it is seen whole
DEPTH_MAX = 16
HIDDEN = "***"
SUSPECT = (b"://", b"=")  # without these no URL shows a user and no query a signature
USER_INFO = re.compile(r"(?<=://)[^/?#\s\"'<>\\]*@")
SIGNATURES = re.compile(
    r"([?&;](?:[\w.%-]*(?:token|key|secret|password|signature|credential)[\w.%-]*|sig|x-amz-[\w-]*)=)"
    r"[^&;#\s\"'<>\\]+",
    re.IGNORECASE,
)


class Redaction:
    """Knows the secrets of a run and takes them out."""

    def __init__(self, secrets: Sequence[Secret]) -> None:
        self._spellings: set[str] = set()
        self._needles: tuple[bytes, ...] = SUSPECT
        self._secrets: re.Pattern[str] | None = None
        for secret in secrets:
            self.hide(secret)

    def hide(self, secret: Secret) -> None:
        """Take one more secret out from now on, such as a key that replaced another."""
        self._spellings |= _spellings(secret.reveal())
        longest_first = sorted(map(re.escape, self._spellings), key=len, reverse=True)
        self._secrets = re.compile("|".join(longest_first))
        self._needles = (*SUSPECT, *{_in_json(text) for text in self._spellings})

    def is_clean(self, line: bytes) -> bool:
        """Whether an encoded line holds nothing that could have to be taken out or cut.

        JSON spells a text letter by letter, so a secret in a value stands in its line as it is
        spelled alone.
        """
        if len(line) > TEXT_CHARS_MAX:
            return False

        for needle in self._needles:  # noqa: SIM110 - for each line: a generator takes twice as long
            if needle in line:
                return False

        return True

    def value(self, value: object, depth: int = DEPTH_MAX) -> object:
        """Return *value* as plain JSON without secrets."""
        if value is None or isinstance(value, bool | float):
            return value

        if isinstance(value, int):
            return value if -(2**63) <= value < 2**63 else str(value)

        if isinstance(value, str):
            return self.text(value)

        if isinstance(value, bytes):
            return self.text(value[: TEXT_CHARS_MAX + MARGIN_CHARS].decode("utf-8", "replace"))

        if depth and isinstance(value, Mapping):
            return {self.text(str(k)): self.value(v, depth - 1) for k, v in value.items()}

        if depth and isinstance(value, list | tuple | set | frozenset):
            return [self.value(item, depth - 1) for item in value]

        return self.text(_text_of(value))

    def text(self, text: str) -> str:
        """Return *text* without secrets, no longer than `TEXT_CHARS_MAX`."""
        is_cut = len(text) > TEXT_CHARS_MAX + MARGIN_CHARS
        text = text[: TEXT_CHARS_MAX + MARGIN_CHARS]
        if self._secrets is not None:
            text = self._secrets.sub(HIDDEN, text)

        if "://" in text:
            text = USER_INFO.sub(HIDDEN + "@", text)

        if "=" in text:
            text = SIGNATURES.sub(r"\1" + HIDDEN, text)

        if is_cut:  # half a secret may stand at the end
            text = text[:-MARGIN_CHARS]

        if is_cut or len(text) > TEXT_CHARS_MAX:
            text = text[:TEXT_CHARS_MAX] + "…"

        return text if text.isascii() else text.encode("utf-8", "backslashreplace").decode()


def _spellings(secret: str) -> set[str]:
    """Return a secret as itself, as a URL writes it, and as JSON does."""
    return {secret, quote(secret, safe=""), json.dumps(secret)[1:-1]}


def _in_json(text: str) -> bytes:
    """Return a text as the log's lines spell it."""
    return orjson.dumps(text.encode("utf-8", "replace").decode())[1:-1]


def _text_of(value: object) -> str:
    try:
        return str(value)
    except Exception:
        return f"<{type(value).__name__}>"
