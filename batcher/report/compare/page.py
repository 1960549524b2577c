"""A comparison as a page: one file that needs nothing else, in the style of the report.

Rule: that of `report.page.page`. Style and script stand in the page and are named by their hashes
in its policy; everything else is forbidden to it.
"""

from __future__ import annotations

import base64
import hashlib
from importlib.resources import files

from batcher.report.compare import sections
from batcher.report.compare.lines import Comparison
from batcher.report.page.markup import Markup, tag

PACKAGES = (("batcher.report.page", "page.css"), ("batcher.report.compare", "compare.css"))
TITLE_MARK = "batcher report"  # in every title: it tells whoever replaces a page that it is one


def page(comparison: Comparison, made_at: str) -> bytes:
    """Return the page, as UTF-8."""
    document = tag("html", _head(comparison), _body(comparison, made_at), lang="en")
    return f"<!doctype html>\n{document}\n".encode("utf-8", "backslashreplace")


def _head(comparison: Comparison) -> Markup:
    names = " · ".join(run.name for run in comparison.runs)
    return tag(
        "head",
        tag("meta", charset="utf-8"),
        Markup(f'<meta http-equiv="Content-Security-Policy" content="{_policy()}"/>'),
        tag("meta", name="referrer", content="no-referrer"),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("meta", name="color-scheme", content="light dark"),
        tag("meta", name="robots", content="noindex"),
        tag("title", f"Compared: {names} · {TITLE_MARK}"),
        Markup(f"<style>{_style()}</style>"),
    )


def _body(comparison: Comparison, made_at: str) -> Markup:
    return tag(
        "body",
        tag(
            "main",
            sections.head(comparison, made_at),
            sections.judgement(comparison),
            sections.numbers(comparison),
            sections.curves_of(comparison),
            sections.loads(comparison),
            sections.changes(comparison),
            sections.settings(comparison),
            sections.notes(comparison),
        ),
    )


def _policy() -> str:
    """Return the page's policy: only its own style, and nothing that runs or is fetched."""
    digest = hashlib.sha256(_style().encode()).digest()
    mark = f"sha256-{base64.b64encode(digest).decode()}"
    return f"default-src 'none'; style-src '{mark}'; base-uri 'none'; form-action 'none'"


def _style() -> str:
    texts = (files(package).joinpath(name).read_text("utf-8") for package, name in PACKAGES)
    return "".join(texts)
