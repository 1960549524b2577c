"""From bytes and headers to values: what every dialect needs and no API owns.

Rule: whatever a server sends, nothing here raises. What cannot be read is None or empty, and the
dialect decides what that means. Every text that a person may see is cleaned on its way in, because
an answer is somebody else's text on our user's terminal.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from html import unescape
from typing import Any
from urllib.parse import quote

import orjson

from batcher.core.exchange import Response
from batcher.core.settings import JOB_ID_CHARS_MAX

TEXT_CHARS_MAX = 300  # of a message from outside: enough to act on, short enough for one line
WORD_CHARS_MAX = 100  # of a code, a status word, a request id
FIELDS_MAX = 50  # per-field messages that are kept of one refusal
AMOUNT_MAX = 1e9  # of money; more cannot be meant, and the books could not hold it
PAGE_BYTES_MAX = 8_192  # of an HTML page that is searched for something readable

_BOM = b"\xef\xbb\xbf"
_ANSI = re.compile(r"\x1b\[[0-?]*[ -/]*[@-~]|\x1b\][^\x07\x1b]{0,500}(?:\x07|\x1b\\)|\x1b.")
_DECIMAL = re.compile(r"-?\d{1,12}(?:\.\d{0,9})?", re.ASCII)
_UNRESERVED = re.compile(r"[A-Za-z0-9_.~-]+")  # what no URL encodes (RFC 3986, 2.3)
_PAGE_TITLE = re.compile(r"<title[^>]{0,200}>([^<]{1,500})", re.IGNORECASE)
_PAGE_NOISE = re.compile(
    r"<(?:script|style)\b.*?(?:</(?:script|style)>|\Z)|<[^>]*>|<[^>]*\Z", re.I | re.S
)
_FLAGS = {"true": True, "1": True, "false": False, "0": False}
_REQUEST_ID_HEADERS = ("x-request-id", "request-id", "x-correlation-id", "x-trace-id", "cf-ray")


def decode_json(body: bytes) -> Any | None:
    """Return the value of a JSON text, or None if it is not one.

    Strict where leniency would guess: NaN, Infinity, numbers beyond a double, bad UTF-8, lone
    surrogates and a cut text are unreadable. A byte order mark alone is forgiven.
    """
    try:
        return orjson.loads(body.removeprefix(_BOM))
    except (ValueError, RecursionError):
        return None


def json_object(body: bytes) -> Mapping[str, Any]:
    """Return a body's JSON object, or an empty one for everything else."""
    return as_object(decode_json(body))


def as_object(value: object) -> Mapping[str, Any]:
    """Return *value* if it is an object, or an empty one (PHP writes an empty object as `[]`)."""
    return value if isinstance(value, dict) else {}


def job_id_of(value: object) -> str | None:
    """Return the job id that *value* is, or None if no job could be found again by it.

    A usable id is a whole number or a printable text of at most `JOB_ID_CHARS_MAX` characters.
    `.` and `..` are none: they vanish from a URL's path even when encoded (RFC 3986, 6.2.2).
    """
    text = str(value) if isinstance(value, int) and not isinstance(value, bool) else value
    if not isinstance(text, str) or not 0 < len(text) <= JOB_ID_CHARS_MAX:
        return None

    usable = text.isprintable() and bool(text.strip()) and text not in {".", ".."}
    return text if usable else None


def encoded(job_id: str) -> str:
    """Return a job id as one piece of a URL: every reserved character, also `/`, is encoded."""
    return job_id if _UNRESERVED.fullmatch(job_id) else quote(job_id, safe="")


def clean(text: str, chars_max: int = TEXT_CHARS_MAX) -> str:
    """Return *text* as one printable line: no escape sequences, control or bidi characters."""
    if len(text) <= chars_max:
        line = " ".join(text.split())
        if line.isprintable():  # as it nearly always is; an escape character is not
            return line

    bounded = _ANSI.sub("", text[: chars_max * 10])
    line = "".join(char for char in " ".join(bounded.split()) if char.isprintable())
    return line if len(line) <= chars_max else line[: chars_max - 1] + "…"


