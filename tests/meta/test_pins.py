"""A fresh machine gets the versions that the suite passed with."""

from __future__ import annotations

import re
import tomllib
from importlib.metadata import PackageNotFoundError, requires

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

from tests.meta.source import ROOT

# Where there is a wheel of it, and where it is asked for; tests skip without.
OPTIONAL = (
    *("uvloop", "atheris", "pillow", "apprise", "pandas", "polars", "pyarrow"),
    *("furo", "myst-parser", "sphinx", "sphinx-click"),
)


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
            assert name in OPTIONAL, f"{name} is not installed: run make bootstrap"

    assert seen <= set(pinned), f"not in constraints.txt: {', '.join(sorted(seen - set(pinned)))}"


def test_pins_are_what_pyproject_allows() -> None:
    """No pin contradicts the range that pyproject.toml gives."""
    pinned = pins()
    wrong = [
        str(need) for need in needs() if pinned[canonicalize_name(need.name)] not in need.specifier
    ]
    assert not wrong, f"constraints.txt contradicts: {', '.join(wrong)}"


def test_the_lock_is_of_the_pins() -> None:
    """requirements.lock has what batcher needs, in the pinned versions, each with its hashes."""
    blocks = re.split(r"\n(?=\S)", (ROOT / "requirements.lock").read_text(encoding="utf-8"))
    locked = {}
    for block in blocks:
        if found := re.match(r"([\w.-]+)==(\S+)", block):
            assert "--hash=sha256:" in block, f"{found[1]} has no hash: run `make lock`"
            locked[canonicalize_name(found[1])] = Version(found[2])

    pinned = pins()
    assert all(pinned.get(name) == version for name, version in locked.items()), "run `make lock`"
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    needed = {canonicalize_name(Requirement(text).name) for text in project["dependencies"]}
    assert needed <= set(locked), "run `make lock`"
