"""The contact sheet: result images, made small.

Rule: Pillow decodes, and only what has been measured first. Every image is bounded in bytes and in
pixels before it is decoded, only formats that results come in are tried, and whatever fails is left
out: a page must not fail because of a picture. Files outside the run's folders are not opened,
whatever a record says.
"""

from __future__ import annotations

import base64
import io
import warnings
from collections.abc import Callable, Iterable, Sequence
from importlib import import_module
from importlib.util import find_spec
from os.path import relpath
from pathlib import Path
from typing import Any
from urllib.parse import quote

from batcher.report.page.facts import Picture, Pictures

SHOWN_MAX = 24
SIDE_PX = 200
FILE_BYTES_MAX = 50_000_000
PIXELS_MAX = 40_000_000  # decoded: 160 MB, one at a time
TEXT_CHARS_MAX = 560_000  # of all addresses together
EACH_CHARS_MAX = 40_000
FORMATS = ("PNG", "JPEG", "WEBP", "GIF")
QUALITIES = (78, 50, 25)
NO_PILLOW = (
    "Thumbnails need the extra “image”: pip install 'batcher[image]', then make the page anew."
)


def contact_sheet(
    samples: Sequence[tuple[str, str]],
    *,
    files: int,
    folders: Sequence[Path],
    page: Path,
    tell: Callable[[object, int], str],
) -> Pictures:
    """Return thumbnails of *samples*, (row id, path from the first of *folders*), evenly chosen.

    *folders* are where results may be; *page* is where the page will be, for the links.
    """
    if not samples:
        return Pictures(files=files)

    if find_spec("PIL") is None:
        return Pictures(files=files, note=NO_PILLOW)

    shown, used = [], 0
    for row_id, path in _evenly(samples, SHOWN_MAX):
        file = _within(folders, path)
        made = None if file is None else _thumbnail(file)
        if file is None or made is None or used + len(made[0]) > TEXT_CHARS_MAX:
            continue

        used += len(made[0])
        shown.append(Picture(tell(row_id, 80), link_to(file, page), *made))

    note = "" if shown else "No result file could be shown: moved, too large, or no image."
    return Pictures(tuple(shown), files, note)


def link_to(file: Path, page: Path) -> str:
    """Return the relative address of a file, which no browser takes for a scheme or a host."""
    return quote("./" + relpath(file.absolute(), page.absolute().parent).replace("\\", "/"))


def _evenly(samples: Sequence[tuple[str, str]], count_max: int) -> Iterable[tuple[str, str]]:
    step = max(1.0, len(samples) / count_max)
    return (samples[int(n * step)] for n in range(min(count_max, len(samples))))


def _within(folders: Sequence[Path], path: str) -> Path | None:
    """Return the file that *path* names if it is a file below one of *folders*."""
    try:
        file = (folders[0] / path).resolve(strict=True)
        is_ours = any(file.is_relative_to(folder.resolve()) for folder in folders)
        is_good = is_ours and file.is_file() and file.stat().st_size <= FILE_BYTES_MAX
    except (OSError, ValueError, RuntimeError):  # gone, a NUL in its name, a loop of links
        return None

    return file if is_good else None


def _thumbnail(file: Path) -> tuple[str, int, int] | None:
    """Return a small copy as a `data:` address, with its width and height; None = not possible."""
    images: Any = import_module("PIL.Image")
    ops: Any = import_module("PIL.ImageOps")
    try:
        with warnings.catch_warnings(), images.open(file, formats=FORMATS) as image:
            warnings.simplefilter("ignore")
            if image.width * image.height > PIXELS_MAX:
                return None

            image.draft("RGB", (2 * SIDE_PX, 2 * SIDE_PX))  # JPEG: decodes a fraction
            image.thumbnail((SIDE_PX, SIDE_PX))
            small = ops.exif_transpose(image)
            small = small.convert("RGBA" if small.has_transparency_data else "RGB")
            texts = (_address(small, quality) for quality in QUALITIES)
            text = next((text for text in texts if len(text) <= EACH_CHARS_MAX), None)
            return None if text is None else (text, small.width, small.height)
    except Exception:  # decoders meet hostile bytes, and raise whatever comes
        return None


def _address(image: Any, quality: int) -> str:
    data = io.BytesIO()
    image.save(data, "WEBP", quality=quality, method=4)
    return f"data:image/webp;base64,{base64.b64encode(data.getvalue()).decode()}"
