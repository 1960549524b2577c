"""What holds for every test: how time passes, how hard property tests try, what proofs count.

A module or test marked `virtual` runs on `tests.support.clock.VirtualClockLoop`, every other one on
an ordinary event loop. The fixture `figures` takes what a proof counted; the session tells it.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Iterator, Mapping

import hypothesis
import pytest

from tests.support.clock import VirtualClockLoop
from tests.support.figures import Figures, tell_figures

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


def pytest_configure(config: pytest.Config) -> None:
    """Tell what the proofs counted at the end of the session."""
    tell_figures(config)


@pytest.fixture
def figures(request: pytest.FixtureRequest) -> Figures:
    """Return where a proof notes what it counted, before it judges it."""
    return Figures(request.node.user_properties)


@pytest.fixture(scope="session", autouse=True)
def _no_real_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Let nothing that tests and their processes learn get into the home of who runs them."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_STATE_HOME", str(tmp_path_factory.mktemp("state")))
        patch.delenv("BATCHER_STATE_DIR", raising=False)
        yield
