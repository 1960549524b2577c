"""What Removit takes: its parameters, its files, and what can be wrong with a row.

Source of every name, value and MIME type: https://removit.eu/en/docs/endpoints/upload. The checks
between fields are the API's own 422 rules (https://removit.eu/en/docs/errors), met before sending.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from itertools import islice
from urllib.parse import urlsplit

from batcher.providers.base import Files, Problem
from batcher.providers.parameters import OWN_COLUMNS, Kind, Parameter, faults, near_misses
from batcher.providers.reading import clean, text_of, url_of
from batcher.providers.uploads import Upload

PARAMETERS = (
    Parameter(
        "mode",
        "what to make: background, clipping (the API's default) or params",
        choices=("background", "clipping", "params"),
    ),
    Parameter(
        "params",
        "with mode=params: the name of a parameter set of the account, or an object",
        kinds=(Kind.OBJECT, Kind.STRING),
    ),
    Parameter(
        "delivery_mode",
        "url (all outputs by name, the API's default) or final_url (one output)",
        choices=("url", "final_url"),
    ),
    Parameter(
        "output_format",
        "png (the API's default), jpg, jpeg, psd, tiff or webp",
        choices=("png", "jpg", "jpeg", "psd", "tiff", "webp"),
    ),
)
COLUMNS = (*OWN_COLUMNS, *(parameter.name for parameter in PARAMETERS))
KNOWN = frozenset(COLUMNS)

# Such an address has a scheme and a host, whatever stands behind them. Others are taken apart.
_PLAIN_ADDRESS = re.compile(r"https?://[A-Za-z0-9.-]+(?:[/?#]|\Z)")

NAMES_MAX = 8  # columns that a message lists
NAME_CHARS_MAX = 40

UPLOAD = Upload(
    field="file",
    types={
        ".png": "image/png",
        ".jpg": "image/jpeg",
        ".jpeg": "image/jpeg",
        ".webp": "image/webp",
        ".gif": "image/gif",
        ".avif": "image/avif",
        ".tif": "image/tiff",
        ".tiff": "image/tiff",
        ".psd": "image/vnd.adobe.photoshop",
        ".svg": "image/svg+xml",
    },
)


def row_problems(
    values: Mapping[str, object], sent: Mapping[str, object], files: Files
) -> list[Problem]:
    """Return everything that is wrong with a row: its own *values*, and what would be *sent*."""
    found = _source_problems(values, sent.get("file_url"), files)
    found += faults(PARAMETERS, sent)
    found += _params_problems(sent)
    return found if KNOWN.issuperset(values) else found + near_misses(COLUMNS, values)


def _source_problems(values: Mapping[str, object], url: object, files: Files) -> list[Problem]:
    """Return what is wrong with where the image comes from: one source, and a usable one."""
    has_file = bool(files) or values.get("file") not in (None, "", [])
    if has_file and url is not None:
        return [Problem("file_url", "the row has both `file` and `file_url`; give one")]

    if url is not None:
        rule = "must be an absolute http:// or https:// address that is publicly reachable"
        return [] if _is_web_address(url) else [Problem("file_url", rule)]

    if files:
        return UPLOAD.problems(files)

    return [Problem("file", "cannot be found" if has_file else _needs_source(values))]


def _needs_source(values: Mapping[str, object]) -> str:
    """Say what a row has instead: most often it is a column that only wants another name."""
    names = [clean(name, NAME_CHARS_MAX) for name in islice(values, NAMES_MAX)]
    more = ["…"] if len(values) > NAMES_MAX else []
    has = f"; has: {', '.join(names + more)}" if names else ""
    return f"needs `file` or `file_url`{has}"


def _is_web_address(value: object) -> bool:
    """Tell whether a value is an absolute http(s) URL with a host."""
    url = url_of(value)
    if url is None:
        return False

    if _PLAIN_ADDRESS.match(url):
        return True

    try:
        parts = urlsplit(url)
        return parts.scheme in ("http", "https") and bool(parts.hostname)
    except ValueError:
        return False


def _params_problems(sent: Mapping[str, object]) -> list[Problem]:
    """Return what is wrong between `mode` and `params`."""
    mode, params = sent.get("mode"), sent.get("params")
    if mode == "params" and params in (None, {}):
        text = "is required with mode=params: the name of a parameter set, or an object"
        return [Problem("params", text)]

    if params is None or mode == "params":
        return []

    if mode is None:
        # Sent like this it would be paid for as a plain clipping, which nobody can have meant.
        return [Problem("mode", "is missing beside params; set mode=params to use them")]

    text = f"is used with mode=params only, and not sent with mode={text_of(mode)}"
    return [Problem("params", text, warning=True)]
