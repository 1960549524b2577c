"""What becomes of whatever went wrong: one clear line, and an exit code for whose fault it was.

Rule: a person's mistake and a broken disk get one line. Only a bug in batcher gets a traceback,
with every key taken out of it: what was read from a file, and what a variable that names a key has.
"""

from __future__ import annotations

import errno
import os
import sys
import traceback
from pathlib import Path
from signal import SIGINT

import click

from batcher.cli.exits import BUG, OK, UNUSABLE, signal_exit_code
from batcher.core.errors import OUR_LIMITS, BatcherError, StorageError
from batcher.core.secret import Secret

KEY_CHARS_MIN = 6  # a shorter value would blot out the traceback, and is no key
_hidden: list[Secret] = []  # the keys that this process has read
_MENDED = {errno.EMFILE: "raise the limit (ulimit -n) or lower --connections"}
_UNUSABLE_FILE = {errno.ENOENT, errno.EACCES, errno.EPERM, errno.EISDIR, errno.ENOTDIR}


class ReaderGone(Exception):
    """Nobody reads standard output any more."""


class Crashed(BatcherError):
    """A bug in batcher ended a run. `told` is its traceback, without secrets."""

    def __init__(self, told: str, log: Path) -> None:
        super().__init__(told.strip().rpartition("\n")[2])
        self.told = told
        self.log = log


def say(text: str) -> None:
    """Tell one line on standard error; if nobody reads there either, nobody is told."""
    try:
        click.echo(f"batcher: {text}", err=True)
    except OSError:
        return


def exit_code_of(error: BaseException) -> int:
    """Tell what went wrong and return the exit code for it."""
    error = _limit_behind(leaf_of(error))
    match error:
        case SystemExit():
            return error.code if isinstance(error.code, int) else OK
        case click.exceptions.NoArgsIsHelpError():
            click.echo(error.format_message(), err=True)
            return UNUSABLE
        case click.ClickException():
            say(_usage(error))
            return UNUSABLE
        case KeyboardInterrupt() | click.Abort():
            return signal_exit_code(SIGINT)
        case BatcherError() if error.exit_code != BUG:
            for line in (str(error), *getattr(error, "__notes__", ())):
                say(line)

            return error.exit_code
        case OSError() if error.errno is not None:
            say(_file_trouble(error))
            return UNUSABLE if error.errno in _UNUSABLE_FILE else StorageError.exit_code
        case Crashed():
            _tell_bug(error.told, f"; its log is {error.log}")
            return BUG
        case _:
            _tell_bug("".join(traceback.format_exception(error)), "")
            return BUG


def leaf_of(error: BaseException) -> BaseException:
    """Return the exception of a group that says most: one of batcher's own, or else the first."""
    leaves: list[BaseException] = []
    pending = [error]
    while pending:
        first = pending.pop(0)
        if isinstance(first, BaseExceptionGroup):
            pending.extend(first.exceptions)
        else:
            leaves.append(first)

    return next((leaf for leaf in leaves if isinstance(leaf, BatcherError)), leaves[0])


def _limit_behind(error: BaseException) -> BaseException:
    """Return the limit of this machine that *error* came of: whatever it led to, it is no bug.

    Where no descriptor is left, not even an event loop can be made, or closed.
    """
    behind: BaseException | None = error
    while behind is not None and not isinstance(error, BatcherError):
        if isinstance(behind, OSError) and behind.errno in OUR_LIMITS:
            return behind

        behind = behind.__cause__ or behind.__context__

    return error


def silence_stdout() -> None:
    """Let the interpreter's last flush go nowhere instead of complaining about a closed pipe."""
    try:
        devnull = os.open(os.devnull, os.O_WRONLY)
        os.dup2(devnull, sys.stdout.fileno())
        os.close(devnull)
    except (OSError, ValueError):
        return


def hiding(key: Secret) -> Secret:
    """Return *key*; from now on no traceback of this process shows it."""
    _hidden.append(key)
    return key


def without_keys(text: str) -> str:
    """Return *text* without the keys that were read, and those in environment variables."""
    for key in _hidden:
        text = text.replace(key.reveal(), "***")

    for name, value in os.environ.items():
        if name.upper().endswith("_KEY") and len(value) >= KEY_CHARS_MIN:
            text = text.replace(value, "***")

    return text


def _usage(error: click.ClickException) -> str:
    message = " ".join(error.format_message().split()).replace(". (Did you", " (did you")
    context = getattr(error, "ctx", None)
    if not isinstance(error, click.UsageError) or context is None:
        return message

    return f"{message.removesuffix('.')}. Try `{context.command_path} --help`."


def _file_trouble(error: OSError) -> str:
    where = f"{error.filename}: " if error.filename else ""
    mend = f"; {_MENDED[error.errno]}" if error.errno in _MENDED else ""
    return f"{where}{error.strerror or error}{mend}"


def _tell_bug(told: str, where: str) -> None:
    told = without_keys(told)
    last = told.strip().rpartition("\n")[2]
    try:
        click.echo(told, err=True, nl=False)
        click.echo(f"batcher: a bug in batcher: {last}", err=True)
        click.echo(f"batcher: what the journal holds is safe, `resume` goes on{where}", err=True)
    except OSError:
        return
