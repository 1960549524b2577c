"""The site has every page, and its pages are those that are here."""

from __future__ import annotations

import re

from tests.meta.source import ROOT

DOCS = ROOT / "docs"


def test_every_page_is_on_the_site() -> None:
    """Each page under docs/ stands in one table of contents of docs/index.md, and no other does."""
    listed = re.findall(r"^(?!:)([a-z/]+)$", (DOCS / "index.md").read_text("utf-8"), re.MULTILINE)
    pages = {str(p.relative_to(DOCS).with_suffix("")) for p in DOCS.rglob("*.md")} - {"index"}
    assert sorted(listed) == sorted(pages)
