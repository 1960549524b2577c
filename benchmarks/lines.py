"""The line that a benchmark prints: its figures, with the day, the machine and the versions.

Rule: one JSON object a line, so that lines of many runs can stand in one file
(`>> build/bench.jsonl`), from which `table.py` and `pictures.py` make what people read.
"""

from __future__ import annotations

import json
import os
import platform
import sqlite3
import time
from collections.abc import Iterable, Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

PACKAGES = ("aiohttp", "anyio", "orjson", "structlog", "uvloop")


def tell(benchmark: str, figures: Mapping[str, Any]) -> None:
    """Print the line of one benchmark."""
    line = {"benchmark": benchmark, **figures, "at": time.strftime("%Y-%m-%d"), "on": machine()}
    print(json.dumps(line), flush=True)


def machine() -> dict[str, Any]:
    """Return what the figures depend on."""
    versions = {"python": platform.python_version(), "sqlite": sqlite3.sqlite_version}
    for name in PACKAGES:
        try:
            versions[name] = version(name)
        except PackageNotFoundError:
            continue

    return {
        "system": f"{platform.system()} {platform.machine()}",
        "cores": os.cpu_count(),
    } | versions


def read_lines(paths: Iterable[Path]) -> list[dict[str, Any]]:
    """Return the lines of files, in order; what is no JSON object, such as a table, is left out."""
    texts = (line for path in paths for line in path.read_text().splitlines())
    return [json.loads(text) for text in texts if text.startswith("{")]
