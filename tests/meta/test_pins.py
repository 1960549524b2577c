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
