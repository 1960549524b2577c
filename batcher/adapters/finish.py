"""Running one command of the user when a run is over.

Rule: no shell, words as they are. It gets so many seconds, then it and all that it started are
ended. What it prints goes to our standard error: standard output is for data.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from typing import Final

END_S: Final = 2.0  # from the polite signal to the other one
STDERR: Final = 2


class Interruption:
    """Somebody wants the command to end now: politely the first time, at once the second.

    A signal handler calls it. It raises nothing, because an exception between the start of a
    command and the moment in which it is known would leave the command behind.
    """

    def __init__(self) -> None:
        self.came = 0
        self._child: subprocess.Popen[bytes] | None = None

    def __call__(self, *_: object) -> None:
        """Take note, and pass it on if there is a command by now."""
        self.came += 1
        if self._child is not None:
            _signal(self._child, signal.SIGTERM if self.came == 1 else signal.SIGKILL)

    def has_come(self) -> bool:
        """Return whether anybody wants it by now."""
        return self.came > 0

    def watch(self, child: subprocess.Popen[bytes]) -> None:
        """Pass on what comes, and what came already."""
        self._child = child
        if self.came:
            _signal(child, signal.SIGTERM)


def run_command(
    words: Sequence[str],
    environ: Mapping[str, str],
    given: bytes,
    *,
    timeout_s: float,
    interruption: Interruption,
) -> str | None:
    """Run *words* with *given* on its standard input; return what went wrong, or None."""
    if interruption.has_come():
        return "was not run: interrupted"

    try:
        child = subprocess.Popen(  # noqa: S603  the user's own command, as words
            list(words),
            env=dict(environ),
            stdin=subprocess.PIPE,
            stdout=STDERR,
            start_new_session=True,  # a Ctrl-C is for us; and all that it starts can be ended
        )
    except (OSError, ValueError) as error:
        return f"cannot be started: {getattr(error, 'strerror', None) or 'no such command'}"

    interruption.watch(child)
    try:
        child.communicate(given, timeout=timeout_s)
    except subprocess.TimeoutExpired:
        _end(child)
        return f"took longer than {timeout_s:g} s and was ended"
    except BaseException:
        _end(child)
        raise

    if interruption.has_come():
        _signal(child, signal.SIGKILL)  # whatever it left behind
        return "was interrupted"

    return _told(child.returncode)


def _end(child: subprocess.Popen[bytes]) -> None:
    """End a command and all of its session, politely first."""
    _signal(child, signal.SIGTERM)
    with contextlib.suppress(subprocess.TimeoutExpired):
        child.wait(END_S)

    _signal(child, signal.SIGKILL)  # also whatever it left behind
    child.wait()
    if child.stdin is not None:
        with contextlib.suppress(OSError):
            child.stdin.close()


def _signal(child: subprocess.Popen[bytes], number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(child.pid, number)


def _told(code: int) -> str | None:
    if code == 0:
        return None

    return f"ended with exit code {code}" if code > 0 else f"was ended by signal {-code}"
