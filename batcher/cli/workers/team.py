"""The workers that are at work, and what a new one must know of the others.

Rule: what concerns the whole account reaches every worker: those that are there, and those that are
started while it holds. Nothing is asked back: a message that meets a dead worker is lost with it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from batcher.engine.clock import Clock
from batcher.engine.control import Control
from batcher.engine.shards.messages import Held, How, Message, Sharing, Stopping, encoded


class Worker(Protocol):
    """A worker process at work."""

    @property
    def pid(self) -> int:
        """Its process."""
        ...

    def send(self, line: bytes) -> None:
        """Send it a line."""
        ...

    async def listen(self, hear: Callable[[bytes], None], told: Callable[[str], None]) -> int:
        """Pass on what it sends and says until it ends; return its exit code."""
        ...


class Team:
    """All workers of one run that are at work, by number."""

    def __init__(self, shards: int, control: Control, clock: Clock) -> None:
        self._at_work: dict[int, Worker] = {}
        self._shards = self._parts = shards  # into which every limit is shared, at first and now
        self._holds: dict[tuple[str, str], float] = {}  # lane and why -> until when
        self._control = control
        self._clock = clock

    def join(self, number: int, worker: Worker) -> None:
        """Take a worker in, and tell it what the others know."""
        self._at_work[number] = worker
        for message in self._news():
            worker.send(encoded(message))

    def leave(self, number: int) -> None:
        """Forget a worker that has ended."""
        del self._at_work[number]

    def hold(self, held: Held, teller: int) -> None:
        """Let everybody wait as one was told to."""
        self._holds[held.lane, held.why] = self._clock.now() + held.wait_s
        self._tell(held, but=teller)

    def stop(self, how: How) -> None:
        """Let everybody stop in this way."""
        if self._control.stop is not None:
            self._tell(Stopping(how, self._control.stop))

    def hand_over(self) -> None:
        """Leave the part of one that has ended for good to the others."""
        self._parts -= 1
        if self._parts > 0:
            self._tell(Sharing(self._parts))

    def _tell(self, message: Message, but: int | None = None) -> None:
        line = encoded(message)
        for number, worker in self._at_work.items():
            if number != but:
                worker.send(line)

    def _news(self) -> list[Message]:
        now, stop = self._clock.now(), self._control.stop
        news: list[Message] = [
            Held(lane, why, until - now)
            for (lane, why), until in self._holds.items()
            if until > now
        ]
        if self._parts < self._shards:
            news.append(Sharing(self._parts))

        if stop is not None:
            is_interrupt = self._control.interrupted.is_set()
            news.append(Stopping("interrupt" if is_interrupt else "halt", stop))

        return news
