"""Names of files: harmless whatever the row is called, and never the same for two."""

from __future__ import annotations

import unicodedata
from pathlib import PurePosixPath, PureWindowsPath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batcher.core.names import (
    ROWS_PER_FOLDER,
    STEM_BYTES_MAX,
    ending_of,
    kind_of,
    safe_stem,
    subfolder_of,
)
from tests.support.pictures import WHOLE

NASTY = st.text(st.sampled_from("aA.-~_/\\\0\n: \u202e\u0301é日\ud800%*?C"), max_size=12)
IDS = st.one_of(
    NASTY, st.text(max_size=300), st.sampled_from(["con", "a", "a.b", "..", "", "é", "é"])
)
VARIANTS = st.one_of(st.sampled_from(["final", "b", "b.c", "shadowTop", ""]), NASTY)
RESERVED = ("con", "prn", "aux", "nul", "com1", "lpt9")


@pytest.mark.parametrize(
    ("row_id", "variant", "stem"),
    [
        ("sku-1", "clipping", "sku-1.clipping"),
        ("SKU_1.front", "shadowTop", "SKU_1.front.shadowTop"),
        ("größe-42", "final", "größe-42.final"),
    ],
)
def test_harmless_name_is_used_as_it_is(row_id: str, variant: str, stem: str) -> None:
    """Who reads the folder finds the rows."""
    assert safe_stem(row_id, variant) == stem


@pytest.mark.parametrize(
    ("row_id", "begins"),
    [
        ("a/b", "a_b.final~"),
        ("../../etc/passwd", "_.._.._etc_passwd.final~"),
        (".hidden", "_.hidden.final~"),
        ("-rf", "_-rf.final~"),
        ("CON", "_CON.final~"),
        ("com1.txt", "_com1.txt.final~"),
        ("a b", "a_b.final~"),
        ("a\0b\x1b[31m", "a_b__31m.final~"),
        ("invoice\u202egnp.exe", "invoice_gnp.exe.final~"),
        ("e\u0301", "é.final~"),
        ("日" * 100, "日日日"),
    ],
)
def test_harmful_name_is_mended_and_marked(row_id: str, begins: str) -> None:
    """What had to be changed says so by a hash, and stays readable."""
    stem = safe_stem(row_id, "final")
    assert stem.startswith(begins)
    assert len(stem.rpartition("~")[2]) == 16


@pytest.mark.parametrize(
    "twins",
    [
        (("é", "x"), ("e\u0301", "x")),
        (("a/b", "x"), ("a_b", "x")),
        (("a.b", "c"), ("a", "b.c")),
        (("a", "b/c"), ("a/b", "c")),
        (("a/b", "c.d"), ("a/b.c", "d")),
        (("1:a", ""), ("1", ":a")),
        (("x" * 200, "a"), ("x" * 201, "a")),
    ],
)
def test_twins_are_told_apart(twins: tuple[tuple[str, str], tuple[str, str]]) -> None:
    """Rows that look alike get different files."""
    assert safe_stem(*twins[0]) != safe_stem(*twins[1])


@given(IDS, VARIANTS)
def test_name_never_escapes(row_id: str, variant: str) -> None:
    """A name is one harmless component on any system, printable, normalised, and not too long."""
    stem = safe_stem(row_id, variant)
    assert PurePosixPath(stem).name == stem == PureWindowsPath(stem).name
    assert stem.isprintable()
    assert not set(stem) & set('/\\:*?"<>|%~ ') - {"~"}
    assert not stem.startswith((".", "-"))
    assert not stem.endswith(".")
    assert stem.split(".")[0].casefold() not in RESERVED
    assert len(stem.encode()) <= STEM_BYTES_MAX
    assert unicodedata.is_normalized("NFC", stem)


@given(st.tuples(IDS, VARIANTS), st.tuples(IDS, VARIANTS))
def test_name_is_never_shared(one: tuple[str, str], other: tuple[str, str]) -> None:
    """Two different pairs never get the same name."""
    assert (safe_stem(*one) == safe_stem(*other)) == (one == other)


