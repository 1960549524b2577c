"""`killed_at POINT N WORD…`: batcher, killed the N-th time that it passes a point.

The product knows nothing of this: the calls that matter are wrapped here, in a process of its own,
and the process kills itself with SIGKILL, so nothing is said, flushed or closed.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from itertools import count
from typing import Any

from batcher.adapters.download.file import PartFile
from batcher.adapters.http import HttpTransport
from batcher.adapters.outcomes import OutcomeFiles
from batcher.adapters.sqlite import SqliteJournal
from batcher.core.events import Accept, Collect, Decide, Finish, Intend, Withdraw
from batcher.core.lifecycle import Move

Wanted = Callable[[tuple[Any, ...]], bool]


def _holds(kind: type) -> Wanted:
    """Return whether a call of `Journal.apply` brings such an event."""
    return lambda arguments: any(isinstance(event, kind) for event in arguments[1])


def _any(_arguments: tuple[Any, ...]) -> bool:
    return True


def _is_submit(arguments: tuple[Any, ...]) -> bool:
    return bool(arguments[1].method == "POST")


def _is_claim(arguments: tuple[Any, ...]) -> bool:
    return any(isinstance(e, Decide) and e.move is Move.ADOPT for e in arguments[1])


# point -> (class, method, whether the kill comes before the call, which calls count)
POINTS: dict[str, tuple[type, str, bool, Wanted]] = {
    "while_claiming": (SqliteJournal, "claim", False, _any),
    "before_admission": (SqliteJournal, "admit", True, _any),
    "after_admission": (SqliteJournal, "admit", False, _any),
    "before_intent": (SqliteJournal, "apply", True, _holds(Intend)),
    "after_intent": (SqliteJournal, "apply", False, _holds(Intend)),
    "after_send": (HttpTransport, "send", False, _is_submit),
    "before_accept": (SqliteJournal, "apply", True, _holds(Accept)),
    "after_accept": (SqliteJournal, "apply", False, _holds(Accept)),
    "after_withdrawal": (SqliteJournal, "apply", False, _holds(Withdraw)),
    "after_collect": (SqliteJournal, "apply", False, _holds(Collect)),
    "before_file": (PartFile, "finish", True, _any),
    "after_file": (PartFile, "finish", False, _any),
    "before_append": (OutcomeFiles, "append", True, _any),
    "after_append": (OutcomeFiles, "append", False, _any),
    "before_outcome": (SqliteJournal, "apply", True, _holds(Finish)),
    "after_outcome": (SqliteJournal, "apply", False, _holds(Finish)),
    "at_decision": (SqliteJournal, "mark_rebuild", False, _any),
    "before_rewrite": (OutcomeFiles, "rebuild", True, _any),
    "after_rewrite": (OutcomeFiles, "rebuild", False, _any),
    "before_closing": (SqliteJournal, "close", True, _any),
}


def arm(point: str, nth: int) -> None:
    """Let the process die the *nth* time that it passes *point*."""
    owner, name, is_before, is_wanted = POINTS[point]
    whole, passed = getattr(owner, name), count(1)

    def fatal(arguments: tuple[Any, ...]) -> bool:
        return bool(is_wanted(arguments)) and next(passed) == nth

    def die() -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    def call(*arguments: Any, **named: Any) -> Any:
        doomed = fatal(arguments)
        if doomed and is_before:
            die()

        result = whole(*arguments, **named)
        if doomed:
            die()

        return result

    async def call_async(*arguments: Any, **named: Any) -> Any:
        doomed = fatal(arguments)
        result = await whole(*arguments, **named)
        if doomed:
            die()

        return result

    setattr(owner, name, call_async if owner is HttpTransport else call)


if __name__ == "__main__":
    arm(sys.argv[1], int(sys.argv[2]))
    sys.argv[1:3] = []
    from batcher.cli.app import main

    main()
