"""Makes a golden journal: what a real process of an older batcher left when it was killed.

`python tests/proofs/golden/make.py removit-1 0cdef8c removit` takes that revision out of git, runs
its own command line against its own simulator, in processes of their own, and packs what it finds
in `removit-1.tar.xz`: the run directory as it is, with the log of the journal not folded in, the
manifest, and `books.json`, the API's ledger at that moment. Rows are in every state. A golden file
is made once, when a version of the journal is released, and never again.
"""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import tarfile
import tempfile
import time
from pathlib import Path
from signal import SIGKILL
from typing import Any

HERE = Path(__file__).parent
ROOT = HERE.parents[2]
ROWS = 64
FLAGS = {
    "removit": (),
    "deapi": (
        *("--set", "task=generations", "--set", "tier=premium", "--set", "model=Flux1schnell"),
        *("--max-cost", "5"),
    ),
}
COMMON = ("--rate", "8/s", "--max-attempts", "2", "--download", "--submit-timeout", "60s")
FIRST = "duration=0.05,rejected=0.25,drop_after=0.35,503=0.4"  # rows end in every way
SECOND = "duration=bimodal:0.05:600:0.5,file_error=1,latency=bimodal:0.02:50:0.15"  # and are open
OPEN = ("pending", "intent", "accepted", "ready")


def main(name: str, revision: str, api: str) -> None:
    """Make one golden file of a revision."""
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "source"
        source.mkdir()
        packed = subprocess.run(
            ["git", "archive", revision], cwd=ROOT, check=True, capture_output=True
        ).stdout
        with tarfile.open(fileobj=io.BytesIO(packed)) as archive:
            archive.extractall(source, filter="data")

        target = HERE / f"{name}.tar.xz"
        subprocess.run(
            [sys.executable, str(Path(__file__)), "--record", api, folder, str(target)],
            cwd=source,
            env={**os.environ, "PYTHONPATH": str(source)},
            check=True,
        )


def record(api: str, folder: Path, target: Path) -> None:
    """Let the batcher on the path make rows of every state, die, and pack what it left."""
    from tests.e2e.world import world  # of the older batcher

    with world(folder, api, FIRST, seed=4) as here:
        here.manifest.write_text("".join(json.dumps(row(api, n)) + "\n" for n in range(ROWS)))
        words = here.command(*FLAGS[api], *COMMON)
        here.batcher(*words, "--max-jobs", "16", "--in-flight", "5")
        held = [record["id"] for record in here.records("in_doubt")]
        here.batcher("doubt", "resubmit", str(here.run), held[0], "--note", "not in the list")
        here.batcher("doubt", "fail", str(here.run), held[1], "--note", "given up")
        here.change("plan", SECOND)
        before = here.counts()["submits"]
        process = here.start(*words, "--max-jobs", "none", "--in-flight", "36")
        deadline = time.monotonic() + 60
        while here.counts()["submits"] < before + 14 and time.monotonic() < deadline:
            time.sleep(0.05)

        time.sleep(3.0)  # some jobs end, and their files cannot be had
        process.send_signal(SIGKILL)
        process.communicate()
        books: dict[str, Any] = here.ledger()

    (folder / "books.json").write_text(json.dumps(books))
    with tarfile.open(target, "w:xz") as archive:
        for path in (folder / "run", folder / "rows.jsonl", folder / "books.json"):
            archive.add(path, path.name, filter=_wanted)


def row(api: str, n: int) -> dict[str, object]:
    """Return the n-th row; two of them have one id, and one cannot be used."""
    row_id = "sku-1" if n == ROWS - 1 else f"sku-{n}"
    if api == "deapi":
        size = {"width": 512, "height": 512, "steps": 4, "guidance": 0}
        prompt = {} if n == 2 else {"prompt": f"cat {n}"}
        return {"id": row_id, **prompt, "seed": n, **size}

    url = {} if n == 2 else {"file_url": f"https://shop.example/{n}.jpg"}
    return {"id": row_id, **url}


def _wanted(member: tarfile.TarInfo) -> tarfile.TarInfo | None:
    """Leave out locks and what SQLite makes anew; nobody's name is kept."""
    if member.name.endswith((".lock", ".alive", "-shm", "log.jsonl")):
        return None

    member.uid = member.gid = 0
    member.uname = member.gname = ""
    return member


if __name__ == "__main__":
    if sys.argv[1] == "--record":
        record(sys.argv[2], Path(sys.argv[3]), Path(sys.argv[4]))
    else:
        main(*sys.argv[1:])
