"""The time that a run may still take."""

from __future__ import annotations

import pytest

from batcher.cli.deadline import time_left_s
from batcher.core.settings import Settings


@pytest.mark.parametrize(
    ("settings", "elapsed_s", "now", "left_s"),
    [
        (Settings(), 1e9, 1e9, None),
        (Settings(max_duration_s=60), 20, 0, 40),
        (Settings(max_duration_s=60), 61, 0, 0),
        (Settings(finish_by=1_000), 0, 990, 10),
        (Settings(finish_by=1_000), 0, 1_001, 0),
        (Settings(max_duration_s=60, finish_by=1_000), 20, 990, 10),
        (Settings(max_duration_s=60, finish_by=1_000), 55, 990, 5),
    ],
)
def test_the_earlier_end_counts(
    settings: Settings, elapsed_s: float, now: float, left_s: float | None
) -> None:
    """Duration and time of day both hold; without either there is no end."""
    assert time_left_s(settings, elapsed_s, now) == left_s