@pytest.mark.parametrize(
    ("n", "subfolder"),
    [
        (1, ""),
        (2_500, ""),
        (2_501, "rows-0002501-0005000"),
        (5_000, "rows-0002501-0005000"),
        (5_001, "rows-0005001-0007500"),
        (10_000_000, "rows-9997501-10000000"),
    ],
)
def test_subfolder_is_named_for_its_rows(n: int, subfolder: str) -> None:
    """Small runs have none; a large one's name says which rows are in it."""
    assert subfolder_of(n) == subfolder


@given(st.integers(1, 10**9), st.integers(1, 10**9))
def test_subfolder_holds_its_rows_and_no_other(one: int, other: int) -> None:
    """Two rows share one exactly if they are of the same 2,500."""
    same = (one - 1) // ROWS_PER_FOLDER == (other - 1) // ROWS_PER_FOLDER
    assert (subfolder_of(one) == subfolder_of(other)) == same
    first, last = map(int, subfolder_of(one).split("-")[1:] or ("1", "2500"))
    assert first <= one <= last


@pytest.mark.parametrize(
    ("word", "ending"),
    [("JPEG", "jpg"), (".jpg", "jpg"), ("tif", "tiff"), ("text", "txt"), ("PSD", "psd"), ("", "")],
)
def test_spellings_of_a_format_are_one(word: str, ending: str) -> None:
    """`jpeg` asked and `jpg` delivered is what was asked for."""
    assert ending_of(word) == ending


@pytest.mark.parametrize("name", WHOLE)
def test_whole_pictures_are_known(name: str) -> None:
    """The first 512 bytes are enough for every format."""
    ending, content = WHOLE[name]
    kind = kind_of(content[:512])
    assert kind is not None
    assert kind[0] == ending


@pytest.mark.parametrize(
    ("head", "ending"),
    [
        (b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", "png"),
        (b"\xff\xd8\xff\xe0\0\x10JFIF", "jpg"),
        (b"RIFF\x24\0\0\0WEBPVP8 ", "webp"),
        (b"RIFF\x24\0\0\0WAVEfmt ", None),
        (b"GIF89a\1\0\1\0", "gif"),
        (b"II*\0\x08\0\0\0", "tiff"),
        (b"MM\0*\0\0\0\x08", "tiff"),
        (b"8BPS\0\1\0\0", "psd"),
        (b"BM\x36\0\0\0\0\0\0\0\x36", "bmp"),
        (b"BMW is a car maker", "txt"),
        (b"\0\0\0\x1cftypavif\0\0\0\0mif1", "avif"),
        (b"\0\0\0\x1cftypmif1\0\0\0\0mif1avif", "avif"),
        (b"\0\0\0\x1cftypheic\0\0\0\0", "heic"),
        (b"\0\0\0\x1cftypisom\0\0\0\0", "mp4"),
        (b"%PDF-1.7\n", "pdf"),
        (b'<svg xmlns="http://www.w3.org/2000/svg">', "svg"),
        (b'<?xml version="1.0"?>\n<svg>', "svg"),
        (b'<?xml version="1.0"?><!DOCTYPE svg PUBLIC "x"><!-- long -->', "svg"),
        (b"<!DOCTYPE html><html><svg>", "html"),
        (b"\xef\xbb\xbf  <HTML>", "html"),
        (b'<?xml version="1.0"?><Error><Code>AccessDenied</Code></Error>', "xml"),
        (b'{"error":"not found"}', "json"),
        (b"\n[1]", "json"),
        (b"plain words \xc3", "txt"),  # cut within a character
        (b"plain \xff words", None),
        (b"", None),
        (b"   ", None),
        (b"\0\1\2\3", None),
    ],
)
def test_kind_is_read_from_the_bytes(head: bytes, ending: str | None) -> None:
    """A file is what its first bytes say; a page is never a picture."""
    kind = kind_of(head)
    assert (kind and kind[0]) == ending
