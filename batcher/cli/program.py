"""How batcher is called from where the user stands: by its name, or by a path in a checkout.

Rule: what is printed as a command can be pasted.
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path


def program() -> str:
    """Return what to type for `batcher`: a path where it is not on the shell's own."""
    ours, found = Path(sys.executable).with_name("batcher"), shutil.which("batcher")
    if not ours.exists() or (found is not None and ours.samefile(found)):
        return "batcher"

    here = Path.cwd()
    return str(ours.relative_to(here) if ours.is_relative_to(here) else ours)
