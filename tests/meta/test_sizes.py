"""What is too large holds two ideas: the limits of files, functions and signatures."""

from __future__ import annotations

import ast
from collections.abc import Iterator

import pytest

from tests.meta.source import PACKAGE, Module, functions, module, modules

FILE_LINES_MAX = 300
FUNCTION_LINES_MAX = 60
PARAMETERS_MAX = 8
MANY_PARAMETERS = (
    "cli/",  # a command takes one parameter for each of its flags
    "core/record.py",  # one for each part of a record that can be absent
)


def too_large(module: Module) -> Iterator[str]:
    """Yield one line for each thing above its limit."""
    if module.lines > FILE_LINES_MAX:
        yield f"{PACKAGE}/{module.path}: {module.lines} lines, {FILE_LINES_MAX} at most"

    for function in functions(module.tree):
        where = f"{PACKAGE}/{module.path}:{function.lineno} {function.name}"
        lines = (function.end_lineno or function.lineno) - function.lineno + 1
        if lines > FUNCTION_LINES_MAX:
            yield f"{where}: {lines} lines, {FUNCTION_LINES_MAX} at most"

        parameters = _parameters(function.args)
        if parameters > PARAMETERS_MAX and not module.path.startswith(MANY_PARAMETERS):
            yield f"{where}: {parameters} parameters, {PARAMETERS_MAX} at most"


def _parameters(args: ast.arguments) -> int:
    names = [arg.arg for arg in (*args.posonlyargs, *args.args, *args.kwonlyargs)]
    return len(names) - (names[:1] in (["self"], ["cls"]))


def test_the_package_is_made_of_small_pieces() -> None:
    """No file, function or signature of the package is above its limit."""
    found = [line for module in modules() for line in too_large(module)]
    assert not found, "does each still hold one idea?\n" + "\n".join(found)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("x = 1\n" * 301, "301 lines, 300 at most"),
        ("def f():\n" + "    x = 1\n" * 60, "f: 61 lines"),
        ("def f(a, b, c, d, *, e, g, h, i, j): ...\n", "f: 9 parameters"),
    ],
)
def test_the_checker_catches(text: str, told: str) -> None:
    """What is one above a limit is told."""
    assert any(told in line for line in too_large(module("core/x.py", text)))


def test_the_checker_lets_pass() -> None:
    """What is at its limit is not told, and `self` does not count."""
    text = "class A:\n    def f(self, a, b, c, d, e, g, h, i): ...\n" + "x = 1\n" * 298
    assert list(too_large(module("core/x.py", text))) == []
