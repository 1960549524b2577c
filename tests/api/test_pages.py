"""The examples for Python: each is run as it stands."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from batcher.providers import PROVIDERS
from tests.cli.processes import KEY, Api
from tests.meta.source import ROOT

pytestmark = pytest.mark.e2e


def blocks_of(page: str) -> list[str]:
    """Return the Python examples of a page."""
    return re.findall(r"```python\n(.*?)```", (ROOT / page).read_text(encoding="utf-8"), re.DOTALL)


def test_the_example_of_the_readme_runs(api: Api, capsys: pytest.CaptureFixture[str]) -> None:
    """Its one block works as it stands."""
    for block in blocks_of("README.md"):
        exec(compile(block, "README.md", "exec"), {})

    assert "sku-1 succeeded" in capsys.readouterr().out


def test_the_page_for_python_runs_from_top_to_bottom(
    api: Api, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every block of docs/python.md works in turn, and each of its runs succeeds."""
    monkeypatch.setenv("MINE_API_KEY", KEY)
    monkeypatch.setattr("batcher.providers.PROVIDERS", PROVIDERS)
    rows = "".join(f"photo-{n},https://shop.example/{n}.jpg\n" for n in range(5))
    (tmp_path / "photos.csv").write_text("id,file_url\n" + rows)
    blocks = blocks_of("docs/python.md")
    names: dict[str, object] = {"__name__": "page"}
    try:
        for block in blocks:
            exec(compile(block, "docs/python.md", "exec"), names)
    finally:
        PROVIDERS.pop("mine", None)

    assert len(blocks) >= 6
    assert names["failures"] == []
    assert names["summary"].succeeded == 1  # type: ignore[attr-defined]  # of the last run
    assert (tmp_path / "results.csv").read_text().count("succeeded") == 20
