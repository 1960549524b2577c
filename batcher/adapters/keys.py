"""Where an API key comes from: a private file or the environment, never an argument's value.

Rule: no message here holds any part of a key, and no byte of one that could break a header passes.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Mapping
from pathlib import Path

from batcher.core.errors import UsageError
from batcher.core.secret import Secret

API_KEY = "API key"  # what is read, as messages call it
KEY_BYTES_MAX = 4_096
USABLE = re.compile(rb"[\x21-\x7e]+")  # printable ASCII without blanks: safe in any header


def read_key(
    env_name: str, key_file: str | None, environ: Mapping[str, str], *, again: bool = False
) -> Secret:
    """Return the key in *key_file*, or else the one in the environment variable *env_name*.

    `again`: it was read before, so what is no file by now (a pipe: `<(pass show key)`) is refused
    before it is opened; nobody writes to it any more, and opening it would not come to an end.
    Raises `UsageError` if there is none, if others can read the file, or if it is no key.
    """
    if key_file is not None:
        return _checked(_read_private(key_file, again=again), key_file)

    value = environ.get(env_name, "")
    if not value.strip():
        raise UsageError(f"no API key: set {env_name}, or name a file with --api-key-file")

    return _checked(os.fsencode(value), env_name)


def read_secret_file(name: str, what: str) -> Secret:
    """Return the secret in a file that only its owner can read; *what* it is, for messages.

    Raises `UsageError` like `read_key`.
    """
    return _checked(_read_private(name, again=False, what=what), name, what)


def _read_private(name: str, *, again: bool, what: str = API_KEY) -> bytes:
    """Read a file that nobody else can; the check and the read are of the same open file."""
    try:
        if again and not stat.S_ISREG(Path(name).stat().st_mode):
            raise UsageError(f"{name}: is no file, so the {what} cannot be read from it twice")

        with Path(name).open("rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            if mode & (stat.S_IRWXG | stat.S_IRWXO):
                raise UsageError(f"{name}: others can read this {what}; `chmod 600` it")

            return file.read(KEY_BYTES_MAX + 1)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "no such name"
        raise UsageError(f"{what} file {name!r} cannot be read: {reason}") from error


def _checked(raw: bytes, source: str, what: str = API_KEY) -> Secret:
    article = "an" if what[0] in "Aa" else "a"
    if len(raw) > KEY_BYTES_MAX:
        raise UsageError(f"{source}: {article} {what} above {KEY_BYTES_MAX:,} bytes is none")

    key = raw.rstrip(b"\r\n")
    if not key:
        raise UsageError(f"{source}: is empty; it should hold {article} {what}")

    if USABLE.fullmatch(key) is None:
        raise UsageError(
            f"{source}: the {what} has blanks, line breaks or characters that no header can carry"
        )

    return Secret(key.decode("ascii"), source)
