"""The kinds of fields that deAPI knows: each check returns what a value must be, or nothing.

Rule: a number in multipart is a text of digits, in JSON a number; a file is an `Upload`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Final

from batcher.simulator.wire import Upload

Check = Callable[[object], str]

IMAGE_BYTES_MAX: Final = (
    10_000_000  # https://docs.deapi.ai/limits-and-quotas.md, decimal to be safe
)
IMAGE_SIDE_PIXELS: Final = (64, 5000)
_IMAGE_TYPES: Final = {
    "image/jpeg": ("jpg", "jpeg"),
    "image/png": ("png",),
    "image/gif": ("gif",),
    "image/bmp": ("bmp",),
    "image/x-ms-bmp": ("bmp",),
    "image/webp": ("webp",),
}


def text(value: object) -> str:
    """Check a text."""
    return "" if isinstance(value, str) and value else "must be a string."


def integer(value: object) -> str:
    """Check a whole number, or its digits."""
    if isinstance(value, str):
        digits = value.removeprefix("-")
        return "" if digits.isascii() and digits.isdecimal() else "must be an integer."

    good = isinstance(value, int) and not isinstance(value, bool)
    return "" if good else "must be an integer."


def number(value: object) -> str:
    """Check a number, or its digits."""
    try:
        good = not isinstance(value, bool) and math.isfinite(float(str(value)))
    except ValueError:
        good = False

    return "" if good else "must be a number."


def boolean(value: object) -> str:
    """Check a truth value: `true`, `false`, 1, 0, as text too."""
    good = isinstance(value, (bool, int, str)) and str(value).lower() in _TRUTH
    return "" if good else "must be true or false."


_TRUTH: Final = ("true", "false", "1", "0")


def is_true(value: object) -> bool:
    """Read a value that `boolean` lets pass."""
    return str(value).lower() in ("true", "1")


def choice(*choices: str) -> Check:
    """Return the check for one of these words."""
    return lambda value: "" if value in choices else f"must be one of: {', '.join(choices)}."


def image(value: object) -> str:
    """Check an uploaded image: its kind, its size, and its pixels where its head tells them."""
    if not isinstance(value, Upload) or value.size_bytes == 0:
        return "must be an image."

    extensions = _IMAGE_TYPES.get(value.content_type.partition(";")[0].strip().lower(), ())
    if value.filename.lower().rpartition(".")[2] not in extensions:
        return "must be a file of type: jpg, jpeg, png, gif, bmp, webp."

    if value.size_bytes > IMAGE_BYTES_MAX:
        return f"must not be greater than {IMAGE_BYTES_MAX // 1000} kilobytes."

    least, most = IMAGE_SIDE_PIXELS
    if value.pixels and not all(least <= side <= most for side in value.pixels):
        return "has invalid image dimensions."

    return ""
