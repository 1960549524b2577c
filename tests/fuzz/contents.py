"""Harnesses for what a file host sends: pictures, files, names, addresses.

Rule: any bytes are judged without an error and within a few reads; a file is refused by
`DownloadFailed` alone; whatever a row is called, its file's name is one component of the folder.
"""

from __future__ import annotations

import socket
from contextlib import suppress
from pathlib import PurePosixPath

from yarl import URL

from batcher.adapters.download.answer import _CODE
from batcher.adapters.download.checks import (
    DownloadFailed,
    check_whole,
    checked_kind,
    checked_url,
    is_public,
    wanted_ending,
)
from batcher.adapters.download.folder import Place
from batcher.core.names import STEM_BYTES_MAX, kind_of, safe_stem
from batcher.core.pictures import Read, pixels_of
from batcher.core.wholeness import is_cut, is_json
from tests.fuzz.scratch import scratch

ENDINGS = ("png", "jpg", "gif", "svg", "webp", "bmp", "tiff", "psd", "json", "zip", "")
READS_MAX = 2_000  # of one picture's header: as many segments as are walked through, and more
BASE = URL("https://files.example/a/b?sig=1")


def picture(data: bytes) -> None:
    """Read a picture's size from its header."""
    count = 0

    def read(offset: int, size: int) -> bytes:
        nonlocal count
        count += 1
        assert offset >= 0
        assert 0 <= size <= len(data) + 4_096
        return data[offset : offset + size]

    found = pixels_of(read)
    assert count <= READS_MAX
    assert found is None or min(found) > 0


def whole(data: bytes) -> None:
    """Judge whether a file is whole, whatever it is taken for."""
    read = _reader(data)
    is_json(read, len(data))
    for ending in ENDINGS:
        is_cut(ending, read, len(data))


def content(data: bytes) -> None:
    """Check a file that came: what it is, and whether it is what was asked for."""
    kind_of(data[:512])
    _CODE.search(data[:4_096])
    for wanted in ("png", "json", "txt", ""):
        with suppress(DownloadFailed):
            kind = checked_kind(data[:512], wanted)
            ending, media_type = check_whole(kind, wanted, _reader(data), len(data))
            assert ending.isascii()
            assert ending.isalnum(), "an ending leads out of the folder"
            assert media_type.isprintable()


def name(data: bytes) -> None:
    """Name the file of a row: its id, a line end, its variant."""
    row_id, _, variant = data.decode("utf-8", "surrogateescape").partition("\n")
    stem = safe_stem(row_id, variant)
    assert Place(scratch(), stem).is_safe
    assert (scratch() / stem).parent == scratch()
    assert len(stem.encode()) <= STEM_BYTES_MAX
    assert stem.isprintable()
    assert "\\" not in stem
    assert ":" not in stem
    assert not stem.startswith((".", "-"))


def address(data: bytes) -> None:
    """Judge an address that the API named, or that a redirect leads to."""
    text = data.decode("utf-8", "replace")
    for base in (None, BASE):
        with suppress(DownloadFailed):
            url = checked_url(text, base)
            assert url.scheme == "https" if base else url.scheme in ("http", "https")
            assert url.host
            ending = wanted_ending(None, url.path)
            assert "/" not in ending
            assert PurePosixPath(f"x.{ending}").name == f"x.{ending}"

    if len(data) in (4, 16):
        family = socket.AF_INET if len(data) == 4 else socket.AF_INET6
        is_public(socket.inet_ntop(family, data))


def _reader(data: bytes) -> Read:
    def read(offset: int, size: int) -> bytes:
        assert offset >= 0
        assert size >= 0
        return data[offset : offset + size]

    return read
