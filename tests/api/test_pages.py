"""The examples for Python: each is run as it stands."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from batcher.providers import PROVIDERS
from tests.cli.processes import KEY, Api
from tests.meta.source import ROOT

pytestmark = pytest.mark.e2e


def test_the_page_for_python_runs_from_top_to_bottom(
    api: Api, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every block of docs/python.md works in turn, and each of its runs succeeds."""
    monkeypatch.setenv("MINE_API_KEY", KEY)
    monkeypatch.setattr("batcher.providers.PROVIDERS", PROVIDERS)
    rows = "".join(f"photo-{n},https://shop.example/{n}.jpg\n" for n in range(5))
    (tmp_path / "photos.csv").write_text("id,file_url\n" + rows)
    page = (ROOT / "docs" / "python.md").read_text(encoding="utf-8")
    blocks = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
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
