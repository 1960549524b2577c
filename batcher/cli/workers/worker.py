"""One worker: an ordinary run of one shard, led by another process.

Rule: it is the same run as any, in a directory of its own; only its brakes and its view are in the
leader's hands. Its own signals end it politely, however many come; the leader alone may end it at
once. It ends politely, too, when the leader has gone.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from signal import SIG_IGN, SIGHUP, SIGINT, SIGTERM, Signals, getsignal

import anyio
import msgspec

from batcher.adapters.rundir import RunDirectory
from batcher.adapters.runfile import read_run_file
from batcher.adapters.workers import Channel, line_to_leader
from batcher.cli.driving.beginning import begin_or_resume
from batcher.cli.driving.brakes import LAST_WAIT_S
from batcher.cli.driving.drive import Drive, conduct
from batcher.cli.driving.screen import Screen
from batcher.cli.exits import BUG, run_exit_code, signal_exit_code
from batcher.cli.failure import exit_code_of, leaf_of
from batcher.cli.flags.known import find_provider
from batcher.cli.flags.wishes import key_source
from batcher.cli.loop import run_async
from batcher.cli.process import prepare_process
from batcher.cli.workers.orders import Orders, own_settings
from batcher.core.errors import BatcherError
from batcher.core.model import Stop, StopReason
from batcher.core.settings import Settings
from batcher.core.stats import Snapshot
from batcher.engine.run import Run
from batcher.engine.running import Running
from batcher.engine.shards.link import Link
from batcher.engine.shards.messages import Failed, Message, Said, Seen, decoded, encoded
from batcher.providers import PROVIDERS
from batcher.report.views import View


def main() -> None:
    """Do what the only argument orders, and leave with an exit code as of `batcher run`."""
    prepare_process()
    orders = msgspec.json.decode(sys.argv[1], type=Orders)
    channel = line_to_leader()
    try:
        code = work(orders, channel)
    except BaseException as error:
        cause = leaf_of(error)
        code = cause.exit_code if isinstance(cause, BatcherError) else BUG
        if code == BUG:
            code = exit_code_of(error)
        else:
            channel.send(encoded(Failed(str(cause))))

    channel.close()
    sys.exit(code)


def work(orders: Orders, channel: Channel) -> int:
    """Bring one shard to its end and return the exit code."""
    frozen, settings = read_run_file(RunDirectory(Path(orders.run)).run_file)
    find_provider(frozen.provider)
    frozen = msgspec.structs.replace(frozen, shard=orders.shard)
    own = own_settings(settings, orders.shard, frozen.shards or 1)
    directory = RunDirectory(Path(orders.run)).shard(orders.shard)
    read_again = key_source(PROVIDERS[frozen.provider].facts.key_env, orders.api_key_file)
    key = read_again()

    def send(message: Message) -> None:
        channel.send(encoded(message))

    def led(run: Running, grace_s: float, _say: Callable[[str], None]) -> Led:
        assert isinstance(run, Run)  # noqa: S101 - a shard is done in this very process
        return Led(run, grace_s, channel, send)

    with directory.lock(time.time()):
        begin_or_resume(directory, frozen, own)
        screen = LedScreen(log_level=orders.log_level, send=send)
        left = _less_time(own, orders.elapsed_s)
        job = Drive(directory, frozen, left, key, screen, read_again, brakes=led)
        ended = run_async(lambda: conduct(job))
        return run_exit_code(ended.summary, ended.signal)


def _less_time(settings: Settings, elapsed_s: float) -> Settings:
    """Return settings for a worker that began late, because the one before it died."""
    if settings.max_duration_s is None:
        return settings

    left_s = max(0.0, settings.max_duration_s - elapsed_s)
    return msgspec.structs.replace(settings, max_duration_s=left_s)


class Led:
    """The brakes of a worker (as `cli.driving.brakes`): the leader's word, and its own signals."""

    def __init__(
        self, run: Run, grace_s: float, channel: Channel, send: Callable[[Message], None]
    ) -> None:
        self.signal: Signals | None = None
        self._run = run
        self._grace_s = grace_s
        self._channel = channel
        self._link = Link(run, send)

    async def listen(self) -> None:
        """Hear the leader and signals until cancelled; end the process whatever hangs."""
        async with anyio.create_task_group() as group:
            group.start_soon(self._hear_leader)
            group.start_soon(self._hear_signals)
            await self._run.control.interrupted.wait()
            with anyio.move_on_after(self._grace_s + LAST_WAIT_S):
                await self._run.control.aborted.wait()
                await anyio.sleep(LAST_WAIT_S)

            os._exit(signal_exit_code(self.signal or SIGTERM))  # what the journal has is safe

    async def _hear_leader(self) -> None:
        async for line in self._channel.lines():
            self._link.hear(decoded(line))

        self._link.part()

    async def _hear_signals(self) -> None:
        heard = [s for s in (SIGINT, SIGTERM, SIGHUP) if getsignal(s) is not SIG_IGN]
        with anyio.open_signal_receiver(*heard) as signals:
            async for signal in signals:
                self.signal = self.signal or signal
                stop = Stop(StopReason.INTERRUPTED, f"interrupted by {signal.name}")
                self._run.control.interrupt(stop)


@dataclass(frozen=True, slots=True)
class LedScreen(Screen):
    """Shows everything to the leader."""

    send: Callable[[Message], None] = lambda _message: None

    def open_view(self, title: str, currency: str | None = None) -> View:
        """Return the view of one run."""
        return LedView(self.send)


class LedView:
    """Sends what there is to see (a `report.views.View`)."""

    def __init__(self, send: Callable[[Message], None]) -> None:
        self._send = send

    def show(self, shot: Snapshot) -> None:
        """Send how the run stands; its notices are said one by one."""
        self._send(Seen(replace(shot, notices=())))

    def say(self, text: str, *, is_urgent: bool = False) -> None:
        """Send a line for a person."""
        self._send(Said(text, is_urgent))

    def close(self) -> None:
        """Do nothing: every message is complete."""


if __name__ == "__main__":
    main()
