"""Lines as wide as the terminal, broken between words; whole where nobody looks."""

from __future__ import annotations

import shutil
import sys
import textwrap

COLUMNS_MIN = 40
INDENT_SHARE = 4  # at most so small a part of the width is left empty


def wrapped(line: str, indent: int = 2) -> str:
    """Return a line for standard output; what is broken off goes *indent* deeper than it began.

    A line with a word that would not fit is left to the terminal, which folds it where it is full.
    """
    if not sys.stdout.isatty():
        return line

    columns = max(COLUMNS_MIN, shutil.get_terminal_size().columns)
    begins = len(line) - len(line.lstrip(" "))
    deeper = " " * (begins + min(indent, columns // INDENT_SHARE))
    if max(map(len, line.split()), default=0) > columns - len(deeper):
        return line

    return "\n".join(
        textwrap.wrap(
            line,
            columns,
            subsequent_indent=deeper,
            break_long_words=False,
            break_on_hyphens=False,
        )
    )
