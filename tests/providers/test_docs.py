"""`docs/providers.md` and the recorded payloads tell the same story."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from batcher.core.errors import UsageError
from batcher.providers import PROVIDERS, provider_named
from tests.providers.conformance import recorded

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "providers.md").read_text(encoding="utf-8")
SECTIONS = {part.partition("\n")[0]: part for part in PAGE.split("\n## ")}
TITLES = {provider.facts.title: name for name, provider in PROVIDERS.items()}


@pytest.mark.parametrize("title", TITLES)
def test_every_recorded_case_is_on_the_page(title: str) -> None:
    """A fact that is proven is told, and a proof that is named exists."""
    kinds = ("answers", "requests")
    cases = {
        f"{file}/{case}"
        for kind in kinds
        for api, file, case, _record in recorded(kind)
        if api == TITLES[title]
    }
    named = set(re.findall(r"`([a-z0-9_]+/[a-z0-9_]+)`", SECTIONS[title]))
    assert named == cases


def test_every_named_test_exists() -> None:
    """A test that the page names is there."""
    sources = "".join(
        path.read_text(encoding="utf-8") for path in Path(__file__).parent.glob("*.py")
    )
    missing = {name for name in re.findall(r"`(test_\w+)`", PAGE) if f"def {name}(" not in sources}
    assert missing == set()


def test_unknown_provider_is_refused_with_the_known_ones() -> None:
    """A mistyped provider is a usage error that lists what there is."""
    with pytest.raises(UsageError, match="removit, deapi"):
        provider_named("removeit", {})
