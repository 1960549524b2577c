"""Which kind of file system holds a folder.

Rule: a journal on a network is refused before its file is touched. Where there is no cheap way to
know (outside Linux), a folder counts as local.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from batcher.core.errors import UsageError

# SQLite's write-ahead log needs shared memory and working locks: sqlite.org/wal.html, "Overview".
NETWORK_FILESYSTEMS: Final = frozenset(
    "nfs nfs4 cifs smb3 smbfs 9p fuse afs ceph lustre gpfs beegfs".split()  # noqa: SIM905 - a list of words
)
MOUNTS: Final = Path("/proc/self/mountinfo")


def refuse_network(path: Path, *, allowed: bool, table: Path = MOUNTS) -> bool:
    """Return whether *path* lies on a network file system; raise unless that is *allowed*."""
    try:
        mounts = table.read_text(encoding="utf-8", errors="surrogateescape")
    except OSError:
        return False  # not Linux: there is no cheap way to know

    kind = filesystem_of(path.parent.resolve(), mounts)
    # fuseblk is a local disk (NTFS, exFAT); everything else of FUSE may be anywhere.
    if kind is None or kind.partition(".")[0] not in NETWORK_FILESYSTEMS:
        return False

    if not allowed:
        raise UsageError(
            f"{path}: a journal on {kind} can be damaged by a lost connection; put the run "
            "directory on a local disk (--run-dir)"
        )

    return True


def filesystem_of(folder: Path, mounts: str) -> str | None:
    """Return the type of the file system that holds *folder*.

    *mounts* is the text of `/proc/self/mountinfo` (proc_pid_mountinfo(5)): the fifth field is the
    mount point with blanks as `\\040`, the type is the first field after the lone hyphen. Of two
    mounts on one point the later hides the earlier.
    """
    best, kind = -1, None
    for line in mounts.splitlines():
        left, _, right = line.partition(" - ")
        fields = left.split(" ")
        if len(fields) < 5 or not right:
            continue

        point = Path(_unescaped(fields[4]))
        if folder.is_relative_to(point) and len(point.parts) >= best:
            best, kind = len(point.parts), right.split(" ")[0]

    return kind


def _unescaped(text: str) -> str:
    """Undo the four octal escapes of mountinfo."""
    for code, character in (("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")):
        text = text.replace(code, character)

    return text
