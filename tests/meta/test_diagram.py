"""The drawn lifecycle is the one that the code obeys."""

from __future__ import annotations

from batcher.core.lifecycle import diagram
from tests.meta.source import ROOT


def test_architecture_shows_the_lifecycle_as_it_is() -> None:
    """docs/architecture.md holds the diagram that is made from the table."""
    block = f"```mermaid\n{diagram()}\n```"
    page = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    assert block in page, f"put this into docs/architecture.md:\n{block}"
