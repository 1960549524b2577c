"""The project's own files, read as syntax trees, and its command line, as click knows it."""

from __future__ import annotations

import ast
import importlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import click

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = "batcher"


@dataclass(frozen=True, slots=True)
class Module:
    """One file. `path` is below the package, such as `core/model.py`."""

    path: str
    tree: ast.Module
    lines: int

    @property
    def package(self) -> str:
        """Return the dotted package that relative imports start from."""
        return ".".join([PACKAGE, *self.path.split("/")[:-1]])

    @property
    def layer(self) -> str:
        """Return the folder below the package; "" for the package's own files."""
        return self.path.split("/")[0] if "/" in self.path else ""


def module(path: str, text: str) -> Module:
    """Read one file from its text."""
    return Module(path, ast.parse(text, path), text.count("\n"))


def modules() -> list[Module]:
    """Read every file of the package, in order of their paths."""
    folder = ROOT / PACKAGE
    return [
        module(file.relative_to(folder).as_posix(), file.read_text(encoding="utf-8"))
        for file in sorted(folder.rglob("*.py"))
    ]


def uses(module: Module) -> Iterator[tuple[int, str]]:
    """Yield (line, dotted name) for everything that is imported, and for every use of it.

    `import time; time.monotonic()` gives `time` and `time.monotonic`; a built-in that is called
    gives `builtins.open`, and any method that is called gives `.name`.
    """
    names: dict[str, str] = {}
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Import | ast.ImportFrom):
            for name, bound, dotted in _imported(module, node):
                names[name] = bound
                yield node.lineno, dotted

    for node in ast.walk(module.tree):
        if isinstance(node, ast.Attribute) and (full := _dotted(node, names)):
            yield node.lineno, full

        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            yield node.lineno, names.get(node.func.id, f"builtins.{node.func.id}")
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            yield node.lineno, f".{node.func.attr}"


def _imported(module: Module, node: ast.Import | ast.ImportFrom) -> Iterator[tuple[str, str, str]]:
    """Yield (local name, what it stands for, what was imported): `import a.b` binds only `a`."""
    if isinstance(node, ast.Import):
        for alias in node.names:
            top = alias.name.split(".")[0]
            yield (alias.asname or top), (alias.name if alias.asname else top), alias.name

        return

    origin = node.module or ""
    if node.level:
        parents = module.package.split(".")
        origin = ".".join([*parents[: len(parents) - node.level + 1], *filter(None, [origin])])

    for alias in node.names:
        dotted = f"{origin}.{alias.name}"
        yield (alias.asname or alias.name), dotted, dotted


def _dotted(node: ast.expr, names: dict[str, str]) -> str | None:
    """Return the full name behind `a.b.c` if `a` was imported."""
    parts: list[str] = []
    while isinstance(node, ast.Attribute):
        parts.append(node.attr)
        node = node.value

    if not isinstance(node, ast.Name) or node.id not in names:
        return None

    return ".".join([names[node.id], *reversed(parts)])


def command_line() -> click.Group:
    """Return the group of all commands."""
    cli = importlib.import_module("batcher.cli.app").cli
    assert isinstance(cli, click.Group), (
        "batcher.cli.app.cli is not the click group of all commands"
    )
    return cli


def functions(tree: ast.Module) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    """Yield every function and method."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node
