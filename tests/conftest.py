"""What holds for every test: how time passes, and how hard property tests try.

A module or test marked `virtual` runs on `tests.support.clock.VirtualClockLoop`, every other one on
an ordinary event loop.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Mapping

import hypothesis
import pytest

from tests.support.clock import VirtualClockLoop

# Everybody's run tries the same examples, so that it cannot fail by chance; `make soak` goes out
# looking for new ones. No deadline: examples are not timed on a machine that does other things too.
UNTIMED = hypothesis.settings(
    deadline=None, database=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.register_profile("steady", UNTIMED, derandomize=True)
hypothesis.settings.register_profile("soak", UNTIMED, max_examples=2_000)
hypothesis.settings.load_profile("soak" if os.environ.get("BATCHER_SOAK") else "steady")


def pytest_asyncio_loop_factories(
    config: pytest.Config, item: pytest.Item
) -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    """Choose the event loop of an async test."""
    if item.get_closest_marker("virtual"):
        return {"virtual": VirtualClockLoop}

    return {"real": asyncio.new_event_loop}
