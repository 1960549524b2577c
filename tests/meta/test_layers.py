"""The folders are the architecture: who may import whom, and who may touch the world.

The tables below are the rules; `docs/architecture.md` gives their reasons.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator

import pytest

from tests.meta.source import PACKAGE, Module, functions, module, modules, uses

# Bottom to top: each layer imports itself and what is below it.
LAYERS = ("core", "providers", "adapters", "engine", "report", "cli", "api")

# Beside them: what it may import, and who may import it.
BESIDE = {"simulator": (("core", "providers"), ("cli",))}

# Adapters do not import each other. `manifest_csv` is part of `manifest`; these are for all.
ADAPTERS_SHARED = ("atomic", "connections", "door")

# The only places where something may be used; () = nowhere. A place is the beginning of a path.
ONLY_IN = {
    "aiohttp": (
        *("adapters/http", "adapters/download", "adapters/connections", "adapters/webhooks"),
        *(
            "adapters/notify",
            "adapters/reach",
            "adapters/scrape",
            "adapters/dashboard",
            "adapters/door",
        ),
        *("simulator/server", "simulator/admin", "simulator/body"),
    ),
    "sqlite3": ("adapters/sqlite",),
    "structlog": ("adapters/logs",),
    "logging": ("adapters/logs",),
    "aiolimiter": ("adapters/pacing",),
    "click": ("cli/", "api/job"),
    "rich": ("cli/", "report/"),
    "builtins.print": ("cli/", "report/"),
    # The wall clock and timers: everything else is told the time.
    "time": (
        "adapters/logs",
        "adapters/rundir",
        "engine/books/opening",
        "engine/clock",
        "engine/session",
        "simulator/server",
        "cli/",
        "api/",
    ),
    "datetime.datetime.now": ("cli/", "report/"),
    "datetime.datetime.utcnow": (),
    "datetime.date.today": (),
    "anyio.current_time": (
        *("adapters/pacing", "adapters/http", "adapters/download"),
        *("engine/", "simulator/transport"),
    ),
    # Every task has an owner: anyio's task groups, and its cancel scopes instead of these.
    "asyncio.create_task": (),
    "asyncio.ensure_future": (),
    "asyncio.gather": (),
    "asyncio.wait_for": (),
    "asyncio.wait": (),
    "asyncio.timeout": (),
    "asyncio.TaskGroup": (),
    ".create_task": (),
    ".ensure_future": (),
}

# Parts without input or output, clock, event loop or randomness of their own.
PURE = ("core/", "providers/", "simulator/service", "simulator/jobs", "simulator/faults")
BANNED_FROM_PURE = (
    "asyncio", "anyio", "os", "pathlib", "shutil", "socket", "ssl", "subprocess", "tempfile",
    "threading", "urllib.request", "http.client", "time", "datetime.datetime.now", "random",
    "secrets", "uuid.uuid1", "uuid.uuid4", "builtins.open", "builtins.input",
)  # fmt: skip
ALLOWED_TO_PURE = ("random.Random", "pathlib.PurePath", "pathlib.PurePosixPath")  # mere values


def breaches(module: Module) -> Iterator[str]:
    """Yield one line for each rule that a file breaks."""
    pure = module.path.startswith(PURE)
    for line, name in sorted(set(uses(module))):
        told = {_of_layers(module, name), _of_places(module, name)}
        if pure:
            told.add(_of_purity(name))

        yield from (f"{PACKAGE}/{module.path}:{line} {what}" for what in told if what)

    if pure:
        yield from _async_functions(module)


def _of_layers(module: Module, name: str) -> str | None:
    package, *rest = name.split(".")
    if package != PACKAGE or not module.layer or rest == ["__version__"]:
        return None

    mine, theirs = module.layer, rest[0] if rest else ""
    if not _may_import(mine, theirs):
        return f"imports {name}: {mine} must not know {theirs or 'the package itself'}"

    if mine == theirs == "adapters" and len(rest) > 1:
        families = [path.split(".")[0].split("_")[0] for path in (_stem(module), rest[1])]
        if families[0] != families[1] and rest[1] not in ADAPTERS_SHARED:
            return f"imports {name}: adapters do not know each other"

    return None


def _stem(module: Module) -> str:
    return module.path.split("/")[1].removesuffix(".py")


def _may_import(mine: str, theirs: str) -> bool:
    if mine == theirs:
        return True

    if theirs in BESIDE:
        return mine in BESIDE[theirs][1]

    if mine in BESIDE:
        return theirs in BESIDE[mine][0]

    return theirs in LAYERS and LAYERS.index(theirs) < LAYERS.index(mine)


def _of_places(module: Module, name: str) -> str | None:
    for thing, places in ONLY_IN.items():
        if _is_of(name, thing) and not module.path.startswith(places or ("\0",)):
            return f"uses {name}: only {' and '.join(places) or 'nobody'} may"

    return None


def _of_purity(name: str) -> str | None:
    if any(_is_of(name, thing) for thing in ALLOWED_TO_PURE):
        return None

    if any(_is_of(name, thing) for thing in BANNED_FROM_PURE):
        return f"uses {name}: this part is pure, it is told what it needs"

    return None


def _is_of(name: str, thing: str) -> bool:
    return name == thing or name.startswith(f"{thing}.")


def _async_functions(module: Module) -> Iterator[str]:
    """Yield what is async, but for the methods of ports: those have no body."""
    for function in functions(module.tree):
        if isinstance(function, ast.AsyncFunctionDef) and not _is_empty(function):
            yield f"{PACKAGE}/{module.path}:{function.lineno} {function.name} is async"


def _is_empty(function: ast.AsyncFunctionDef) -> bool:
    last = function.body[-1]
    return isinstance(last, ast.Expr) and _is_ellipsis(last.value)


def _is_ellipsis(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and node.value is ...


# --- The project ---------------------------------------------------------------------------------


def test_every_layer_is_in_the_tables() -> None:
    """A new folder of the package has its place among the layers before it has its first import."""
    assert {m.layer for m in modules()} - {""} <= {*LAYERS, *BESIDE}


def test_the_project_keeps_its_rules() -> None:
    """No file imports upwards or sideways, or touches the world where it must not."""
    broken = [line for module in modules() for line in breaches(module)]
    assert not broken, "\n" + "\n".join(broken)


# --- The checker ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "text", "told"),
    [
        ("core/x.py", "from batcher.providers import base", "core must not know providers"),
        ("core/x.py", "from ..engine.run import Run", "core must not know engine"),
        ("core/x.py", "import batcher.cli", "core must not know cli"),
        ("core/x.py", "from batcher import adapters", "core must not know adapters"),
        ("core/x.py", "def f():\n    from batcher.engine import run", "core must not know engine"),
        ("engine/x.py", "import batcher", "must not know the package itself"),
        ("engine/x.py", "from batcher.simulator import api", "engine must not know simulator"),
        ("simulator/x.py", "from batcher.adapters import http", "simulator must not know adapters"),
        ("adapters/http.py", "from batcher.adapters.pacing import P", "do not know each other"),
        ("adapters/http.py", "from . import pacing", "do not know each other"),
        ("core/x.py", "import time", "uses time: only"),
        ("core/x.py", "import random", "uses random: this part is pure"),
        ("core/x.py", "from random import random", "uses random.random: this part is pure"),
        ("core/x.py", "from os import path", "uses os.path: this part is pure"),
        ("core/x.py", "open('x')", "uses builtins.open: this part is pure"),
        ("core/x.py", "from pathlib import Path", "uses pathlib.Path: this part is pure"),
        ("core/x.py", "async def f():\n    await g()", "f is async"),
        ("providers/x.py", "from datetime import datetime as d\nd.now()", "datetime.datetime.now"),
        ("engine/x.py", "import datetime\ndatetime.datetime.now()", "datetime.datetime.now"),
        ("engine/x.py", "import aiohttp.web", "uses aiohttp.web: only"),
        ("engine/x.py", "import asyncio\nasyncio.gather()", "uses asyncio.gather: only nobody"),
        ("cli/x.py", "from asyncio import wait_for", "uses asyncio.wait_for: only nobody"),
        ("engine/x.py", "loop.create_task(f())", "uses .create_task: only nobody"),
        ("engine/x.py", "print('x')", "uses builtins.print: only"),
        ("adapters/manifest/manifest.py", "import sqlite3", "uses sqlite3: only"),
        ("adapters/outcomes.py", "from time import time", "uses time.time: only"),
    ],
)
def test_the_checker_catches(path: str, text: str, told: str) -> None:
    """Each planted breach is told, with its file and line."""
    assert any(told in line for line in breaches(module(path, text + "\n")))


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("engine/x.py", "from batcher.core import model\nfrom batcher import __version__"),
        ("adapters/manifest/manifest.py", "from batcher.adapters.manifest.table import csv_lines"),
        ("adapters/sqlite/x.py", "import sqlite3\nfrom batcher.adapters.sqlite import y"),
        ("adapters/outcomes.py", "from batcher.adapters.atomic import replacing"),
        ("cli/x.py", "from batcher.simulator.server import serve"),
        ("core/x.py", "from random import Random\ndef f(rng: Random): return rng.random()"),
        ("core/x.py", "class Port:\n    async def f(self):\n        '''Do.'''\n        ..."),
        ("core/x.py", "from datetime import datetime\ndatetime.fromtimestamp(0)"),
        ("engine/x.py", "import anyio\nanyio.create_task_group()"),
        ("__main__.py", "from batcher.cli import main"),
    ],
)
def test_the_checker_lets_pass(path: str, text: str) -> None:
    """What the rules allow is not told."""
    assert list(breaches(module(path, text + "\n"))) == []
