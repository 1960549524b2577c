"""What a run leaves behind for others when its process is over: numbers, a message, a command.

Rule: the run is over by then and its directory is free; nothing here changes the exit code. The
message goes first, because a command may take its time. Neither gets an API key.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from types import FrameType

import msgspec

from batcher import __version__
from batcher.adapters.finish import Interruption, run_command
from batcher.adapters.notify import post, send_message
from batcher.adapters.rundir import RunDirectory, absolute_path
from batcher.cli.exits import needs_person
from batcher.cli.failure import say
from batcher.cli.loop import run_async
from batcher.cli.night.attending import Gauges, MetricsFile
from batcher.cli.night.flags import Night, is_web
from batcher.core.lifecycle import OUTCOMES
from batcher.core.secret import Secret
from batcher.providers import PROVIDERS
from batcher.report.summary import Summary, read_summary
from batcher.report.text import plain

COMMAND_S = 60.0
COUNTS = ("rows", *map(str, OUTCOMES), "pending", "accepted")
# Not handed on: secrets, and what would make a batcher in the command do the same again.
KEPT_BACK = ("BATCHER_NOTIFY", "BATCHER_NOTIFY_FILE", "BATCHER_ON_FINISH")


@dataclass(slots=True)
class LastWords:
    """Speaks once, when the exit code is known. `summary`: of a run that came to a regular end."""

    night: Night
    directory: RunDirectory
    key: Secret
    gauges: Gauges
    file: MetricsFile
    summary: Summary | None = None

    def speak(self, code: int) -> None:
        """Write, tell and run what was asked for."""
        summary = self.summary or _left_behind(self.directory)
        if self.file.has_place(self.directory):
            self.file.write(self.gauges.last_text(summary, code))

        with _on_signals(signal.default_int_handler):
            self._notify(summary, code)

        interruption = Interruption()
        with _on_signals(interruption):
            self._run_command(summary, code, interruption)

    def _notify(self, summary: Summary, code: int) -> None:
        address, when = self.night.notify, self.night.notify_when
        if address is None or (when == "trouble" and not needs_person(summary, code)):
            return

        run, text = self._name, text_of(self._name, summary, code)
        if is_web(address):
            body = body_of(summary, code, run=run, text=text)
            problem = run_async(lambda: post(address, body, user_agent=f"batcher/{__version__}"))
        else:
            problem = send_message(address, f"batcher: {run}", text)

        if problem is not None:
            say(f"--notify: {problem}")

    def _run_command(self, summary: Summary, code: int, interruption: Interruption) -> None:
        words = self.night.on_finish
        if not words:
            return

        environ = environment(os.environ, summary, code, self.directory, self.key)
        given = summary.as_json() + b"\n"
        problem = run_command(words, environ, given, timeout_s=COMMAND_S, interruption=interruption)
        if problem is not None:
            say(f"--on-finish: {plain(words[0], 200)} {problem}")

    @property
    def _name(self) -> str:
        return plain(absolute_path(self.directory.path).name, 200)


def environment(
    environ: Mapping[str, str], summary: Summary, code: int, directory: RunDirectory, key: Secret
) -> dict[str, str]:
    """Return what the command finds in its environment: how it ended, and no key."""
    secret = {provider.facts.key_env for provider in PROVIDERS.values()} | set(KEPT_BACK)
    kept = {
        name: value
        for name, value in environ.items()
        if name not in secret and key.reveal() not in value
    }
    counts = {f"BATCHER_{name.upper()}": str(getattr(summary, name)) for name in COUNTS}
    return {
        **kept,
        **counts,
        "BATCHER_RUN_DIR": str(absolute_path(directory.path)),
        "BATCHER_EXIT_CODE": str(code),
        "BATCHER_STATE": summary.state,
        "BATCHER_STOPPED": "" if summary.stopped is None else str(summary.stopped.reason),
    }


def text_of(run: str, summary: Summary, code: int) -> str:
    """Return the end of a run in one line."""
    told = [f"{summary.succeeded:,} of {summary.rows:,} rows succeeded"]
    for name in (*OUTCOMES[1:], "pending"):
        count = int(getattr(summary, name))
        told += [f"{count:,} {name.replace('_', ' ')}"] if count else []

    why = "" if summary.stopped is None else f" ({plain(summary.stopped.reason)})"
    return f"{run}: {summary.state}{why}, {', '.join(told)}; exit code {code}"


def body_of(summary: Summary, code: int, *, run: str, text: str) -> bytes:
    """Return what is posted: `summary.json`, with whose it is and a line for people."""
    told = {"text": text, "run": run, "host": socket.gethostname(), "exit_code": code}
    return msgspec.json.encode({**told, **msgspec.to_builtins(summary)})


def _left_behind(directory: RunDirectory) -> Summary:
    """Return the summary of a process that came to no regular end."""
    found = read_summary(directory.path) or Summary()
    return msgspec.structs.replace(found, state="stopped") if found.state == "running" else found


@contextlib.contextmanager
def _on_signals(handler: Callable[[int, FrameType | None], None]) -> Iterator[None]:
    """Let any signal that ends a run end these last words, and not the process."""
    before = {
        number: signal.signal(number, handler)
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
        if signal.getsignal(number) is not signal.SIG_IGN
    }
    try:
        yield
    finally:
        for number, earlier in before.items():
            signal.signal(number, earlier)