def text_of(value: object, chars_max: int = TEXT_CHARS_MAX) -> str:
    """Return a string or a number as one clean line, everything else as an empty one."""
    if isinstance(value, str):
        return clean(value, chars_max)

    if isinstance(value, int | float) and not isinstance(value, bool):
        return clean(str(value), chars_max)

    return ""


def word_of(value: object) -> str:
    """Return a status word in lower case; empty if the value is none."""
    return clean(value, WORD_CHARS_MAX).lower() if isinstance(value, str) else ""


def raw_of(value: object) -> str | None:
    """Return any JSON value as short text, to be kept beside our reading of it; None = absent."""
    if value is None or value == "":
        return None

    text = value if isinstance(value, str) else json_text(value)
    return clean(text or "unreadable", WORD_CHARS_MAX)


def json_text(value: object) -> str | None:
    """Return a JSON value as text, or None: what was read may be nested too deep to be written."""
    try:
        return orjson.dumps(value).decode()
    except TypeError:
        return None


def url_of(value: object) -> str | None:
    """Return *value* if it can be a URL: a printable text without blanks."""
    usable = isinstance(value, str) and value.isprintable() and value and " " not in value
    return value if usable and isinstance(value, str) else None


def number_of(value: object) -> float | None:
    """Return a JSON number, or a text that is a plain decimal, as a float."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return float(value)

    return float(value) if isinstance(value, str) and _DECIMAL.fullmatch(value) else None


def amount_of(value: object) -> float | None:
    """Return an amount of money in the currency's unit, or None for what cannot be one."""
    amount = number_of(value)
    return amount if amount is not None and abs(amount) <= AMOUNT_MAX else None


def flag_of(value: object) -> bool | None:
    """Return a yes or no, also as 1 and 0 or as a text of either; None = it is neither."""
    return _FLAGS.get(str(value).lower()) if isinstance(value, bool | int | str) else None


def fields_of(value: object) -> dict[str, list[str]] | None:
    """Return per-field messages from the forms that APIs write them in, or None.

    Read are `{"width": ["…"]}`, `{"width": "…"}` and `[{"field": "width", "messages": ["…"]}]`.
    """
    if not value:
        return None

    if isinstance(value, list):
        items = [as_object(item) for item in value]
        pairs = [(item.get("field"), item.get("messages", item.get("message"))) for item in items]
    else:
        pairs = list(as_object(value).items())

    fields: dict[str, list[str]] = {}
    for name, messages in pairs[:FIELDS_MAX]:
        if isinstance(name, str):
            fields.setdefault(clean(name, WORD_CHARS_MAX), []).extend(_lines(messages))

    return fields or None


def _lines(value: object) -> list[str]:
    """Return a message or a list of messages as clean lines."""
    values = value if isinstance(value, list) else [value]
    return [line for line in map(text_of, values[:FIELDS_MAX]) if line]


def request_id_of(response: Response) -> str | None:
    """Return the server's own id of this call, which its support will ask for."""
    headers = response.headers
    for name in _REQUEST_ID_HEADERS:
        if name in headers and (value := clean(headers[name], WORD_CHARS_MAX)):
            return value

    return None


def is_page(response: Response) -> bool:
    """Tell whether a web page came back: a gateway or a wrong address spoke, not the API."""
    declared = "html" in response.headers.get("content-type", "").lower()
    return declared or response.body.lstrip()[:1] == b"<"


def readable(response: Response) -> str:
    """Return a short text for an answer whose body is not the API's own JSON."""
    if not response.body.strip():
        return f"HTTP {response.status} with an empty body"

    text = response.body[:PAGE_BYTES_MAX].decode("utf-8", "replace").replace("\ufffd", "")
    if not is_page(response):
        return clean(f"HTTP {response.status}, not a readable answer: {text}")

    title = _PAGE_TITLE.search(text)
    gist = title.group(1) if title else _PAGE_NOISE.sub(" ", text)
    return clean(f"HTTP {response.status}, a web page instead of an answer: {unescape(gist)}")
