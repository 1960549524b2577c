"""Sizes of pictures, read from their first bytes."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batcher.simulator.pixels import size_of
from batcher.simulator.samples import sample

WEBP = b"RIFF\0\0\0\0WEBP"
JPEG = b"\xff\xd8\xff\xe1\x00\x08Exif\0\0"


@pytest.mark.parametrize(
    ("head", "size"),
    [
        (b"GIF89a" + struct.pack("<HH", 300, 200), (300, 200)),
        (b"BM" + bytes(16) + struct.pack("<ii", 300, -200), (300, 200)),
        (WEBP + b"VP8X" + bytes(8) + b"\x2b\x01\0\xc7\0\0", (300, 200)),
        (WEBP + b"VP8 " + bytes(10) + struct.pack("<HH", 300, 200), (300, 200)),
        (WEBP + b"VP8L" + bytes(5) + struct.pack("<I", 299 | 199 << 14), (300, 200)),
        (JPEG + b"\xff\xc4\x00\x02" + b"\xff\xc2\x00\x11\x08\x00\xc8\x01\x2c", (300, 200)),
        (b"\xff\xd8\xff\xe1\xff\xff", None),
        (b"II*\0", None),
        (b"", None),
    ],
)
def test_a_head_tells_the_size(head: bytes, size: tuple[int, int] | None) -> None:
    """Each format that deAPI takes, with metadata before the frame of a JPEG."""
    assert size_of(head) == size


def test_real_files_tell_theirs() -> None:
    """The samples, also filled up: then a JPEG's comments stand before its frame."""
    for form in ("png", "jpg", "webp"):
        assert size_of(sample(form)) == size_of(sample(form, 9000)) == (64, 64)


@given(st.sampled_from([sample(f) for f in ("png", "jpg", "webp")]), st.integers(0, 400))
def test_a_head_that_is_cut_is_no_error(whole: bytes, length: int) -> None:
    """The right size, or none."""
    assert size_of(whole[:length]) in ((64, 64), None)
