"""The size of a picture by its header: right where it is known, None for everything else."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batcher.core.pictures import HEAD_BYTES, SEGMENTS_MAX, Read, pixels_of
from tests.support import pictures
from tests.support.pictures import WHOLE, reader

SIDES = st.integers(1, 16_000)


@given(SIDES, SIDES)
def test_width_and_height_are_read(width: int, height: int) -> None:
    """Every format says the same: the width first."""
    for content in (
        pictures.png(width, height)[:33],
        pictures.jpeg(width, height),
        pictures.jpeg(width, height, frame=0xC2),
        pictures.gif(width, height),
        pictures.bmp(width, height, rows=False),
        pictures.webp(width, height),
        pictures.webp(width, height, packing="VP8L"),
        pictures.webp(width, height, packing="VP8X"),
    ):
        assert pixels_of(reader(content)) == (width, height)


@pytest.mark.parametrize(
    ("content", "size"),
    [
        (pictures.bmp(5, 7, os2=True), (5, 7)),
        (pictures.bmp(5, 7, top_down=True), (5, 7)),
        (pictures.jpeg(5, 7, headers=200), (5, 7)),
        (pictures.png(0, 7), None),
        (pictures.jpeg(5, 0), None),
        (pictures.jpeg(5, 7, headers=SEGMENTS_MAX), None),
        (pictures.jpeg()[:40], None),
        (b"\x89PNG\r\n\x1a\n" + b"\xff" * 30, None),
        (b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + b"\xff" * 30, None),
        (b"RIFF\xff\0\0\0WEBPVP8 " + bytes(20), None),
        (b"RIFF\xff\0\0\0WEBPVP8X", None),
        (b"BM" + b"\xff" * 60, None),
        (pictures.tiff(), None),
        (b"<svg width='5' height='7'/>", None),
        (b"", None),
    ],
)
def test_what_is_not_known_is_none(content: bytes, size: tuple[int, int] | None) -> None:
    """Nothing is guessed of damaged headers, and other formats are not read."""
    assert pixels_of(reader(content)) == size


MAGIC = st.sampled_from([content[:30] for _, content in WHOLE.values()])


def counted(read: Read, sizes: list[int]) -> Read:
    """Return the same, noting how much is asked for."""

    def note(offset: int, size: int) -> bytes:
        sizes.append(size)
        return read(offset, size)

    return note


@given(st.one_of(st.binary(max_size=200), st.tuples(MAGIC, st.binary(max_size=200)).map(b"".join)))
def test_any_bytes_are_read_without_an_error(content: bytes) -> None:
    """Noise has a size, or none; it is no error, and no more is read of it than of a picture."""
    sizes: list[int] = []
    size = pixels_of(counted(reader(content), sizes))
    assert size is None or min(size) > 0
    assert sum(sizes) <= HEAD_BYTES + 5 * SEGMENTS_MAX


def test_endless_headers_are_given_up() -> None:
    """Fill bytes without end cost a few hundred small reads."""
    sizes: list[int] = []
    assert pixels_of(counted(reader(b"\xff\xd8" + b"\xff" * 1_000_000), sizes)) is None
    assert sum(sizes) < 4_000
