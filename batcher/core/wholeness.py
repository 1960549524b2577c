"""Whether a file is there to its end, as far as its own format tells.

Rule: a connection can break in a way that looks like the end of a file, and a storage can keep half
of one; neither may be taken for what was paid for. But a false alarm would throw away a good file,
so a file is called cut only where its own words prove it: a length that leads beyond its end, or an
end mark that is not there. What follows behind the end does no harm.

It checks no checksum and no picture: a whole file can still be of no use.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Callable, Iterator

from batcher.core.pictures import Read, scan_of

CHUNKS_MAX = 100_000  # of a PNG that are walked through; 8 KiB each make 800 MB
ROWS_MAX = 200_000  # of a PSD's or TIFF's table of lengths
SCAN_BYTES = 1_048_576  # of a JPEG that are looked through at a time
TAIL_BYTES = 4_096
JSON_BYTES_MAX = 16_777_216  # what is larger is not parsed


def is_cut(ending: str, read: Read, size_bytes: int) -> bool:
    """Return whether a file of the kind *ending* ends too early; False where nobody can tell."""
    check = _CHECKS.get(ending)
    return check is not None and check(read, size_bytes)


def is_json(read: Read, size_bytes: int) -> bool:
    """Return whether a file is one JSON value; of a huge one only the last character is judged."""
    if size_bytes > JSON_BYTES_MAX:
        return _tail(read, size_bytes).rstrip().endswith((b"}", b"]"))

    try:
        json.loads(read(0, size_bytes))
    except (ValueError, RecursionError):
        return False

    return True


def _tail(read: Read, size_bytes: int) -> bytes:
    return read(max(0, size_bytes - TAIL_BYTES), TAIL_BYTES)


def _png(read: Read, size_bytes: int) -> bool:
    """Walk from chunk to chunk until the one that ends the picture."""
    at = 8
    for _ in range(CHUNKS_MAX):
        head = read(at, 8)
        at += 12 + int.from_bytes(head[:4], "big")
        if len(head) < 8 or at > size_bytes:
            return True

        if head[4:] == b"IEND":
            return False

    return False


def _jpeg(read: Read, size_bytes: int) -> bool:
    """Look for the end mark behind the headers, which can hold a small picture with its own."""
    at = scan_of(read)
    while at is not None and at < size_bytes - 1:
        piece = read(at, SCAN_BYTES)
        if len(piece) < 2:
            break

        if b"\xff\xd9" in piece:
            return False

        at += len(piece) - 1

    return True


def _gif(read: Read, size_bytes: int) -> bool:
    tail = _tail(read, size_bytes).rstrip(b"\0")
    return tail != b"" and not tail.endswith(b";")


def _svg(read: Read, size_bytes: int) -> bool:
    tail = _tail(read, size_bytes).rstrip(b"\0\t\n\f\r ")
    return tail != b"" and not tail.endswith(b">")


def _webp(read: Read, size_bytes: int) -> bool:
    return 8 + int.from_bytes(read(4, 4), "little") > size_bytes


def _bmp(read: Read, size_bytes: int) -> bool:
    return int.from_bytes(read(2, 4), "little") > size_bytes


# --- TIFF: a directory that names strips or tiles (TIFF 6.0, section 2) ------------------------

_ENTRY_BYTES = 12
_OFFSETS, _COUNTS = (273, 324), (279, 325)  # of strips, of tiles
_WIDTHS = {3: "H", 4: "I"}  # type -> unsigned numbers of 2 and 4 bytes


def _tiff(read: Read, size_bytes: int) -> bool:
    """Look at the first directory, and at the strips or tiles that it names."""
    order = "<" if read(0, 2) == b"II" else ">"
    if read(2, 2) != struct.pack(f"{order}H", 42):
        return False  # BigTIFF: nobody sends it

    try:
        lists = dict(_tiff_lists(read, order))
    except _Ends:
        return True

    return any(
        begin + length > size_bytes
        for pair in zip(_OFFSETS, _COUNTS, strict=True)
        for begin, length in zip(*(lists.get(tag, ()) for tag in pair), strict=False)
    )


def _tiff_lists(read: Read, order: str) -> Iterator[tuple[int, tuple[int, ...]]]:
    """Yield what the first directory says of offsets and lengths, by tag."""
    (at,) = _numbers(read, f"{order}I", 4)
    (entries,) = _numbers(read, f"{order}H", at)
    for place in range(at + 2, at + 2 + _ENTRY_BYTES * entries, _ENTRY_BYTES):
        tag, kind, count, value = _numbers(read, f"{order}HHII", place)
        if tag in (*_OFFSETS, *_COUNTS) and kind in _WIDTHS and count <= ROWS_MAX:
            form = f"{order}{count}{_WIDTHS[kind]}"
            yield tag, _numbers(read, form, place + 8 if struct.calcsize(form) <= 4 else value)


class _Ends(Exception):
    """The file ends where it should not."""


def _numbers(read: Read, form: str, at: int) -> tuple[int, ...]:
    """Return the numbers that stand at *at*, as `struct` reads them; raise `_Ends`."""
    raw = read(at, struct.calcsize(form))
    if len(raw) < struct.calcsize(form):
        raise _Ends

    return struct.unpack(form, raw)


# --- PSD: a header, three sections with their lengths, the picture (Adobe's file formats) --------

_RAW, _RUNS = 0, 1  # how the picture is packed; with runs each row's length stands before it


def _psd(read: Read, size_bytes: int) -> bool:
    try:
        return _psd_end(read, size_bytes) > size_bytes
    except _Ends:
        return True


def _psd_end(read: Read, size_bytes: int) -> int:
    """Return where a PSD must end at the earliest."""
    version, channels, height, width, depth = _numbers(read, ">4xH6xHIIH2x", 0)
    at = 26
    for form in (">I", ">I", ">I" if version == 1 else ">Q"):
        (length,) = _numbers(read, form, at)
        at += struct.calcsize(form) + length
        if at > size_bytes:
            raise _Ends

    (packing,) = _numbers(read, ">H", at)
    at += 2
    rows = channels * height
    if packing == _RAW:
        return at + rows * ((width * depth + 7) // 8)

    if packing == _RUNS and rows <= ROWS_MAX:
        form = f">{rows}{'H' if version == 1 else 'I'}"
        return at + struct.calcsize(form) + sum(_numbers(read, form, at))

    return at


_CHECKS: dict[str, Callable[[Read, int], bool]] = {
    "png": _png,
    "jpg": _jpeg,
    "gif": _gif,
    "svg": _svg,
    "webp": _webp,
    "bmp": _bmp,
    "tiff": _tiff,
    "psd": _psd,
}
