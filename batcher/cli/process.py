"""What the process needs before any command: streams that exist, room for its sockets, and quiet.

Rule: called once, first thing and last. Nothing here is about a command.
"""

from __future__ import annotations

import contextlib
import gc
import os
import resource
import sys

FILES_WANTED = 4_096  # --connections and what a run keeps open; the usual soft limit is 1,024

# New objects before the garbage collector looks: at the usual 700 it looks all the time and finds
# nothing, because requests and answers are freed without it. A command's affair, never a library's.
GC_THRESHOLDS = (50_000, 20, 50)


def prepare_process() -> None:
    """Open what is missing of the standard streams, and raise the soft limit of open files."""
    _open_missing_streams()
    gc.set_threshold(*GC_THRESHOLDS)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = FILES_WANTED if hard == resource.RLIM_INFINITY else min(FILES_WANTED, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def prepare_end() -> None:
    """Let the interpreter end without looking through all that there is for garbage, thrice."""
    gc.freeze()


def _open_missing_streams() -> None:
    """A closed descriptor (`>&-`) would be given to the next file that is opened: a lock, say."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest number that is free

    if sys.stdin is None:
        sys.stdin = open(0, encoding="utf-8")  # noqa: SIM115  # lives as long as we do
    if sys.stdout is None:
        sys.stdout = open(1, "w", encoding="utf-8")  # noqa: SIM115  # likewise
    if sys.stderr is None:
        sys.stderr = open(2, "w", encoding="utf-8")  # noqa: SIM115  # likewise
