"""The log of a run: one JSON object for each event, redacted, in `log.jsonl` and for `--json`.

Rule: the only module that knows structlog. It configures nothing global, so that two logs in one
process do not meet. No secret passes: not in a text, not in a nested value, not in a traceback. A
log that cannot be written any more never stops a run; it says how much was lost, when it can.

structlog takes a third of a second to import: import this module only where a run really starts.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol, TextIO

import orjson
import structlog
from structlog.typing import EventDict, WrappedLogger

from batcher.adapters.atomic import PRIVATE
from batcher.adapters.logs_redaction import Redaction
from batcher.core.errors import StorageError, UsageError
from batcher.core.model import iso
from batcher.core.secret import Secret

LEVELS = {"debug": 10, "info": 20, "warning": 30, "error": 40}
BUFFER_BYTES = 65_536
OWN = 3  # time, level and event come first in each line
PLAIN_ONLY = (
    orjson.OPT_APPEND_NEWLINE
    | orjson.OPT_PASSTHROUGH_DATACLASS
    | orjson.OPT_PASSTHROUGH_DATETIME
    | orjson.OPT_PASSTHROUGH_SUBCLASS
)


def open_log(
    path: Path | None,
    *,
    level: str = "info",
    also: TextIO | None = None,
    secrets: Sequence[Secret] = (),
    clock: Callable[[], float] = time.time,
) -> RunLog:
    """Open the log: events from *level* on go to *path* and, line by line, to *also*.

    Raises `UsageError` for an unknown level and `StorageError` if the file cannot be opened.
    """
    if level not in LEVELS:
        raise UsageError(f"--log-level: {level!r} is none of {', '.join(LEVELS)}")

    try:
        file = None if path is None else _LogFile(path)
    except OSError as error:
        raise StorageError(f"{path}: {error.strerror}") from error

    return RunLog(_Sink(file, also), LEVELS[level], Redaction(secrets), clock)


class Say(Protocol):
    """Note an event with its values."""

    def __call__(self, event: str, /, **values: object) -> None:
        """Note it."""
        ...


class RunLog:
    """Where events go (`core.log.Log`), to be flushed now and then and closed at the end.

    `debug` is for details, `info` for what went as it should. What `warning` (a person may want to
    know it) and `error` (a person must know it) are told is on disk when they return.
    """

    def __init__(
        self, sink: _Sink, level: int, redaction: Redaction, clock: Callable[[], float]
    ) -> None:
        self.redaction = redaction  # what it does not let pass
        self._sink = sink
        said = _Said(sink, _Renderer(redaction, clock))
        self.debug: Say = said.debug if level <= LEVELS["debug"] else _unsaid
        self.info: Say = said.info if level <= LEVELS["info"] else _unsaid
        self.warning: Say = said.warning if level <= LEVELS["warning"] else _unsaid
        self.error: Say = said.error

    def flush(self) -> None:
        """Write out what is buffered."""
        self._sink.flush()

    def close(self) -> None:
        """Write out what is buffered and close the file. Idempotent."""
        self._sink.close()


class _Said(structlog.BoundLoggerBase):
    """structlog's logger, without what its ready-made ones do for each line.

    There are two lines a job, and to them nothing is bound and there is one processor: what can
    wait is handed to it as it is, for what structlog does in between takes as long as all the rest.
    """

    def __init__(self, sink: _Sink, renderer: _Renderer) -> None:
        super().__init__(sink, [renderer], {})
        self._line, self._wait = renderer.line, sink.info

    def debug(self, event: str, /, **values: object) -> None:
        self._wait(self._line("debug", event, values))

    def info(self, event: str, /, **values: object) -> None:
        self._wait(self._line("info", event, values))

    def warning(self, event: str, /, **values: object) -> None:
        self._proxy_to_logger("warning", event, **values)

    def error(self, event: str, /, **values: object) -> None:
        self._proxy_to_logger("error", event, **values)


def _unsaid(_event: str, /, **_values: object) -> None:
    """Take an event that is below the level."""


class _Renderer:
    """The last processor: an event as one line of JSON, time, level and name first.

    Nearly every line holds plain values and nothing secret: it is encoded first and looked through
    as a whole, and taken apart only if something suspect stands in it.
    """

    def __init__(self, redaction: Redaction, clock: Callable[[], float]) -> None:
        self._redaction = redaction
        self._clock = clock

    def __call__(self, logger: WrappedLogger, method: str, event: EventDict) -> bytes:
        if "exc_info" in event:
            event = structlog.processors.format_exc_info(logger, method, event)

        return self.line(method, event.pop("event", None), event)

    def line(self, level: str, event: object, values: Mapping[str, object]) -> bytes:
        """Return an event as its line."""
        line = {"time": iso(self._clock()), "level": level, "event": event, **values}
        if len(line) < OWN + len(values):  # a value has the name of one of ours
            return self._taken_apart(level, event, values)

        plain = _encoded(line)
        if plain is not None and self._redaction.is_clean(plain):
            return plain

        return self._taken_apart(level, event, values)

    def _taken_apart(self, level: str, event: object, values: Mapping[str, object]) -> bytes:
        told = self._redaction.value(event)
        line = {"time": iso(self._clock()), "level": level, "event": told}
        for key, value in values.items():
            line.setdefault(self._redaction.text(key), self._redaction.value(value))

        return orjson.dumps(line, option=orjson.OPT_APPEND_NEWLINE)


def _encoded(line: dict[str, Any]) -> bytes | None:
    """Return a line of nothing but plain values as JSON; None if some value is none."""
    try:
        return orjson.dumps(line, option=PLAIN_ONLY)
    except TypeError:
        return None


class _Sink:
    """What structlog calls, by the name of the level, with the finished line."""

    def __init__(self, file: _LogFile | None, also: TextIO | None) -> None:
        self._file = file
        self._also = also

    def info(self, line: bytes) -> None:
        """Take a line that can wait."""
        if self._file is not None:
            self._file.write(line)

        if self._also is not None:
            self._print(self._also, line.decode())

    debug = info

    def warning(self, line: bytes) -> None:
        """Take a line that cannot wait."""
        self.info(line)
        self.flush()

    error = warning

    def flush(self) -> None:
        """Write out what is buffered."""
        if self._file is not None:
            self._file.flush()

    def close(self) -> None:
        """Close the file; the other output belongs to somebody else."""
        if self._file is not None:
            self._file.close()

    def _print(self, also: TextIO, text: str) -> None:
        try:
            also.write(text)
            also.flush()
        except (OSError, ValueError):  # the reader has gone, or the stream was closed
            self._also = None


class _LogFile:
    """A file that only grows, written in blocks of whole lines."""

    def __init__(self, path: Path) -> None:
        flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
        self._fd = os.open(path, flags, PRIVATE)
        # One block, not a list of lines: what the encoder allots for a line is given back at once,
        # and not cut down and kept, which takes longer than all the rest of a line.
        self._block = bytearray()
        self._lines = 0
        self._lost = 0
        end = os.fstat(self._fd).st_size
        self._is_torn = end > 0 and os.pread(self._fd, 1, end - 1) != b"\n"

    def write(self, line: bytes) -> None:
        """Buffer a line."""
        self._block += line
        self._lines += 1
        if len(self._block) >= BUFFER_BYTES:
            self.flush()

    def flush(self) -> None:
        """Write the buffered lines; what there is no room for is counted and dropped."""
        if not self._lines or self._fd < 0:
            return

        note = b'{"level":"error","event":"log.lost","lines":%d}\n' % self._lost
        start = (b"\n" if self._is_torn else b"") + (note if self._lost else b"")
        block, self._block = start + self._block, bytearray()
        lines, self._lines = self._lines, 0
        try:
            written = os.write(self._fd, block)
        except OSError:
            self._lost += lines
            return

        self._is_torn = written < len(block)
        self._lost = lines if self._is_torn else 0

    def close(self) -> None:
        """Write the rest and close. Idempotent."""
        self.flush()
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1
