"""Width and height of an image, read from its first bytes.

Rule: what a head does not tell is None, never an error and never a guess.
"""

from __future__ import annotations

import struct
from typing import Final

Size = tuple[int, int]


def size_of(head: bytes) -> Size | None:
    """Return (width, height) in pixels of a PNG, GIF, BMP, WebP or JPEG."""
    try:
        if head.startswith(b"\x89PNG\r\n\x1a\n") and head[12:16] == b"IHDR":
            return _pair(">II", head, 16)

        if head.startswith((b"GIF87a", b"GIF89a")):
            return _pair("<HH", head, 6)

        if head.startswith(b"BM"):
            width, height = _pair("<ii", head, 18)
            return width, abs(height)  # a negative height: its lines stand top to bottom

        if head.startswith(b"RIFF") and head[8:12] == b"WEBP":
            return _of_webp(head)

        return _of_jpeg(head) if head.startswith(b"\xff\xd8\xff") else None
    except (struct.error, IndexError):
        return None  # the head ends before the size


def _pair(form: str, head: bytes, at: int) -> Size:
    first, second = struct.unpack_from(form, head, at)
    return first, second


def _of_webp(head: bytes) -> Size | None:
    """Read the first chunk: lossy, lossless or extended (RFC 9649, section 2)."""
    match head[12:16]:
        case b"VP8X":
            width, height = (int.from_bytes(head[at : at + 3], "little") for at in (24, 27))
            return (width + 1, height + 1) if len(head) >= 30 else None
        case b"VP8L":
            (bits,) = struct.unpack_from("<I", head, 21)
            return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
        case b"VP8 ":
            width, height = _pair("<HH", head, 26)
            return width & 0x3FFF, height & 0x3FFF
        case _:
            return None


# Start of frame, all kinds (ITU T.81, table B.1); C4, C8 and CC are other markers.
_FRAMES: Final = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}


def _of_jpeg(head: bytes) -> Size | None:
    """Walk the segments to the frame."""
    at = 2
    while head[at] == 0xFF:
        marker = head[at + 1]
        if marker in _FRAMES:
            height, width = _pair(">HH", head, at + 5)
            return width, height

        at += 2 + struct.unpack_from(">H", head, at + 2)[0]

    return None
