"""Bars: a whole and its parts, and a share beside its number.

Rule: a part that is there can be seen, however small it is; the exact numbers stand beside it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from batcher.report.page.charts import named
from batcher.report.page.markup import Markup, tag

BAR_SHARE_MIN = 0.006


@dataclass(frozen=True, slots=True)
class Part:
    """A part of a whole: its style class, its name, how many."""

    cls: str
    name: str
    number: int


def whole(name: str, about: str, parts: Sequence[Part]) -> Markup:
    """Return one bar, divided."""
    shown = [part for part in parts if part.number]
    total = sum(part.number for part in shown) or 1
    widths = [max(part.number / total, BAR_SHARE_MIN) for part in shown]
    scale, at, bars = sum(widths) or 1.0, 0.0, []
    for part, width in zip(shown, widths, strict=True):
        percent = 100 * width / scale
        title = tag("title", f"{part.name}: {part.number:,}")
        bars.append(
            tag(
                "rect",
                title,
                x=f"{at:.2f}%",
                y="0",
                width=f"{percent:.2f}%",
                height="100%",
                cls=f"fill {part.cls}",
            )
        )
        at += percent

    return tag(
        "svg", *named(name, about), *bars, cls="whole", width="100%", height="26", role="img"
    )


def bar(share: float, cls: str = "s-plain") -> Markup:
    """Return a bar for a cell of a table; the number stands beside it."""
    width = f"{max(100 * share, 0.5):.2f}%"
    return tag(
        "svg",
        tag("rect", x="0", y="2", width=width, height="10", rx="2", cls=f"fill {cls}"),
        cls="bar",
        width="100%",
        height="14",
        aria_hidden="true",
    )
