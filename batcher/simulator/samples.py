"""One small valid file of every result format, with its real magic bytes.

Rule: what a client checks in a result (kind, completeness) holds for these, whatever size they are
filled up to; what is on the picture does not matter: 64 x 64 transparent pixels, or white where the
format has no transparency.
"""

from __future__ import annotations

import base64
import struct
from collections.abc import Callable, Mapping
from functools import cache
from typing import Final
from zlib import crc32

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
    """Return a whole file of the format *form*, filled up to *bytes_min* where the format has room.

    It is longer by a few bytes if less is missing than a piece of the format takes.
    """
    small = _SAMPLES[form]
    missing = bytes_min - len(small)
    return small if missing <= 0 else _FILL[form](small, missing)


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

# --- Filling up, in each format's own way: the end of the file stays its end ----------------------


def _fill_png(small: bytes, missing: int) -> bytes:
    """Put a private chunk before the last one."""
    body = b"paDd" + bytes(max(0, missing - 12))
    chunk = struct.pack(">I", len(body) - 4) + body + struct.pack(">I", crc32(body))
    return small[:-12] + chunk + small[-12:]


def _fill_jpeg(small: bytes, missing: int) -> bytes:
    """Put comments behind the first marker; one holds 65,533 bytes at most."""
    comments = b""
    while len(comments) < missing:
        text = bytes(min(65_533, max(0, missing - len(comments) - 4)))
        comments += b"\xff\xfe" + struct.pack(">H", len(text) + 2) + text

    return small[:2] + comments + small[2:]


def _fill_webp(small: bytes, missing: int) -> bytes:
    """Append an unknown chunk, which readers pass over, and count it in."""
    text = bytes(max(0, missing - 8))
    chunks = small[8:] + b"PAD " + struct.pack("<I", len(text)) + text + bytes(len(text) % 2)
    return b"RIFF" + struct.pack("<I", len(chunks)) + chunks


def _fill_psd(small: bytes, missing: int) -> bytes:
    """Fill the section of image resources: its length stands behind that of the colour table."""
    return small[:30] + struct.pack(">I", missing) + bytes(missing) + small[34:]


def _fill_end(filler: bytes) -> Callable[[bytes, int], bytes]:
    """Return what appends: zeros that no TIFF directory names, blanks behind a text."""
    return lambda small, missing: small + filler * missing


_FILL: Final[Mapping[str, Callable[[bytes, int], bytes]]] = {
    "png": _fill_png,
    "jpg": _fill_jpeg,
    "jpeg": _fill_jpeg,
    "webp": _fill_webp,
    "tiff": _fill_end(b"\0"),
    "psd": _fill_psd,
    "txt": _fill_end(b" "),
    "json": _fill_end(b" "),
}
