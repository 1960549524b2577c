"""`tls_client URL…`: send a submit to each URL, then fetch a file from it; say what became of both.

A process of its own, because which authorities are trusted is settled when TLS is first set up:
`SSL_CERT_FILE` names the only one.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from pathlib import Path

import anyio

from batcher.adapters.download.downloader import Downloader, DownloadFailed, Place
from batcher.adapters.http import HttpTransport
from batcher.core.errors import TransportError
from batcher.core.exchange import Request
from batcher.core.secret import Secret

SUBMIT = Request("POST", "/api/v1/upload", json=b'{"mode":"clipping"}')
TIMEOUT_S = 10.0


async def submitted(url: str) -> list[str]:
    """Return what became of a submit, and why."""
    transport = HttpTransport(
        *(url, "X-API-Key", "", lambda: Secret("canary-key", "a test")),
        connections=1,
        user_agent="batcher/test",
        wall=time.time,
    )
    async with transport:
        try:
            return ["answer", str((await transport.send(SUBMIT, timeout_s=TIMEOUT_S)).status)]
        except TransportError as error:
            return [type(error).__name__, error.reason]


async def fetched(url: str, folder: Path) -> list[str]:
    """Return what became of a download, and why."""
    options = {"connections": 1, "allow_private": True, "bytes_max": 1_000}
    async with Downloader(**options, stall_s=TIMEOUT_S) as files:  # type: ignore[arg-type]  # numbers
        try:
            found = await files.fetch(f"{url}/a.txt", Place(folder, "a"), "txt")
            return ["file", found.path.name]
        except DownloadFailed as error:
            return [type(error).__name__, error.reason]


async def main(urls: list[str]) -> None:
    """Print a list for each URL: what became of the submit, and of the download."""
    with tempfile.TemporaryDirectory() as folder:
        for url in urls:
            found = [await submitted(url), await fetched(url, Path(folder))]
            sys.stdout.write(json.dumps(found) + "\n")


if __name__ == "__main__":
    anyio.run(main, sys.argv[1:])
