"""A simulated API in another process, and an environment in which calls reach it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.processes import KEY, Api, simulated


@pytest.fixture
def api(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Api]:
    """Serve the API with the faults that a test asks for: quick jobs, unless it says so."""
    with simulated(getattr(request, "param", "duration=0.05")) as served:
        monkeypatch.setenv("BATCHER_BASE_URL", served.base_url)
        yield served


@pytest.fixture(autouse=True)
def _own_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("REMOVIT_API_KEY", KEY)
    monkeypatch.setenv("BATCHER_STATE_DIR", str(tmp_path / "state"))
    monkeypatch.setenv("BATCHER_RATE", "200/s")
