"""Two kinds of pictures as small SVG files: bars side by side, and points over a logarithmic axis.

Rule: a picture is legible on light and on dark paper (the reader's `prefers-color-scheme` chooses),
says its unit, and has every figure in it as text.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from html import escape
from math import log10

WIDTH, TOP, LEFT, RIGHT = 760, 64, 210, 90
BAR, GAP, GROUP_GAP = 16, 3, 14
PLOT_HEIGHT, POINT_LEFT, INDENT = 220, 70, 40
COLOURS = 4

STYLE = """
text{font:13px system-ui,-apple-system,"Segoe UI",sans-serif;fill:#1f2328}
.title{font-size:16px;font-weight:600}.soft{fill:#59636e}.end{text-anchor:end}.mid{text-anchor:middle}
.paper{fill:#fff}.line{stroke:#d1d9e0;stroke-width:1}.path{fill:none;stroke:#0969da;stroke-width:2}
.aim{stroke:#bc4c00;stroke-dasharray:6 4}.aimed{fill:#bc4c00}
.c0{fill:#0969da}.c1{fill:#8c959f}.c2{fill:#bf8700}.c3{fill:#1a7f37}
@media(prefers-color-scheme:dark){text{fill:#e6edf3}.soft{fill:#9198a1}.paper{fill:#0d1117}
.line{stroke:#3d444d}.path{stroke:#58a6ff}.aim{stroke:#f0883e}.aimed{fill:#f0883e}
.c0{fill:#58a6ff}.c1{fill:#6e7681}.c2{fill:#d29922}.c3{fill:#3fb950}}
""".strip()


def bars(title: str, unit: str, groups: Mapping[str, Mapping[str, float]]) -> str:
    """Draw a group of horizontal bars for each name: what is compared, and how much of it."""
    names = list(dict.fromkeys(name for group in groups.values() for name in group))
    most = max((value for group in groups.values() for value in group.values()), default=1) or 1
    scale = (WIDTH - LEFT - RIGHT) / most
    has_legend = len(names) > 1
    y = TOP + (24 if has_legend else 0)
    parts = list(_legend(names)) if has_legend else []
    for label, group in groups.items():
        middle = y + (len(group) * (BAR + GAP) - GAP) / 2 + 5
        parts.append(_text(LEFT - 10, middle, label, "end"))
        for name, value in group.items():
            width = value * scale
            colour = names.index(name) % COLOURS if has_legend else int(label != next(iter(groups)))
            parts.append(_rect(LEFT, y, width, BAR, f"c{colour}"))
            parts.append(_text(LEFT + width + 6, y + BAR - 3, number(value)))
            y += BAR + GAP

        y += GROUP_GAP

    return _document(title, unit, y + 4, parts)


def points(
    title: str, unit: str, x_label: str, found: Sequence[tuple[float, float]], aim: float | None
) -> str:
    """Draw points (x, y) with their figures, x logarithmic, y from 0; *aim* is a dashed line."""
    low, high = (log10(x) for x in (min(found)[0], max(found)[0]))
    most = max(y for _, y in [*found, (0.0, aim or 0.0)]) * 1.15
    bottom, width = TOP + PLOT_HEIGHT, WIDTH - POINT_LEFT - RIGHT - 2 * INDENT

    def across(x: float) -> float:
        return POINT_LEFT + INDENT + width * (log10(x) - low) / ((high - low) or 1)

    def up(y: float) -> float:
        return bottom - PLOT_HEIGHT * y / most

    parts = list(_grid(most, up))
    if aim is not None:
        parts.append(_line(POINT_LEFT, up(aim), WIDTH - RIGHT, up(aim), "line aim"))
        parts.append(_text(WIDTH - RIGHT + 6, up(aim) + 4, f"aim {number(aim)}", "aimed"))

    path = " ".join(f"{across(x):.1f},{up(y):.1f}" for x, y in found)
    parts.append(f'<polyline class="path" points="{path}"/>')
    for x, y in found:
        parts.append(f'<circle class="c0" cx="{across(x):.1f}" cy="{up(y):.1f}" r="4"/>')
        parts.append(_text(across(x), up(y) - 10, number(y), "mid"))
        parts.append(_text(across(x), bottom + 20, f"{x:,.0f}", "mid soft"))

    parts.append(_text(POINT_LEFT + INDENT + width / 2, bottom + 42, x_label, "mid soft"))
    return _document(title, unit, bottom + 56, parts)


def number(value: float) -> str:
    """Return a figure as people read it."""
    if value >= 100 or value == int(value):
        return f"{value:,.0f}"

    return f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def _grid(most: float, up: Callable[[float], float]) -> Iterator[str]:
    step = _step(most)
    value = 0.0
    while value <= most:
        yield _line(POINT_LEFT, up(value), WIDTH - RIGHT, up(value), "line")
        yield _text(POINT_LEFT - 8, up(value) + 4, number(value), "end soft")
        value += step


def _step(most: float) -> float:
    """Return a round distance, of which four or so fit."""
    power: float = 10 ** int(log10(most / 4)) if most >= 4 else 1.0
    return next(power * n for n in (1, 2, 2.5, 5, 10, 20) if power * n >= most / 5)


def _legend(names: Sequence[str]) -> Iterator[str]:
    x = float(LEFT)
    for n, name in enumerate(names):
        yield _rect(x, TOP - 4, 12, 12, f"c{n % COLOURS}")
        yield _text(x + 18, TOP + 7, name, "soft")
        x += 38 + 7.2 * len(name)


def _document(title: str, unit: str, height: float, parts: Sequence[str]) -> str:
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height:.0f}"'
        f' width="{WIDTH}" height="{height:.0f}" role="img" aria-label="{escape(title)}">'
    )
    paper = _rect(0, 0, WIDTH, height, "paper")
    words = [_text(20, 28, title, "title"), _text(20, 48, unit, "soft")]
    return "\n".join([head, f"<style>{STYLE}</style>", paper, *words, *parts, "</svg>", ""])


def _text(x: float, y: float, text: str, kind: str = "") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" class="{kind}">{escape(text)}</text>'


def _rect(x: float, y: float, width: float, height: float, kind: str) -> str:
    return (
        f'<rect x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}" class="{kind}"/>'
    )


def _line(x1: float, y1: float, x2: float, y2: float, kind: str) -> str:
    return f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" class="{kind}"/>'
