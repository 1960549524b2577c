"""What Removit's upload accepts: https://removit.eu/en/docs/endpoints/upload.

Rule: everything that the page does not allow is an error under the name of its field; the message
texts that are not printed there are ours. Fields that the page does not name are refused as well,
though the page does not say so: a client that sends them has a defect.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping
from typing import Final

import orjson

from batcher.simulator.ledger import Order
from batcher.simulator.wire import Upload

FIELDS: Final = ("file_url", "file", "mode", "params", "delivery_mode", "output_format")
CHOICES: Final[Mapping[str, tuple[str, ...]]] = {
    "mode": ("clipping", "background", "params"),
    "delivery_mode": ("url", "final_url"),
    "output_format": ("png", "jpg", "jpeg", "psd", "tiff", "webp"),
}
MIME_TYPES: Final = frozenset(
    {
        "image/png",
        "image/jpeg",
        "image/webp",
        "image/gif",
        "image/avif",
        "image/tiff",
        "image/x-tiff",
        "application/tiff",
        "image/vnd.adobe.photoshop",
        "application/vnd.adobe.photoshop",
        "image/svg+xml",
    }
)

_NO_SOURCE = "You must provide either file_url or file"
_BAD_CHOICE = "The value you selected is not a valid choice."
_BAD_URL = "The background image must be an http/https URL."

Details = dict[str, list[str]]


def problems(form: Mapping[str, object]) -> Details:
    """Return what is wrong with the fields of an upload, by field."""
    details: Details = {name: ["This field was not expected."] for name in form.keys() - FIELDS}
    details |= _source_problems(form)
    for name, choices in CHOICES.items():
        if name in form and form[name] not in choices:
            details[name] = [_BAD_CHOICE]

    params = _params(form)
    if params is _UNUSABLE:
        details["params"] = ["This value should be a name or an object."]
    elif params is None and form.get("mode") == "params":
        details["params"] = ["This value is required when mode is params."]

    return details


def order_of(form: Mapping[str, object], price: int) -> Order:
    """Return what an upload without problems orders, at *price* nanos."""
    return Order(
        task=_choice(form, "mode"),
        format=str(form.get("output_format", "png")),
        single=_choice(form, "delivery_mode") == "final_url",
        price=price,
    )


def _choice(form: Mapping[str, object], name: str) -> str:
    return str(form.get(name, CHOICES[name][0]))


def _source_problems(form: Mapping[str, object]) -> Details:
    url, file = form.get("file_url"), form.get("file")
    if url is None and file is None:
        return {"file": [_NO_SOURCE]}

    if url is not None and file is not None:
        return {"file": ["You must provide either file_url or file, not both"]}

    if file is not None:
        return _file_problems(file)

    return {} if isinstance(url, str) and _is_public(url) else {"file_url": [_BAD_URL]}


def _file_problems(file: object) -> Details:
    if not isinstance(file, Upload):
        return {"file": ["This value should be an uploaded file."]}

    if file.size_bytes == 0:
        return {"file": ["An empty file is not allowed."]}

    if file.content_type.partition(";")[0].strip().lower() not in MIME_TYPES:
        return {"file": [f"The mime type of the file is invalid ({file.content_type})."]}

    return {}


_URL: Final = re.compile(
    r"https?://(?:[^/?#@]*@)?(?P<host>\[[^\]/]*\]|[^/?#:@\[\]]+)(?::[0-9]{1,5})?(?:[/?#].*)?",
    re.IGNORECASE,
)


def _is_public(url: str) -> bool:
    """Whether *url* is absolute http(s) and does not point into a private network by its name."""
    match = _URL.fullmatch(url)
    if match is None or not url.isprintable() or " " in url:
        return False

    host = match["host"].lower()
    if host == "localhost" or host.endswith(".localhost"):
        return False

    if host[0] == "[" or host.replace(".", "").isdigit():
        return _is_global(host.strip("[]"))

    return True


def _is_global(address: str) -> bool:
    try:
        return ipaddress.ip_address(address).is_global
    except ValueError:
        return False


_UNUSABLE: Final = object()


def _params(form: Mapping[str, object]) -> object:
    """Return the parameter set (a name or an object), None without one, or `_UNUSABLE`.

    How an object travels in multipart is not documented: a text that reads as a JSON object is one.
    """
    params = form.get("params")
    if params is None or isinstance(params, dict):
        return params

    if not isinstance(params, str):
        return _UNUSABLE

    if params.lstrip().startswith("{"):
        try:
            orjson.loads(params)
        except orjson.JSONDecodeError:
            return _UNUSABLE

    return params.strip() or None
