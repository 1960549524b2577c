"""The page of the dashboard: the report's style, empty places, and a script that fills them.

Rule: nothing of a run stands in it but its name; everything else comes by events, as data, and is
set as text. Style and script are named by their hashes in the policy, which lets the page speak to
where it came from and to nobody else.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib.resources import files
from typing import Final

from batcher.report.page.markup import Markup, joined, tag
from batcher.report.page.page import mark

CHART_HEIGHT: Final = 150
OUTCOMES: Final = ("succeeded", "failed", "exhausted", "in_doubt", "pending")
NAMES: Final = ("Succeeded", "Failed", "Exhausted", "In doubt", "Pending")
NUMBERS: Final = (
    ("elapsed", "Time"),
    ("speed", "Results"),
    ("flight", "In flight"),
    ("submits", "Submits"),
    ("throttled", "Answers 429"),
    ("cost", "Cost"),
)


@dataclass(frozen=True, slots=True)
class Heading:
    """Which run it is."""

    title: str
    provider: str
    manifest: str


def dashboard_page(heading: Heading) -> bytes:
    """Return the page, as UTF-8."""
    document = tag("html", _head(heading), _body(heading), lang="en")
    return f"<!doctype html>\n{document}\n".encode("utf-8", "backslashreplace")


def dashboard_policy() -> str:
    """Return the Content-Security-Policy under which the page is shown."""
    return "; ".join(
        (
            "default-src 'none'",
            "connect-src 'self'",
            "img-src data:",
            f"style-src '{mark(_style())}'",
            f"script-src '{mark(_script())}'",
            "base-uri 'none'",
            "form-action 'none'",
            "frame-ancestors 'none'",
        )
    )


def _head(heading: Heading) -> Markup:
    return tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("meta", name="referrer", content="no-referrer"),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("meta", name="color-scheme", content="light dark"),
        tag("meta", name="robots", content="noindex"),
        tag("link", rel="icon", href="data:,"),
        tag("title", f"{heading.title} · batcher dashboard"),
        Markup(f"<style>{_style()}</style>"),
    )


def _body(heading: Heading) -> Markup:
    about = " · ".join(text for text in (heading.provider, heading.manifest) if text)
    return tag(
        "body",
        tag(
            "main",
            tag(
                "header",
                tag("p", "batcher dashboard", cls="kicker"),
                tag("h1", heading.title, id="title"),
                tag("p", about, cls="muted"),
                tag("p", "Connecting …", id="link", cls="link"),
            ),
            tag("noscript", tag("p", "This page needs its script to show anything.")),
            _verdict(),
            _player(),
            _rows(),
            _over_time(),
            _limits(),
            _errors(),
            tag("p", id="said", cls="unseen", role="status"),
        ),
        Markup(f"<script>{_script()}</script>"),
    )


def _verdict() -> Markup:
    return tag(
        "section",
        tag("p", id="word", cls="word"),
        tag("h2", "Waiting for the first numbers", id="sentence"),
        tag("p", id="why"),
        tag("ul", id="commands"),
        tag("p", id="links"),
        id="verdict",
        cls="verdict going",
        aria_labelledby="sentence",
    )


def _player() -> Markup:
    return tag(
        "section",
        tag("button", "Pause", id="play", type="button"),
        tag("input", id="scrub", type="range", min="0", value="0", aria_label="Moment of the run"),
        tag("output", id="moment"),
        id="player",
        cls="player",
        aria_label="Replay",
        hidden=True,
    )


def _rows() -> Markup:
    legend = (
        tag("span", tag("i", cls=f"key s-{name}"), f"{shown} ", tag("b", "…", id=f"n-{name}"))
        for name, shown in zip(OUTCOMES, NAMES, strict=True)
    )
    return tag(
        "section",
        tag("h2", "Rows"),
        tag("svg", id="whole", cls="whole", width="100%", height="26", role="img"),
        tag("p", *legend, cls="legend counts"),
        tag(
            "dl",
            (tag("div", tag("dt", text), tag("dd", "…", id=f"v-{name}")) for name, text in NUMBERS),
        ),
    )


def _over_time() -> Markup:
    keys = (
        ("s-succeeded", "results"),
        ("thin s-submitted", "submits"),
        ("thin s-throttled", "429"),
    )
    throughput = (tag("span", tag("i", cls=f"key {cls}"), name) for cls, name in keys)
    flight = tag("span", tag("i", cls="key s-flight"), "rows in flight")
    closed = tag("span", tag("i", cls="key s-closed"), "a lane is closed", id="closed", hidden=True)
    return tag(
        "section",
        tag("h2", "Over time"),
        _figure("Throughput", "throughput", joined(*throughput, closed)),
        _figure("In flight", "flight", flight),
    )


def _figure(title: str, name: str, legend: Markup) -> Markup:
    height = str(CHART_HEIGHT)
    return tag(
        "figure",
        tag("h3", title),
        tag("figcaption", tag("p", legend, cls="legend")),
        tag("svg", id=f"c-{name}", cls="chart", width="100%", height=height, role="img"),
    )


def _limits() -> Markup:
    heads = ("Lane", "A second", "Limit", "Used", "Open", "Waiting", "")
    return tag(
        "section",
        tag("h2", "Requests"),
        _table("lanes", "Requests by lane", heads, (1, 2, 3, 4, 5)),
        id="s-lanes",
    )


def _errors() -> Markup:
    return tag(
        "section",
        tag("h2", "Errors"),
        tag("p", "None so far.", id="no-errors", cls="muted"),
        _table("errors", "Errors by kind", ("Kind", "Number", "For example"), (1,)),
        tag("p", id="more-errors", cls="muted"),
    )


def _table(name: str, caption: str, heads: tuple[str, ...], numbers: tuple[int, ...]) -> Markup:
    cells = (
        tag("th", text, scope="col", cls="number" if n in numbers else None)
        for n, text in enumerate(heads)
    )
    return tag(
        "div",
        tag(
            "table",
            tag("caption", caption),
            tag("thead", tag("tr", *cells)),
            tag("tbody", id=f"t-{name}"),
        ),
        id=f"w-{name}",
        cls="scroll",
        tabindex="0",
        role="region",
        aria_label=caption,
    )


def _style() -> str:
    return _asset("batcher.report.page", "page.css") + _asset(__package__, "dashboard.css")


def _script() -> str:
    return _asset(__package__, "dashboard.js")


def _asset(package: str, name: str) -> str:
    return files(package).joinpath(name).read_text("utf-8")
