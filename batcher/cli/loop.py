"""Which event loop a command runs on: uvloop where it is installed, asyncio's own anywhere else.

Rule: chosen here and nowhere else; the library takes whatever loop it finds itself on.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from importlib.util import find_spec
from typing import TypeVar

import anyio

T = TypeVar("T")


def run_async(main: Callable[[], Awaitable[T]]) -> T:
    """Run *main* to its end and return what it returns."""
    use_uvloop = find_spec("uvloop") is not None
    return anyio.run(main, backend="asyncio", backend_options={"use_uvloop": use_uvloop})
