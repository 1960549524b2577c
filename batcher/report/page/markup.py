"""HTML made of values: what is not markup of our own making is escaped, always.

Rule: there is one way to make an element, `tag`, and it takes text for text. Only `Markup` passes
as it is, and only this module and the constants of the page make it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape

VOID = frozenset({"meta", "link", "br", "img", "input", "rect", "line", "path", "circle"})


class Markup(str):
    """Text that is HTML already."""

    __slots__ = ()


Content = str | Markup | None | Iterable["Content"]


def tag(name: str, /, *content: Content, **attributes: str | float | bool | None) -> Markup:
    """Return an element. `cls` is `class`, `_` in a name is `-`; None and False leave one out."""
    words = "".join(_attribute(key, value) for key, value in attributes.items())
    if name in VOID and not content:
        return Markup(f"<{name}{words}/>")

    return Markup(f"<{name}{words}>{joined(*content)}</{name}>")


def joined(*content: Content) -> Markup:
    """Return pieces one after the other, text escaped."""
    parts = []
    for piece in content:
        if isinstance(piece, Markup):
            parts.append(str(piece))
        elif isinstance(piece, str):
            parts.append(escape(piece, quote=True))
        elif piece is not None:
            parts.append(joined(*piece))

    return Markup("".join(parts))


def table(
    caption: str,
    heads: Sequence[str],
    rows: Iterable[Sequence[Content]],
    *,
    numbers: Sequence[int] = (),
) -> Markup:
    """Return a table whose first cell of a row names it; *numbers* are the columns of numbers."""

    def cell(place: int, content: Content, name: str, **attributes: str) -> Markup:
        cls = "number" if place in numbers else None
        return tag(name, content, cls=cls, **attributes)

    head = tag("tr", (cell(n, text, "th", scope="col") for n, text in enumerate(heads)))
    body = (
        tag(
            "tr",
            cell(0, row[0], "th", scope="row"),
            (cell(n, content, "td") for n, content in enumerate(row[1:], 1)),
        )
        for row in rows
    )
    return tag(
        "div",
        tag(
            "table",
            tag("caption", caption),
            tag("thead", head),
            tag("tbody", body),
        ),
        cls="scroll",
        tabindex="0",
        role="region",
        aria_label=caption,
    )


def details(summary: str, *content: Content) -> Markup:
    """Return something that opens on demand."""
    return tag("details", tag("summary", summary), *content)


def _attribute(key: str, value: str | float | bool | None) -> str:
    name = "class" if key == "cls" else key.replace("_", "-")
    if value is None or value is False:
        return ""

    if value is True:
        return f" {name}"

    text = f"{value:.2f}".rstrip("0").rstrip(".") if isinstance(value, float) else str(value)
    return f' {name}="{escape(text, quote=True)}"'
