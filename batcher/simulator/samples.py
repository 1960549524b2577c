"""One small valid file of every result format, with its real magic bytes.

Rule: what a client checks in a result (kind, completeness) holds for these; what is on the picture
does not matter: 64 x 64 transparent pixels, or white where the format has no transparency.
"""

from __future__ import annotations

import base64
import struct
from collections.abc import Mapping
from functools import cache
from typing import Final

CONTENT_TYPES: Final[Mapping[str, str]] = {
    "png": "image/png",
    "jpg": "image/jpeg",
    "jpeg": "image/jpeg",
    "webp": "image/webp",
    "tiff": "image/tiff",
    "psd": "image/vnd.adobe.photoshop",
    "txt": "text/plain; charset=utf-8",
    "json": "application/json",
}

RECOGNISED_TEXT: Final = "batcher simulator"  # what every text recognition finds


@cache
def sample(form: str, bytes_min: int = 0) -> bytes:
    """Return a file of the format *form*, filled up with zeros (blanks for text) to *bytes_min*."""
    filler = b" " if form in ("txt", "json") else b"\0"
    return _SAMPLES[form].ljust(bytes_min, filler)


_PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAEAAAABACAYAAACqaXHeAAAAl0lEQVR4nO3QQREAIAzAMEDI/EtBFjLyoFHQ674z62dH"
    "B2gN0AFaA3SA1gAdoDVAB2gN0AFaA3SA1gAdoDVAB2gN0AFaA3SA1gAdoDVAB2gN0AFaA3SA1gAdoDVAB2gN0AFaA3SA"
    "1gAdoDVAB2gN0AFaA3SA1gAdoDVAB2gN0AFaA3SA1gAdoDVAB2gN0AFaA3SA1gAdoD2UoQGEONeKTAAAAABJRU5ErkJg"
    "gg=="
)
_WEBP = base64.b64decode("UklGRiAAAABXRUJQVlA4TBMAAAAvP8APEAcQEREAEsL/91pE/1M/AA==")
_JPEG = base64.b64decode(
    "/9j/4AAQSkZJRgABAQAAAQABAAD/2wBDAP//////////////////////////////////////////////////////////"
    "////////////////////////////wAALCABAAEABASIA/8QAHwAAAQUBAQEBAQEAAAAAAAAAAAECAwQFBgcICQoL/8QA"
    "tRAAAgEDAwIEAwUFBAQAAAF9AQIDAAQRBRIhMUEGE1FhByJxFDKBkaEII0KxwRVS0fAkM2JyggkKFhcYGRolJicoKSo0"
    "NTY3ODk6Q0RFRkdISUpTVFVWV1hZWmNkZWZnaGlqc3R1dnd4eXqDhIWGh4iJipKTlJWWl5iZmqKjpKWmp6ipqrKztLW2"
    "t7i5usLDxMXGx8jJytLT1NXW19jZ2uHi4+Tl5ufo6erx8vP09fb3+Pn6/9oACAEBAAA/AEoooooooooooooooooooooo"
    "ooooooooooooooooooooooooooooooooor//2Q=="
)


def _tiff() -> bytes:
    """Return one grey pixel: a little-endian header, one directory, one strip."""
    entries = [(256, 1), (257, 1), (258, 8), (259, 1), (262, 1), (273, 0), (277, 1), (278, 1)]
    strip_at = 8 + 2 + 12 * (len(entries) + 1) + 4
    tags = [(tag, strip_at if tag == 273 else value) for tag, value in entries] + [(279, 1)]
    packed = b"".join(struct.pack("<HHIHH", tag, 3, 1, value, 0) for tag, value in tags)
    directory = struct.pack("<H", len(tags)) + packed + struct.pack("<I", 0)
    return b"II*\0" + struct.pack("<I", 8) + directory + b"\xff"


def _psd() -> bytes:
    """Return one white RGB pixel: header, three empty sections, raw channels."""
    header = b"8BPS" + struct.pack(">H6xHIIHH", 1, 3, 1, 1, 8, 3)
    return header + bytes(12) + struct.pack(">H", 0) + b"\xff\xff\xff"


_SAMPLES: Final[Mapping[str, bytes]] = {
    "png": _PNG,
    "jpg": _JPEG,
    "jpeg": _JPEG,
    "webp": _WEBP,
    "tiff": _tiff(),
    "psd": _psd(),
    "txt": RECOGNISED_TEXT.encode(),
    "json": b'{"text":"' + RECOGNISED_TEXT.encode() + b'"}',
}
