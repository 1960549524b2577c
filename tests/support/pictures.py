"""Small whole pictures of every format, made by hand, byte by byte."""

from __future__ import annotations

import struct
import zlib

from batcher.core.pictures import Read
from batcher.simulator.samples import sample


def reader(content: bytes) -> Read:
    """Return what reads *content* as a file is read."""
    return lambda offset, size: content[offset : offset + size]


def png(width: int = 3, height: int = 2) -> bytes:
    """Return a grey PNG; of a high one only the first rows."""
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))
        for name, body in (
            (b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)),
            (b"IDAT", zlib.compress((b"\0" + bytes(width)) * min(height, 4))),
            (b"IEND", b""),
        )
    )


def jpeg(width: int = 3, height: int = 2, *, headers: int = 0, frame: int = 0xC0) -> bytes:
    """Return the shape of a JPEG: a thumbnail with its own end, frame, scan, end."""
    thumbnail = b"Exif\0\0\xff\xd8\xff\xc0\0\x0b\x08\0\x01\0\x01\x01\x01\x11\0\xff\xd9"
    return b"".join(
        (
            b"\xff\xd8",
            _segment(0xE1, thumbnail),
            *(_segment(0xE2, bytes(65_533)) for _ in range(headers)),
            b"\xff",  # a fill byte
            _segment(0xC4, bytes(20)),  # the tables of a code, not a frame
            _segment(frame, struct.pack(">BHHB", 8, height, width, 1) + b"\x01\x11\0"),
            _segment(0xDA, b"\x01\x01\0\0\x3f\0"),
            b"picture\xff\0\xff\xd0more",
            b"\xff\xd9",
        )
    )


def _segment(marker: int, body: bytes) -> bytes:
    return struct.pack(">BBH", 0xFF, marker, len(body) + 2) + body


def gif(width: int = 3, height: int = 2) -> bytes:
    """Return a GIF of one colour."""
    head = b"GIF89a" + struct.pack("<HHBBB", width, height, 0x80, 0, 0) + bytes(6)
    return head + b"," + struct.pack("<HHHHB", 0, 0, width, height, 0) + b"\x02\x02D\x01\0;"


def bmp(
    width: int = 3, height: int = 2, *, os2: bool = False, top_down: bool = False, rows: bool = True
) -> bytes:
    """Return a BMP of 24 bits."""
    size = (3 * width + 3) // 4 * 4 * height
    if os2:
        head = struct.pack("<IHHHH", 12, width, height, 1, 24)
    else:
        signed = -height if top_down else height
        head = struct.pack("<IiiHHIIiiII", 40, width, signed, 1, 24, 0, size, 0, 0, 0, 0)

    begin = 14 + len(head)
    return b"BM" + struct.pack("<I4xI", begin + size, begin) + head + bytes(size if rows else 0)


def webp(width: int = 3, height: int = 2, *, packing: str = "VP8 ") -> bytes:
    """Return the shape of a WebP, lossy, lossless or extended."""
    body = {
        "VP8 ": b"\0\0\0\x9d\x01\x2a" + struct.pack("<HH", width, height | 0x4000) + bytes(8),
        "VP8L": b"\x2f" + struct.pack("<I", (height - 1) << 14 | (width - 1)) + bytes(9),
        "VP8X": bytes(4) + (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little"),
    }[packing]
    chunk = packing.encode() + struct.pack("<I", len(body)) + body
    return b"RIFF" + struct.pack("<I", 4 + len(chunk)) + b"WEBP" + chunk


def tiff(order: str = "<", *, directory_first: bool = False, strips: int = 3) -> bytes:
    """Return a grey TIFF in several strips, its directory before or behind them."""
    picture = bytes(range(strips)) * 10
    directory_at = 8 if directory_first else 8 + len(picture)
    lists_at = directory_at + 2 + 12 * 3 + 4
    picture_at = lists_at + 8 * strips if directory_first else 8
    offsets = [picture_at + 10 * n for n in range(strips)]
    entries = [(256, 4, 1, 10), (273, 4, strips, lists_at), (279, 4, strips, lists_at + 4 * strips)]
    directory = struct.pack(f"{order}H", 3)
    directory += b"".join(struct.pack(f"{order}HHII", *entry) for entry in entries) + bytes(4)
    lists = struct.pack(f"{order}{2 * strips}I", *offsets, *[10] * strips)
    head = (b"II" if order == "<" else b"MM") + struct.pack(f"{order}HI", 42, directory_at)
    parts = (directory, lists, picture) if directory_first else (picture, directory, lists)
    return head + b"".join(parts)


def psd(width: int = 3, height: int = 2, *, packing: int = 0, version: int = 1) -> bytes:
    """Return a PSD (version 2: PSB) of one channel: raw, in runs, or zipped."""
    head = b"8BPS" + struct.pack(">H6xHIIHH", version, 1, height, width, 8, 1)
    sections = struct.pack(">I4xI2x", 4, 2) + (bytes(4) if version == 1 else bytes(8))
    lengths = struct.pack(f">{height}{'H' if version == 1 else 'I'}", *[2] * height)
    picture = {0: bytes(width * height), 1: lengths + b"\xfe\0" * height, 2: b"zip"}[packing]
    return head + sections + struct.pack(">H", packing) + picture


WHOLE: dict[str, tuple[str, bytes]] = {  # what it is, and its ending
    "png": ("png", png()),
    "jpg": ("jpg", jpeg()),
    "jpg with a large profile": ("jpg", jpeg(headers=20)),
    "jpg, real": ("jpg", sample("jpg")),
    "gif": ("gif", gif()),
    "bmp": ("bmp", bmp()),
    "bmp of OS/2": ("bmp", bmp(os2=True)),
    "webp": ("webp", webp()),
    "webp, lossless": ("webp", webp(packing="VP8L")),
    "webp, extended": ("webp", webp(packing="VP8X")),
    "webp, real": ("webp", sample("webp")),
    "tiff": ("tiff", tiff()),
    "tiff, big endian": ("tiff", tiff(">")),
    "tiff, directory first": ("tiff", tiff(directory_first=True)),
    "tiff of one strip": ("tiff", sample("tiff")),
    "psd": ("psd", psd()),
    "psd in runs": ("psd", psd(packing=1)),
    "psb in runs": ("psd", psd(packing=1, version=2)),
    "svg": ("svg", b'<svg xmlns="http://www.w3.org/2000/svg"><g/></svg>'),
}
