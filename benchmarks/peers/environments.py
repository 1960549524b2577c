"""The peers, the versions they are compared in, and a virtual environment for each of them.

Rule: nothing is installed beside batcher itself: every peer lives in a folder of its own under the
cache directory, made when it is first needed, from the package index that pip is configured with.
An environment is whole when the file `installed` in it names what is asked for.
"""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True, slots=True)
class Peer:
    """One of those compared: what to install, and ways to run it beside the documented one."""

    name: str
    title: str
    requires: tuple[str, ...]
    variants: tuple[str, ...] = ("",)


PEERS = (
    Peer("batcher", "batcher", ("-e", f"{ROOT}[fast]"), ("", "resubmit")),
    Peer("airbyte", "airbyte-cdk 7.39.1", ("airbyte-cdk==7.39.1",)),
    Peer("abl", "async-batch-llm 0.28.0", ("async-batch-llm==0.28.0", "aiohttp==3.14.5")),
    Peer("dbos", "dbos 3.4.0", ("dbos==3.4.0", "aiohttp==3.14.5"), ("", "careful")),
    Peer("crawlee", "crawlee 1.11.0", ("crawlee==1.11.0",)),
    Peer("scrapy", "scrapy 2.19.0", ("scrapy==2.19.0",), ("", "careful", "plain")),
    Peer("fal", "fal-client 1.0.3", ("fal-client==1.0.3",)),
    Peer("aiometer", "aiometer 1.0.0", ("aiometer==1.0.0", "aiohttp==3.14.5")),
    Peer("stamina", "stamina 26.1.0", ("stamina==26.1.0", "aiohttp==3.14.5"), ("", "careful")),
)


def python_of(peer: Peer, cache: Path) -> Path:
    """Return the interpreter of a peer's environment, made if need be.

    Raises `RuntimeError` with the last line that pip said.
    """
    home = cache / peer.name
    python, mark = home / "bin" / "python", home / "installed"
    asked = json.dumps(peer.requires)
    if mark.exists() and mark.read_text() == asked:
        return python

    print(f"installing {peer.title} into {home}", file=sys.stderr)
    subprocess.run([sys.executable, "-m", "venv", str(home)], check=True)
    pip = [str(python), "-m", "pip", "install", "--quiet", "--prefer-binary"]
    said = subprocess.run([*pip, *peer.requires], capture_output=True, text=True, check=False)
    if said.returncode:
        lines = said.stderr.strip().splitlines() or ["pip failed"]
        raise RuntimeError(f"cannot be installed here: {lines[-1]}")

    mark.write_text(asked)
    return python
