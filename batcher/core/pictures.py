"""How large a picture is, by its header: jpg, png, gif, bmp, webp.

Rule: a few small reads, whatever the bytes are, and never an error: what is no picture, is damaged
or says 0 has no size that is known. Width and height are the stored ones: a camera's note that the
picture is to be shown turned is not obeyed, as the servers' own checks do not obey it either.

Not a library's work, because files are hostile: theirs read as much as a header tells them to.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

Pixels = tuple[int, int]  # width and height
Read = Callable[[int, int], bytes]  # (offset, size) -> so many bytes, fewer at the end of the file

HEAD_BYTES = 32
SEGMENTS_MAX = 500  # of a JPEG, before its picture: a colour profile of 16 MB has 255
PIXELS_MAX = 1 << 30  # a side that is longer is noise

_NO_FRAMES = (0xC4, 0xC8, 0xCC)  # of the markers C0 to CF, which else begin a frame (ITU-T T.81)
_BARE = (0x01, *range(0xD0, 0xD9))  # markers without a length
_START_OF_SCAN = 0xDA


def pixels_of(read: Read) -> Pixels | None:
    """Return width and height of the picture that *read* reads, or None."""
    head = read(0, HEAD_BYTES)
    if head.startswith(b"\x89PNG\r\n\x1a\n") and head[12:16] == b"IHDR":
        size = _big(head[16:20]), _big(head[20:24])
    elif head[:6] in (b"GIF87a", b"GIF89a"):
        size = _little(head[6:8]), _little(head[8:10])
    elif head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        size = _webp(head)
    elif head[:2] == b"BM" and head[6:10] == bytes(4):
        size = _bmp(head)
    elif head.startswith(b"\xff\xd8\xff"):
        size = _jpeg(read)
    else:
        return None

    return size if all(0 < side <= PIXELS_MAX for side in size) else None


def segments(read: Read) -> Iterator[tuple[int, int, int]]:
    """Yield (marker, offset, size) of a JPEG's segments, up to the first scan."""
    at = 2
    for _ in range(SEGMENTS_MAX):
        head = read(at, 4)
        if len(head) < 4 or head[0] != 0xFF:
            return

        marker, size = head[1], _big(head[2:4]) - 2
        if marker == 0xFF:  # a fill byte
            at += 1
        elif marker in _BARE:
            at += 2
        elif size < 0:
            return
        else:
            yield marker, at + 4, size
            at += 4 + size
            if marker == _START_OF_SCAN:
                return


def scan_of(read: Read) -> int | None:
    """Return where the picture itself begins in a JPEG, behind its headers, or None."""
    return next(
        (at + size for marker, at, size in segments(read) if marker == _START_OF_SCAN), None
    )


def _jpeg(read: Read) -> Pixels:
    for marker, at, size in segments(read):
        if 0xC0 <= marker <= 0xCF and marker not in _NO_FRAMES:
            frame = read(at, 5) if size >= 5 else b""
            return _big(frame[3:5]), _big(frame[1:3])

    return 0, 0


def _webp(head: bytes) -> Pixels:
    """Read the first chunk (RFC 9649): lossy, lossless or extended."""
    if len(head) < 30:
        return 0, 0

    if head[12:16] == b"VP8 " and head[23:26] == b"\x9d\x01\x2a":
        return _little(head[26:28]) & 0x3FFF, _little(head[28:30]) & 0x3FFF

    if head[12:16] == b"VP8L" and head[20] == 0x2F:
        bits = _little(head[21:25])
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1

    if head[12:16] == b"VP8X":
        return _little(head[24:27]) + 1, _little(head[27:30]) + 1

    return 0, 0


def _bmp(head: bytes) -> Pixels:
    if _little(head[14:18]) == 12:  # the header of OS/2
        return _little(head[18:20]), _little(head[20:22])

    height = int.from_bytes(head[22:26], "little", signed=True)  # below 0: the top row is first
    return _little(head[18:22]), abs(height)


def _big(raw: bytes) -> int:
    return int.from_bytes(raw, "big")


def _little(raw: bytes) -> int:
    return int.from_bytes(raw, "little")
