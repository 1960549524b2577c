"""Cut files are found, whole ones are let pass: for every format, at every length."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batcher.core import wholeness
from batcher.core.wholeness import is_cut, is_json
from batcher.simulator.samples import sample
from tests.support.pictures import WHOLE, psd, reader, tiff


def cut(ending: str, content: bytes) -> bool:
    """Return whether a file of this content counts as cut."""
    return is_cut(ending, reader(content), len(content))


@pytest.mark.parametrize("name", WHOLE)
def test_whole_file_passes(name: str) -> None:
    """Also with something behind its end, as some servers add it."""
    ending, content = WHOLE[name]
    assert not cut(ending, content)
    for more in (b"\0", bytes(10_000)):
        assert not cut(ending, content + more)


@pytest.mark.parametrize("name", WHOLE)
def test_cut_file_is_found_at_every_length(name: str) -> None:
    """Each byte less is one byte too few; only an SVG can be cut behind a tag, and not be seen."""
    ending, content = WHOLE[name]
    for length in range(8, len(content), max(1, len(content) // 2_000)):
        begins = content[:length]
        assert cut(ending, begins) or (ending == "svg" and begins.endswith(b">"))


def test_an_end_mark_between_two_pieces_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    """A large JPEG is looked through piece by piece, wherever the borders fall."""
    _, content = WHOLE["jpg"]
    for size in range(2, 40):
        monkeypatch.setattr(wholeness, "SCAN_BYTES", size)
        assert not cut("jpg", content)
        assert cut("jpg", content[:-1])


@pytest.mark.parametrize("form", ["png", "jpg", "webp", "tiff", "psd"])
def test_padded_result_is_whole(form: str) -> None:
    """A result that is filled up with zeros to a megabyte is whole."""
    assert not cut(form, sample(form, 1_000_000))


@given(st.sampled_from(sorted(WHOLE)), st.binary(max_size=300), st.integers(0, 200))
def test_any_bytes_are_judged_without_an_error(name: str, noise: bytes, keep: int) -> None:
    """Whatever follows the first bytes, the answer is yes or no."""
    ending, content = WHOLE[name]
    assert cut(ending, content[:keep] + noise) in (True, False)


@pytest.mark.parametrize(
    ("ending", "content"),
    [
        ("psd", psd(packing=2)),  # zipped: how long that is nobody says
        ("tiff", tiff().replace(b"II*\0", b"II+\0")),
        ("tiff", tiff(strips=0)),
        ("psd", psd(0, 0, packing=1)),
        ("avif", b"\0\0\0\x1cftypavif"),
        ("bin", b""),
    ],
)
def test_what_nobody_can_tell_is_not_cut(ending: str, content: bytes) -> None:
    """A good file is never thrown away on a suspicion."""
    assert not cut(ending, content)


def test_far_lengths_are_no_error() -> None:
    """A length of 64 bits leads out of every file, and nothing is read there."""
    huge = psd(version=2)[:34] + b"\0\0\0\2\0\0" + b"\xff" * 8
    seen: list[int] = []

    def read(offset: int, size: int) -> bytes:
        seen.append(offset)
        return huge[offset : offset + size]

    assert is_cut("psd", read, len(huge))
    assert max(seen) < 100


@pytest.mark.parametrize(
    ("content", "whole"),
    [
        (b'{"a":1}', True),
        (b'\xef\xbb\xbf ["x"]\n', True),
        (b'"text"', True),
        (b'{"a":NaN}', True),  # as servers in Python and JavaScript write it
        (b'{"a":1', False),
        (b'{"a":"\xff"}', False),
        (b"[1] see below", False),
        (b"[" * 100_000, False),
        (b"", False),
    ],
)
def test_json_is_parsed(content: bytes, whole: bool) -> None:
    """A text that begins like JSON is JSON only if it ends like it."""
    assert is_json(reader(content), len(content)) == whole


def test_huge_json_is_judged_by_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is not read into memory."""
    monkeypatch.setattr(wholeness, "JSON_BYTES_MAX", 10)
    assert is_json(reader(b'{"a":"long enough"}\n'), 20)
    assert not is_json(reader(b'{"a":"long enough"'), 18)
