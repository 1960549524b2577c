"""The command line: flags, files and signals in; words, numbers and exit codes out.

Rule: a command imports what it needs when it is called, so that `--help` is there at once. Data
goes to standard output, talk to standard error.
"""

from __future__ import annotations

from batcher.cli.app import main

__all__ = ["main"]
