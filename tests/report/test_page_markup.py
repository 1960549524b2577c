"""What gets onto a page as text stays text, and what is written on it can be read."""

from __future__ import annotations

import re
from importlib.resources import files

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batcher.report.page.markup import Markup, joined, table, tag
from tests.report.pages import read

HOSTILE = "<script>alert(1)</script>\"'><img src=x onerror=alert(1)>&amp;]]>-->"
SHOWN = st.text(st.characters(exclude_categories=("Cs", "Cc")), max_size=60)
CSS = files("batcher.report.page").joinpath("page.css").read_text("utf-8")

# --- Escaping ------------------------------------------------------------------------------------


@given(SHOWN)
def test_text_stays_text(text: str) -> None:
    """Whatever it is, a reader of the page gets exactly it, as text and as attribute."""
    page = read(tag("p", text, title=text))
    assert len(page.elements) == 1
    assert (page.one("p").text, page.one("p").attributes["title"]) == (text, text)


def test_only_markup_is_markup() -> None:
    """Text in a table, a list of pieces or an attribute makes no element."""
    page = read(table(HOSTILE, (HOSTILE,), [(HOSTILE,), ((HOSTILE, Markup("<b>x</b>")),)]))
    assert {e.name for e in page.elements} == {
        *("div", "table", "caption", "thead", "tbody", "tr", "th", "b")
    }
    assert not any(name.startswith("on") for e in page.elements for name in e.attributes)


def test_pieces_that_are_none_are_left_out() -> None:
    """So a section may have no part of its own."""
    assert joined(None, "a", ["b", None], Markup("<i>c</i>")) == "ab<i>c</i>"
    assert tag("p", hidden=True, title=None, cls="x") == '<p hidden class="x"></p>'


# --- Reading -------------------------------------------------------------------------------------

TEXTS = ("ink", "muted", "link", "bad", "good", "mixed", "going")
SHAPES = ("succeeded", "failed", "exhausted", "in_doubt", "pending", "submitted", "flight",
          "throttled")  # fmt: skip


def colours(scheme: str) -> dict[str, tuple[int, int, int]]:
    """Return the colours of one of the two schemes by name."""
    light, dark, *_ = re.findall(r":root \{(.*?)\}", CSS, re.DOTALL)
    text = light if scheme == "light" else dark
    found = re.findall(r"--(\w+): #(\w{6})", text)
    return {name: (int(c[:2], 16), int(c[2:4], 16), int(c[4:], 16)) for name, c in found}


def contrast(one: tuple[int, int, int], other: tuple[int, int, int]) -> float:
    """Return the contrast of two colours, 1 to 21 (WCAG 2.2, relative luminance)."""

    def light(colour: tuple[int, int, int]) -> float:
        parts = [c / 255 for c in colour]
        linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    low, high = sorted((light(one), light(other)))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("ground", ["paper", "card"])
def test_what_is_written_can_be_read(scheme: str, ground: str) -> None:
    """Texts have the contrast of WCAG's level AA (4.5), shapes that of graphics (3)."""
    known = colours(scheme)
    low = {t: round(contrast(known[t], known[ground]), 2) for t in TEXTS}
    assert min(low.values()) >= 4.5, low
    drawn = {s: round(contrast(known[s], known[ground]), 2) for s in SHAPES}
    assert min(drawn.values()) >= 3.0, drawn
