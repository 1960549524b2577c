"""A fresh machine gets the versions that the suite passed with."""

from __future__ import annotations

import tomllib
from importlib.metadata import PackageNotFoundError, requires

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

from tests.meta.source import ROOT


def pins() -> dict[str, Version]:
    """Read constraints.txt."""
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pinned = [line.split("==") for line in lines if line and not line.startswith("#")]
    return {canonicalize_name(name): Version(version) for name, version in pinned}


def needs() -> list[Requirement]:
    """Read what pyproject.toml asks for, with every extra."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = [text for texts in project["optional-dependencies"].values() for text in texts]
    return [Requirement(text) for text in [*project["dependencies"], *extras]]


def test_everything_needed_is_pinned() -> None:
    """Each dependency, and each of theirs, has its version in constraints.txt."""
    pinned, rest, seen = pins(), needs(), set()
    while rest:
        need = rest.pop()
        name = canonicalize_name(need.name)
        if name in seen or (need.marker and not need.marker.evaluate({"extra": ""})):
            continue

        seen.add(name)
        try:
            rest += [Requirement(text) for text in requires(name) or []]
        except PackageNotFoundError:
            assert name == "uvloop", f"{name} is not installed: run make bootstrap"

    assert seen <= set(pinned), f"not in constraints.txt: {', '.join(sorted(seen - set(pinned)))}"


def test_pins_are_what_pyproject_allows() -> None:
    """No pin contradicts the range that pyproject.toml gives."""
    pinned = pins()
    wrong = [
        str(need) for need in needs() if pinned[canonicalize_name(need.name)] not in need.specifier
    ]
    assert not wrong, f"constraints.txt contradicts: {', '.join(wrong)}"
