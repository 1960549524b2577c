"""Numbers as the page writes them."""

from __future__ import annotations

from datetime import UTC, datetime

from batcher.core.model import iso
from batcher.report.text import count_text, duration_text

DAY_S = 86_400.0


def share_text(part: int, whole: int) -> str:
    """Return a share in percent that is never rounded to all or to nothing: `99.9 %`."""
    if not part or part == whole:
        return "100 %" if part else "0 %"

    percent = 100 * part / whole
    if 0 < percent < 0.1:
        return "under 0.1 %"

    if 99.9 < percent < 100:
        return "over 99.9 %"

    return f"{percent:.1f} %"


def seconds_text(seconds: float) -> str:
    """Return a duration in three digits, or in its two largest units: `38 ms`, `1.07 s`, `2 h`."""
    if seconds < 0.9995:
        return f"{seconds * 1_000:.0f} ms"

    if seconds < 99.95:
        return f"{seconds:.3g} s"

    return duration_text(seconds)


def bytes_text(size: int) -> str:
    """Return `812 B`, `84 KB`, `1.2 MB`."""
    for unit, name in ((1_000_000_000, "GB"), (1_000_000, "MB"), (1_000, "KB")):
        if size >= unit:
            return f"{size / unit:.3g} {name}"

    return f"{count_text(size)} B"


def rate_text(per_s: float) -> str:
    """Return how many in the unit that gives a number to read: `20.6/s`, `45/min`, `3/h`."""
    for factor, unit in ((1, "s"), (60, "min"), (3_600, "h")):
        if per_s * factor >= 1:
            return f"{digits_text(per_s * factor)}/{unit}"

    return f"{digits_text(per_s * DAY_S)}/d" if per_s else "0/s"


def digits_text(number: float) -> str:
    """Return a number in three digits or more: `0.25`, `12.5`, `1,250`."""
    return f"{number:,.0f}" if number >= 100 else f"{number:.3g}"


def clock_text(at: float, *, has_seconds: bool, has_day: bool) -> str:
    """Return a time of day in UTC, with its day if it needs one."""
    try:
        when = datetime.fromtimestamp(at, UTC)
    except (OverflowError, OSError, ValueError):  # a clock that was far off
        return "?"

    day = f"{when.day} {when:%b} " if has_day else ""
    return f"{day}{when:%H:%M:%S}" if has_seconds else f"{day}{when:%H:%M}"


def moment_text(at: float | None) -> str:
    """Return a moment in whole: `2026-11-22 12:58:20 UTC`."""
    try:
        text = iso(at)
    except (OverflowError, OSError, ValueError):
        return "?"

    return "" if text is None else f"{text[:10]} {text[11:19]} UTC"
