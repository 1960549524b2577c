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
    cases = {
        f"{file}/{case}"
        for kind in ("answers", "requests", "calls")
        for api, file, case, _record in recorded(kind)
        if api == TITLES[title]
    }
    named = set(re.findall(r"`([a-z0-9_]+/[a-z0-9_]+)`", SECTIONS[title]))
    assert named - cases == set(), "no such case is recorded"
    assert cases - named == set(), "proven, but not told"


def test_every_named_test_exists() -> None:
    """A test that the page names is there."""
    sources = "".join(
        path.read_text(encoding="utf-8") for path in Path(__file__).parent.glob("*.py")
    )
    missing = {name for name in re.findall(r"`(test_\w+)`", PAGE) if f"def {name}(" not in sources}
    assert missing == set()


def test_every_named_file_exists() -> None:
    """Where a fact is proven elsewhere the page names a file, and it is there."""
    named = set(re.findall(r"`((?:tests|batcher)/[\w./]+)`", PAGE))
    assert {name for name in named if not (ROOT / name).exists()} == set()


def test_every_fact_has_a_proof() -> None:
    """No line of a table stands without the case, the test or the file that proves it."""
    bare = [line for line in PAGE.splitlines() if line.startswith("| ") and not _is_proven(line)]
    assert bare == []


def _is_proven(line: str) -> bool:
    cells = [cell.strip() for cell in line.strip("|").split("|")]
    is_head = cells[0] in ("seen", "fact", "answer", "call", "what", "sources disagree on")
    proof = re.compile(r"`(?:test_\w+|[a-z0-9_]+/[a-z0-9_]+|(?:tests|batcher)/[\w./]+)`")
    return is_head or bool(proof.search(line))


def test_unknown_provider_is_refused_with_the_known_ones() -> None:
    """A mistyped provider is a usage error that lists what there is."""
    with pytest.raises(UsageError, match="removit, deapi"):
        provider_named("removeit", {})
