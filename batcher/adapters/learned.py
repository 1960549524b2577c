"""What is known of how long an API's jobs take, kept for later runs: one small file for each API.

Rule: it is a help and never a condition. A folder that cannot be made, a file that is damaged or
too large, a full disk: each is one log line, and the run goes on as if nothing were known. What is
kept is ages of reads by class of jobs: no job, no row, no key. Two processes that end at the same
time do not mix what they know; the later one's file stays.

The folder is `$BATCHER_STATE_DIR`, else `$XDG_STATE_HOME/batcher`, else `~/.local/state/batcher`
(XDG Base Directory Specification); empty or `none` keeps nothing.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from urllib.parse import urlsplit

import orjson

from batcher.adapters.atomic import write_atomically
from batcher.core.log import Log
from batcher.core.polling.durations import Durations

STATE_DIR = "BATCHER_STATE_DIR"
FORMAT = 1
FILE_BYTES_MAX = 2_000_000  # 24 classes of 30 KB, and room
FILES_MAX = 64  # APIs; beyond that the oldest files go
CLASSES_MAX = 32  # of one API
NAME_CHARS_MAX = 300  # of a class
PRIVATE_FOLDER = 0o700
SUFFIX = ".learned.json"

# What a damaged file can lead to: it cannot be read, is no JSON, or not as it was written.
UNUSABLE = (OSError, ValueError, LookupError, TypeError, AttributeError)


class Learned:
    """The file of one API. Nothing is made before `save`."""

    def __init__(self, provider: str, base_url: str, log: Log | None = None) -> None:
        folder = state_folder(os.environ)
        self._origin = _origin(base_url)
        mark = sha256(self._origin.encode("utf-8", "surrogatepass")).hexdigest()[:16]
        self.path = None if folder is None else folder / f"{provider}-{mark}{SUFFIX}"
        self._provider = provider
        self._log = log

    def load(self) -> dict[str, Durations]:
        """Return what is known by class, the latest used first; whatever is damaged is left out."""
        if self.path is None:
            return {}

        try:
            kept = orjson.loads(_read(self.path))
            if kept["format"] != FORMAT or kept["origin"] != self._origin:
                raise ValueError("it is of another format, or of another API")

            classes = [each for each in kept["classes"].items() if len(each[0]) <= NAME_CHARS_MAX]
        except FileNotFoundError:
            return {}
        except UNUSABLE as error:
            self._tell("could not be read", error)
            return {}

        found = {name: Durations.from_kept(value) for name, value in classes[:CLASSES_MAX]}
        return {name: durations for name, durations in found.items() if durations.ends}

    def save(self, kept: Mapping[str, object]) -> None:
        """Replace the file by what is known now: `Durations.kept` by class, latest used first."""
        names = [name for name in kept if len(name) <= NAME_CHARS_MAX][:CLASSES_MAX]
        if self.path is None or not names:
            return

        classes = {name: kept[name] for name in names}
        content = {"format": FORMAT, "origin": self._origin, "classes": classes}
        try:
            data = orjson.dumps(content)
            if len(data) > FILE_BYTES_MAX:
                raise ValueError(f"{len(data):,} bytes are too many")

            self.path.parent.mkdir(mode=PRIVATE_FOLDER, parents=True, exist_ok=True)
            _replace(self.path, data)
            _drop_oldest(self.path.parent)
        except (OSError, ValueError, TypeError) as error:
            self._tell("could not be written", error)

    def _tell(self, what: str, error: Exception) -> None:
        if self._log is not None:
            why = error.strerror if isinstance(error, OSError) else str(error)
            self._log.warning("learned.unusable", file=str(self.path), what=what, why=why)


def load(provider: str, base_url: str) -> dict[str, Durations]:
    """Return what earlier runs learned of this API's jobs, by class. Never raises."""
    return Learned(provider, base_url).load()


def state_folder(environ: Mapping[str, str]) -> Path | None:
    """Return the folder for what outlives all runs; None: nothing is to be kept."""
    chosen = environ.get(STATE_DIR)
    if chosen is not None:
        return None if chosen.strip() in ("", "none") else Path(chosen)

    base = environ.get("XDG_STATE_HOME", "")
    if base.startswith("/"):  # a relative one is to be ignored, says the specification
        return Path(base) / "batcher"

    home = environ.get("HOME", "")
    return Path(home) / ".local" / "state" / "batcher" if home.startswith("/") else None


def _origin(base_url: str) -> str:
    """Return scheme, host and port: a name and a password in a URL are nobody's business."""
    parts = urlsplit(base_url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"


def _read(path: Path) -> bytes:
    """Read an ordinary file of a sensible size; raises `OSError` or `ValueError`."""
    flags = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
    with open(os.open(path, flags), "rb") as file:  # noqa: PTH123 - takes our flags
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise ValueError("it is no file")

        data = file.read(FILE_BYTES_MAX + 1)
        if len(data) > FILE_BYTES_MAX:
            raise ValueError(f"it is larger than {FILE_BYTES_MAX:,} bytes")

        return data


def _replace(path: Path, data: bytes) -> None:
    """Replace a file that other processes may be replacing too: each writes one of its own."""
    own = path.with_name(f"{path.name}.{os.getpid()}")
    write_atomically(own, data)
    own.replace(path)


def _drop_oldest(folder: Path) -> None:
    """Keep the number of files bounded: each port of a local server makes one."""
    files = sorted(folder.glob(f"*{SUFFIX}*"), key=lambda file: file.stat().st_mtime)
    for file in files[:-FILES_MAX]:
        file.unlink(missing_ok=True)
