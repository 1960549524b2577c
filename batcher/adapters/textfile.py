"""A small file for other programs, such as node_exporter: replaced whole, every few seconds.

Rule: whoever reads it sees the old one or the new one. It is not synced, because it is worth
nothing after a crash, and a sync would hold up those of the journal. Its hidden name while it is
written does not end like the file's own, so that nobody collects half of it.
"""

from __future__ import annotations

import os
from pathlib import Path

from batcher.core.errors import UsageError

PUBLIC = 0o644  # less the umask: the reader is another user


def refuse_unwritable(path: Path, flag: str) -> None:
    """Raise `UsageError` if *path* cannot be written as a file, before anything depends on it."""
    effective = os.access in os.supports_effective_ids
    if path.is_dir():
        raise UsageError(f"{flag} {path}: is a folder; name a file in it, such as batcher.prom")

    if path.exists() and not path.is_file():  # a device would be replaced by a file, for all
        raise UsageError(f"{flag} {path}: is no regular file; name one")

    if not path.parent.is_dir():
        raise UsageError(f"{flag} {path}: there is no folder {path.parent}")

    if not os.access(path.parent, os.W_OK | os.X_OK, effective_ids=effective):
        raise UsageError(
            f"{flag} {path}: nothing can be written to {path.parent}; check its rights"
        )


def replace_text(path: Path, text: str, *, mode: int = PUBLIC) -> None:
    """Make *text* the whole content of *path*. Raises `OSError`."""
    beside = path.with_name(f".{path.name}.tmp")
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW
    try:
        with open(os.open(beside, flags, mode), "w", encoding="utf-8") as file:  # noqa: PTH123 - takes our flags
            file.write(text)

        beside.replace(path)
    except BaseException:
        beside.unlink(missing_ok=True)
        raise
