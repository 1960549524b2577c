"""What is done when a command is over: its exit code is known, its locks are given back.

Rule: whatever is done here changes no exit code. It is done once, also after an error or a signal;
not after `kill -9`, nor where a process that hangs had to be left at once.
"""

from __future__ import annotations

from collections.abc import Callable

from batcher.cli.failure import say, without_keys

_acts: list[Callable[[int], None]] = []


def at_end(act: Callable[[int], None]) -> None:
    """Have *act* called with the exit code, once the command is over."""
    _acts.append(act)


def end(code: int) -> None:
    """Do what was asked for. A failure of it is one line on standard error."""
    while _acts:
        act = _acts.pop(0)
        try:
            act(code)
        except KeyboardInterrupt:
            say("interrupted; what was to be done at the end is not done")
        except Exception as error:
            say(without_keys(f"at the end: {type(error).__name__}: {error}"))
