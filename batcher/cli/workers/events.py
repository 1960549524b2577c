"""`--json` of a run of several workers: the events of all their logs, as they come.

Rule: a line is passed on whole and once; what was in a log before this process led is not.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

READ_BYTES = 1_048_576


class Events:
    """Follows some logs. Blocks: for a worker thread."""

    def __init__(self, logs: Sequence[Path], write: Callable[[bytes], None]) -> None:
        self._write = write
        self._offsets = {log: log.stat().st_size if log.exists() else 0 for log in logs}

    def follow(self) -> None:
        """Pass on every line that was written since. Raises `OSError`."""
        for log in self._offsets:
            while log.exists() and self._pass_on(log):
                pass

    def _pass_on(self, log: Path) -> bool:
        """Pass on one block of whole lines; return whether there was one."""
        with log.open("rb") as file:
            file.seek(self._offsets[log])
            block = file.read(READ_BYTES)

        whole = block[: block.rfind(b"\n") + 1]
        if not whole and len(block) == READ_BYTES:  # one line that is longer: none is
            whole = block

        self._offsets[log] += len(whole)
        if whole:
            self._write(whole)

        return bool(whole)
