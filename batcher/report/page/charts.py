"""Pictures of numbers, as SVG that is as wide as there is room.

Rule: shapes are drawn in a picture that is stretched, words stand beside it in their own size; so a
chart can be read on a telephone and in print. Every chart has a name and says in words what it
shows; colours come from the style sheet, and none means anything alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from math import ceil, floor, log10

from batcher.report.page.markup import Markup, joined, tag
from batcher.report.page.timeline import Column

SIZE = 1_000  # of the stretched picture, both ways
TOP_PX, PLOT_PX, FOOT_PX = 18, 112, 20
GAP_COLUMNS = 2.0  # as wide as so many columns is a gap in time
EDGE = 0.07  # of the width: labels so near to an edge stay inside


@dataclass(frozen=True, slots=True)
class Series:
    """One line or area: its style class, its name, a value for each column."""

    cls: str
    name: str
    values: Sequence[float]
    is_area: bool = False


@dataclass(frozen=True, slots=True)
class Mark:
    """A label on an axis, at a share of its length."""

    share: float
    text: str


@dataclass(frozen=True, slots=True)
class Axis:
    """The time line that several charts share."""

    edges: Sequence[tuple[float, float]]  # where each column begins and ends, in shares
    marks: Sequence[Mark] = ()
    gaps: Sequence[Mark] = ()


@dataclass(frozen=True, slots=True)
class Scale:
    """The upright axis: the value at its upper edge, its labels, and a line that is a limit."""

    top: float
    marks: Sequence[Mark]
    limit: Mark | None = None


def places(columns: Sequence[Column]) -> list[tuple[float, float]]:
    """Return where each column begins and ends, in shares of the width; gaps lie between."""
    edges, at = [], 0.0
    for column in columns:
        at += GAP_COLUMNS if column.gap_s else 0.0
        edges.append((at, at + 1))
        at += 1

    return [(first / at, last / at) for first, last in edges]


def nice_top(largest: float) -> float:
    """Return the next of 1, 2, 5, 10, 20 … that is not below *largest*."""
    if largest <= 0:
        return 1.0

    power = 10.0 ** floor(log10(largest))
    return next(power * n for n in (1, 2, 5, 10, 20) if power * n >= largest * 0.9999)


def steps(
    name: str,
    about: str,
    axis: Axis,
    scale: Scale,
    series: Sequence[Series],
    titles: Sequence[str] = (),
) -> Markup:
    """Return values over time as steps; *titles* say what each column holds."""
    shapes = [
        tag("path", d=_steps(axis.edges, line, scale.top), cls=_style(line)) for line in series
    ]
    hits = (
        tag(
            "rect",
            tag("title", title),
            x=first * SIZE,
            y="0",
            width=(last - first) * SIZE,
            height=str(SIZE),
            cls="hit",
        )
        for (first, last), title in zip(axis.edges, titles, strict=False)
    )
    return _chart(name, about, [*shapes, *hits], axis, scale)


def curves(
    name: str,
    about: str,
    series: Sequence[tuple[str, Sequence[tuple[float, float]]]],
    marks: Sequence[Mark],
) -> Markup:
    """Return shares (0 to 1) over places (0 to 1) as rising steps: (style class, points)."""
    shapes = [tag("path", d=_rising(points), cls=f"line {cls}") for cls, points in series]
    scale = Scale(1.0, [Mark(share, f"{100 * share:.0f} %") for share in (0.25, 0.5, 0.75, 1.0)])
    return _chart(name, about, shapes, Axis((), marks), scale)


def log_marks(smallest: float, largest: float) -> Iterator[tuple[float, float]]:
    """Yield (share of the width, value) of round values on a logarithmic axis."""
    low, high = log10(smallest), log10(largest)
    factors = (1, 2, 5) if high - low < 1.7 else (1, 3) if high - low < 2.6 else (1,)
    for power in range(floor(low), ceil(high) + 1):
        for factor in factors:
            value = factor * 10.0**power
            if smallest <= value <= largest:
                yield log_share(value, smallest, largest), value


def log_share(value: float, smallest: float, largest: float) -> float:
    """Return where *value* stands on a logarithmic axis, from 0 to 1."""
    low, high = log10(smallest), log10(largest)
    return min(1.0, max(0.0, (log10(max(value, smallest)) - low) / (high - low)))


def _chart(name: str, about: str, shapes: Iterable[Markup], axis: Axis, scale: Scale) -> Markup:
    inner = tag(
        "svg",
        *shapes,
        x="0",
        y=str(TOP_PX),
        width="100%",
        height=str(PLOT_PX),
        viewBox=f"0 0 {SIZE} {SIZE}",
        preserveAspectRatio="none",
    )
    return tag(
        "svg",
        *named(name, about),
        (_grid(mark, "grid") for mark in (Mark(0.0, ""), *scale.marks)),
        (_gap(mark) for mark in axis.gaps),
        inner,
        (_y_label(mark) for mark in scale.marks),
        () if scale.limit is None else _limit(scale.limit),
        (_x_label(mark) for mark in axis.marks),
        cls="chart",
        width="100%",
        height=str(TOP_PX + PLOT_PX + FOOT_PX),
        role="img",
    )


def named(name: str, about: str) -> tuple[Markup, Markup]:
    """Return the name of a picture, and what it shows in words."""
    return tag("title", name), tag("desc", about)


def _y(share: float) -> float:
    return TOP_PX + PLOT_PX * (1 - share)


def _grid(mark: Mark, cls: str) -> Markup:
    y = _y(mark.share)
    return tag("line", x1="0", x2="100%", y1=y, y2=y, cls=cls)


def _y_label(mark: Mark) -> Markup:
    return tag("text", mark.text, x="0", y=_y(mark.share) - 4, cls="tick")


def _limit(mark: Mark) -> Markup:
    y = _y(mark.share) - 4
    label = tag("text", mark.text, x="100%", y=y, text_anchor="end", cls="tick limit-label")
    return joined(_grid(mark, "limit"), label)


def _x_label(mark: Mark) -> Markup:
    anchor = "start" if mark.share < EDGE else "end" if mark.share > 1 - EDGE else "middle"
    percent, foot = f"{100 * mark.share:.2f}%", TOP_PX + PLOT_PX
    return joined(
        tag("line", x1=percent, x2=percent, y1=str(foot), y2=str(foot + 4), cls="grid"),
        tag("text", mark.text, x=percent, y=str(foot + 16), text_anchor=anchor, cls="tick"),
    )


def _gap(mark: Mark) -> Markup:
    percent = f"{100 * mark.share:.2f}%"
    return joined(
        tag("line", x1=percent, x2=percent, y1="12", y2=str(TOP_PX + PLOT_PX), cls="gap"),
        tag("text", mark.text, x=percent, y="10", text_anchor="middle", cls="tick"),
    )


def _style(line: Series) -> str:
    return f"{'area' if line.is_area else 'line'} {line.cls}"


def _steps(edges: Sequence[tuple[float, float]], line: Series, top: float) -> str:
    """Return the path of steps; it is interrupted where two columns do not touch."""
    parts: list[str] = []
    end = -1.0
    for (first, last), value in zip(edges, line.values, strict=True):
        x, to = round(first * SIZE, 1), round(last * SIZE, 1)
        y = round(SIZE * (1 - value / top), 1)
        touches = x == end
        if not touches and line.is_area:
            parts.append(f"{f'V{SIZE}Z' if parts else ''}M{x:g} {SIZE}")
        elif not touches:
            parts.append(f"M{x:g} {y:g}")

        parts.append(f"V{y:g}H{to:g}" if touches or line.is_area else f"H{to:g}")
        end = to

    return "".join(parts) + (f"V{SIZE}Z" if line.is_area and parts else "")


def _rising(points: Sequence[tuple[float, float]]) -> str:
    """Return the path of a distribution: from the lower edge to the upper."""
    parts = [f"{x * SIZE:.1f} {SIZE * (1 - share):.1f}" for x, share in points]
    return "M" + "L".join(parts) + f"L{SIZE} 0" if parts else ""
