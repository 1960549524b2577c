"""What a downloaded file is called, and what it is: the row names it, its own bytes type it.

Rule: nothing that a server says reaches a file name, and nothing in a row's id can lead out of the
folder. Two different (row, variant) pairs never get the same name:

* A harmless id and variant are used as they are, `sku-1.clipping`: a variant without a dot makes
  the last dot the border, so the pair can be read back.
* Everything else is made harmless and gets `~` and a hash of the pair. `~` is not harmless, so
  this cannot be taken for the first kind.

Ids that differ only in upper and lower case keep their two names, which are one file where the
file system ignores case. Names are therefore no proof there: the downloader never overwrites a
different file, and numbers the second one.

Rows beyond the first 2,500 have their files in subfolders of 2,500 rows each, named for them. Which
one is told by the row's number alone, so every process finds a row's files in the same place.
"""

from __future__ import annotations

import codecs
import hashlib
import re
import unicodedata

STEM_BYTES_MAX = 150  # of UTF-8; file systems take 255, and a number, an ending and .part follow
HASH_CHARS = 16  # 64 bits: no two of ten million rows meet by chance

ROWS_PER_FOLDER = 2_500  # with up to four files each no folder has more than 10,000

_RESERVED = re.compile(r"(?i)(con|prn|aux|nul|com[0-9¹²³]|lpt[0-9¹²³])(\..*)?")  # Windows' devices
_PUNCTUATION = frozenset("-_.+=@,()")  # besides letters, digits and marks of any script
_VARIANT = re.compile(r"[A-Za-z0-9_-]+")

_SYNONYMS = {"jpeg": "jpg", "jfif": "jpg", "tif": "tiff", "text": "txt"}

Kind = tuple[str, str]  # the ending of the file's name, and its media type


def safe_stem(row_id: str, variant: str) -> str:
    """Return the name, without an ending, of a row's file: one component, harmless and unique."""
    plain = f"{row_id}.{variant}"
    if _VARIANT.fullmatch(variant) and _is_harmless(row_id, plain):
        return plain

    # Python strings may hold lone surrogates (JSON can write them); they hash like anything else.
    pair = f"{len(row_id)}:{row_id}{variant}".encode("utf-8", "surrogatepass")
    mark = "~" + hashlib.sha256(pair).hexdigest()[:HASH_CHARS]
    readable = "".join(map(_harmless, unicodedata.normalize("NFC", plain)))
    if readable.startswith((".", "-")) or _RESERVED.fullmatch(readable):
        readable = "_" + readable

    return _cut(readable, STEM_BYTES_MAX - len(mark)) + mark


def subfolder_of(n: int) -> str:
    """Return the subfolder for the files of row number *n*, from 1; "" = the folder itself."""
    first = (n - 1) // ROWS_PER_FOLDER * ROWS_PER_FOLDER + 1
    return f"rows-{first:07}-{first + ROWS_PER_FOLDER - 1:07}" if first > 1 else ""


def ending_of(word: str) -> str:
    """Return the ending that a format's name, or an ending of any spelling, stands for."""
    word = word.lower().lstrip(".")
    return _SYNONYMS.get(word, word)


def kind_of(head: bytes) -> Kind | None:
    """Return what a file is by its first bytes (512 are plenty), or None if nobody knows.

    An error page is `html`, `xml`, `json` or `txt`: never one of the pictures.
    """
    return _binary_kind(head) or _text_kind(head)


def _is_harmless(row_id: str, plain: str) -> bool:
    return (
        row_id != ""
        and all(_harmless(char) == char for char in plain)
        and not plain.startswith((".", "-"))
        and len(plain.encode()) <= STEM_BYTES_MAX
        and unicodedata.is_normalized("NFC", plain)
        and not _RESERVED.fullmatch(plain)
    )


def _harmless(char: str) -> str:
    """Return *char*, or what stands for a separator, control, space, bidi mark or symbol."""
    return char if char in _PUNCTUATION or unicodedata.category(char)[0] in "LNM" else "_"


def _cut(text: str, bytes_max: int) -> str:
    """Cut *text* to so many bytes of UTF-8, between two characters."""
    return text.encode()[:bytes_max].decode(errors="ignore")


# --- Magic bytes -----------------------------------------------------------------------------

_MAGIC: tuple[tuple[bytes, Kind], ...] = (
    (b"\x89PNG\r\n\x1a\n", ("png", "image/png")),
    (b"\xff\xd8\xff", ("jpg", "image/jpeg")),
    (b"GIF87a", ("gif", "image/gif")),
    (b"GIF89a", ("gif", "image/gif")),
    (b"II*\0", ("tiff", "image/tiff")),
    (b"MM\0*", ("tiff", "image/tiff")),
    (b"II+\0", ("tiff", "image/tiff")),  # BigTIFF
    (b"MM\0+", ("tiff", "image/tiff")),
    (b"8BPS\0", ("psd", "image/vnd.adobe.photoshop")),
    (b"%PDF-", ("pdf", "application/pdf")),
    (b"PK\x03\x04", ("zip", "application/zip")),
)

# Brands of ISO base media files (ISO/IEC 14496-12): the first one found is the one that matters.
_BRANDS: tuple[tuple[bytes, Kind], ...] = (
    (b"avif", ("avif", "image/avif")),
    (b"avis", ("avif", "image/avif")),
    (b"hei", ("heic", "image/heic")),
    (b"mif1", ("heic", "image/heif")),
    (b"", ("mp4", "video/mp4")),
)


def _binary_kind(head: bytes) -> Kind | None:
    if head[4:8] == b"ftyp":
        return next(kind for brand, kind in _BRANDS if brand in head[8:40])

    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return ("webp", "image/webp")

    if head[:2] == b"BM" and head[6:10] == b"\0\0\0\0":  # reserved; a text can begin with BM
        return ("bmp", "image/bmp")

    return next((kind for magic, kind in _MAGIC if head.startswith(magic)), None)


def _text_kind(head: bytes) -> Kind | None:
    try:
        # Not final: the last character may be cut.
        text = codecs.getincrementaldecoder("utf-8-sig")().decode(head)
    except UnicodeDecodeError:
        return None

    if not text.strip() or any(ord(char) < 32 and char not in "\t\n\f\r" for char in text):
        return None

    return _markup_kind(text.lstrip().lower())


def _markup_kind(text: str) -> Kind:
    if not text.startswith("<"):
        return ("json", "application/json") if text[0] in "{[" else ("txt", "text/plain")

    if "<html" in text or text.startswith(("<!doctype html", "<head", "<body")):
        return ("html", "text/html")

    is_svg = "<svg" in text or "<!doctype svg" in text  # a long comment can stand before the first
    return ("svg", "image/svg+xml") if is_svg else ("xml", "application/xml")
