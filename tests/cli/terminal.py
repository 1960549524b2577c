"""A terminal of a given size for a child process, and what stands on its screen.

It knows what a painted view needs (new line, return, cursor up, erase the line and below, wrapping
on and off, colours) and raises on any other control sequence, so that a view cannot quietly use
more.
"""

from __future__ import annotations

import fcntl
import os
import pty
import re
import signal
import struct
import subprocess
import sys
import termios
from collections.abc import Callable, Mapping
from pathlib import Path

TOKEN = re.compile(r"\x1b\[([?0-9;]*)([A-Za-z])|([\r\n])|([^\x1b\r\n]+)")


class Screen:
    """The lines that a person sees, scrolled ones included."""

    def __init__(self, columns: int) -> None:
        self.columns = columns
        self.lines = [""]
        self._row = self._column = 0
        self._wraps = True

    def feed(self, text: str) -> None:
        """Write *text* as a terminal would."""
        position = 0
        while position < len(text):
            found = TOKEN.match(text, position)
            if found is None:
                raise AssertionError(f"an unknown control sequence: {text[position:][:20]!r}")

            self._act(found)
            position = found.end()

    def _act(self, found: re.Match[str]) -> None:
        numbers, command, move, text = found.groups()
        if text is not None:
            self._print(text)
        elif move == "\r":
            self._column = 0
        elif move == "\n":
            self._down()
        elif command == "A":
            self._row -= int(numbers or 1)
            assert self._row >= 0, "painted above the top"
        elif command == "J":
            self.lines[self._row :] = [self.lines[self._row][: self._column]]
        elif command == "K":
            self.lines[self._row] = self.lines[self._row][: self._column]
        elif (numbers, command) in (("?7", "h"), ("?7", "l")):
            self._wraps = command == "h"
        elif command != "m":
            raise AssertionError(f"an unknown control sequence: {found.group()!r}")

    def _print(self, text: str) -> None:
        assert not re.search(r"[\x00-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]", text), repr(text)
        for char in text:
            if self._column == self.columns and self._wraps:
                self._column = 0
                self._down()

            self._column = min(self._column, self.columns - 1)  # the last cell is written over

            line = self.lines[self._row].ljust(self._column)
            self.lines[self._row] = line[: self._column] + char + line[self._column + 1 :]
            self._column += 1

    def _down(self) -> None:
        self._row += 1
        if self._row == len(self.lines):
            self.lines.append("")

    @property
    def text(self) -> str:
        """Everything, without blanks at the ends of lines."""
        return "\n".join(line.rstrip() for line in self.lines)


def run_in_terminal(
    words: list[str],
    *,
    columns: int,
    rows: int = 40,
    cwd: Path,
    environ: Mapping[str, str],
    on_output: Callable[[str, Callable[[int], None], subprocess.Popen[bytes]], None] | None = None,
    both: bool = False,
) -> tuple[int, str, str]:
    """Run batcher with its standard error on a terminal; return exit code, what came, and stdout.

    With *both*, standard output is on it too, and what is returned of it is empty.
    *on_output* sees all that came so far after each read, and may resize or signal.
    """
    ours, theirs = pty.openpty()

    def resize(new_columns: int) -> None:
        fcntl.ioctl(ours, termios.TIOCSWINSZ, struct.pack("HHHH", rows, new_columns, 0, 0))

    resize(columns)
    child = subprocess.Popen(
        [sys.executable, "-m", "batcher", *words],
        stdin=subprocess.DEVNULL,
        stdout=theirs if both else subprocess.PIPE,
        stderr=theirs,
        cwd=cwd,
        env={**environ, "TERM": "xterm-256color"},
    )
    os.close(theirs)
    came = b""
    try:
        while part := _read(ours):
            came += part
            if on_output is not None:
                on_output(came.decode("utf-8", "replace"), resize, child)
    finally:
        os.close(ours)
        if child.poll() is None and sys.exc_info()[0] is not None:
            child.send_signal(signal.SIGKILL)

    out, _ = child.communicate()
    told = came.decode("utf-8", "replace").replace("\r\n", "\n\r")
    return child.returncode, told, (out or b"").decode()


def _read(fd: int) -> bytes:
    try:
        return os.read(fd, 65_536)
    except OSError:  # the child has closed its end
        return b""
