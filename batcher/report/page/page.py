"""The page: one file that needs nothing else, and can fetch nothing else.

Rule: style and script stand in the page and are named by their hashes in its policy; everything
else is forbidden to it. So a browser that opens it asks nobody for anything, and markup that
somebody got into it would be neither script nor style.
"""

from __future__ import annotations

import base64
import hashlib
from importlib.resources import files

from batcher.report.page import overview, rest, troubles
from batcher.report.page.durations import durations
from batcher.report.page.facts import Facts
from batcher.report.page.markup import Markup, joined, tag
from batcher.report.page.overtime import over_time
from batcher.report.page.verdict import Verdict, judge


def page(facts: Facts) -> bytes:
    """Return the page of a run, as UTF-8."""
    verdict = judge(facts)
    document = tag("html", _head(facts, verdict), _body(facts, verdict), lang="en")
    return f"<!doctype html>\n{document}\n".encode("utf-8", "backslashreplace")


def _head(facts: Facts, verdict: Verdict) -> Markup:
    style = _asset("page.css")
    return tag(
        "head",
        tag("meta", charset="utf-8"),
        Markup(f'<meta http-equiv="Content-Security-Policy" content="{policy()}"/>'),
        tag("meta", name="referrer", content="no-referrer"),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("meta", name="color-scheme", content="light dark"),
        tag("meta", name="robots", content="noindex"),
        tag("title", f"{verdict.word}: {facts.about.title} · batcher report"),
        Markup(f"<style>{style}</style>"),
    )


def _body(facts: Facts, verdict: Verdict) -> Markup:
    return tag(
        "body",
        tag(
            "main",
            overview.head(facts),
            overview.judgement(verdict),
            overview.outcomes(facts),
            troubles.errors(facts),
            over_time(facts),
            durations(facts),
            rest.money(facts),
            rest.pictures(facts),
            troubles.moments(facts),
            rest.about(facts),
        ),
        Markup(f"<script>{_asset('page.js')}</script>"),
    )


def policy() -> str:
    """Return the page's policy: only its own style and script, and images that are in it."""
    return "; ".join(
        (
            "default-src 'none'",
            "img-src data:",
            f"style-src '{mark(_asset('page.css'))}'",
            f"script-src '{mark(_asset('page.js'))}'",
            "base-uri 'none'",
            "form-action 'none'",
        )
    )


def mark(text: str) -> str:
    """Return the hash by which a policy names a style or a script (CSP 3, 2.3.1)."""
    digest = hashlib.sha256(text.encode()).digest()
    return f"sha256-{base64.b64encode(digest).decode()}"


def _asset(name: str) -> str:
    return joined(Markup(files(__package__).joinpath(name).read_text("utf-8")))
