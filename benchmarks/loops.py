"""Which event loop a benchmark's own process runs on."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from importlib.util import find_spec
from typing import Any

LOOPS = ("uvloop", "asyncio")


def run(main: Coroutine[Any, Any, None], loop: str) -> None:
    """Run *main* on a loop; uvloop where it is installed, as `batcher` does."""
    if loop == "uvloop" and find_spec("uvloop") is not None:
        import uvloop

        uvloop.run(main)
    else:
        asyncio.run(main)
