"""The calls that an API makes (webhooks): what is due when, and what is tried again. No I/O.

Rule: every call is planned when its job is made; `due` hands out attempts, `answered` says what
became of one, and a failed one is due again. What is drawn for a call is drawn for its delivery id
and attempt, so no call depends on another, but for the breaker that counts failures in a row.
Facts: https://docs.deapi.ai/execution-modes-and-integrations/webhooks.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from heapq import heappop, heappush
from typing import Final

from batcher.simulator.account import Account
from batcher.simulator.chance import Chance
from batcher.simulator.jobs import started_at
from batcher.simulator.ledger import End, Job

ANSWER_S: Final = 10.0  # whoever is called has this long to answer
PAUSES_S: Final = (60.0, 120.0, 300.0, 600.0, 1800.0, 3600.0, 10_800.0, 21_600.0, 43_200.0)
BREAKER: Final = 10  # failures in a row after which the account's own URL is called no more
BLEMISHES: Final = ("hook_bad_signature", "hook_unsigned", "hook_stale", "hook_garbled")


@dataclass(frozen=True, slots=True)
class Target:
    """Who is called, and the secret that calls are signed with; empty: they are not."""

    url: str
    secret: str = ""
    is_own: bool = True  # named by the request, not by the account


@dataclass(frozen=True, slots=True)
class Notice:
    """One attempt, for the API to put into its own words. Times are epoch seconds."""

    job: Job
    event: str  # processing | completed | failed
    at: float  # when it happened
    delivery_id: str
    sent_at: float
    secret: str
    blemishes: frozenset[str]  # of `BLEMISHES`


@dataclass(frozen=True, slots=True)
class Delivery:
    """One attempt as it goes out: POST, header names in lower case."""

    id: str  # of all attempts of a call
    job_id: str
    event: str
    attempt: int  # from 1
    url: str
    headers: Mapping[str, str]
    body: bytes
    is_copy: bool = False  # a second call about the same; never tried again


@dataclass(slots=True, eq=False)
class _Call:
    job: Job
    event: str
    at: float
    target: Target
    id: str
    attempts: int = 0
    is_copy: bool = False


Compose = Callable[[Notice], tuple[Mapping[str, str], bytes]]


@dataclass(slots=True, eq=False)
class Outbox:
    """What is to be called. `on_change` is called when something is due earlier than before."""

    account: Account
    chance: Chance
    compose: Compose
    on_change: Callable[[], None] = lambda: None
    is_broken: bool = False  # the account's own URL is switched off
    _heap: list[tuple[float, int, _Call]] = field(default_factory=list)
    _out: dict[tuple[str, int, bool], _Call] = field(default_factory=dict)
    _pushed: int = 0
    _failures: int = 0  # in a row, of all calls

    def expect(self, job: Job, target: Target) -> None:
        """Plan the calls about a new job."""
        if job.course.end is End.FORGOTTEN:
            return

        self._plan(job, "processing", started_at(job), target)
        if math.isfinite(job.done_at):
            failed = job.course.end is End.REJECTED
            self._plan(job, "failed" if failed else "completed", job.done_at, target)

    def next_due(self) -> float | None:
        """Return when `due` will have something, in epoch seconds; None = never as things are."""
        return self._heap[0][0] if self._heap else None

    def due(self, now_s: float, at_most: int = 1_000_000) -> list[Delivery]:
        """Take out what is to be sent by now; each wants to be `answered`, or stays out for good.

        What is overdue comes in the order in which it was due.
        """
        sent: list[Delivery] = []
        while self._heap and self._heap[0][0] <= now_s and len(sent) < at_most:
            call = heappop(self._heap)[2]
            if call.target.is_own or not self.is_broken:
                sent.append(self._send(call, now_s))

        return sent

    def answered(self, delivery: Delivery, status: int | None, now_s: float) -> None:
        """Note what became of an attempt: an HTTP status, or None for no answer in time."""
        call = self._out.pop((delivery.id, delivery.attempt, delivery.is_copy), None)
        if call is None:
            return

        self._tally("no answer" if status is None else str(status))
        if status is not None and 200 <= status < 300:
            self._failures = 0
            return

        self._failures += 1
        if self._failures >= BREAKER and not self.is_broken:
            self.is_broken = True
            self._tally("breaker")

        self._again(call, now_s)

    def _plan(self, job: Job, event: str, at: float, target: Target) -> None:
        name = self.chance.uuid("delivery", f"{job.id} {event}")
        if self._strikes("hook_lost", name):
            self._tally("lost")
            return

        for is_copy in (False, True) if self._strikes("hook_duplicate", name) else (False,):
            spread = self.account.plan.hook_delay_s
            late_s = spread.at(self.chance.draw("hook_delay", name, is_copy))
            self._push(at + late_s, _Call(job, event, at, target, name, is_copy=is_copy))

    def _send(self, call: _Call, now_s: float) -> Delivery:
        call.attempts += 1
        self._out[call.id, call.attempts, call.is_copy] = call
        self._tally("sent")
        blemishes = {knob for knob in BLEMISHES if self._strikes(knob, call.id, call.attempts)}
        for knob in sorted(blemishes):
            self._tally(knob.removeprefix("hook_").replace("_", " "))

        secret, marks = call.target.secret, frozenset(blemishes)
        notice = Notice(call.job, call.event, call.at, call.id, now_s, secret, marks)
        headers, body = self.compose(notice)
        return Delivery(
            id=call.id,
            job_id=call.job.id,
            event=call.event,
            attempt=call.attempts,
            url=call.target.url,
            headers=headers,
            body=body,
            is_copy=call.is_copy,
        )

    def _again(self, call: _Call, now_s: float) -> None:
        if call.is_copy:
            return

        if call.attempts > len(PAUSES_S):
            self._tally("given up")
            return

        pause_s = PAUSES_S[call.attempts - 1] * self.account.plan.hook_retry_scale
        self._push(now_s + pause_s, call)

    def _push(self, at: float, call: _Call) -> None:
        earliest = self.next_due()
        self._pushed += 1
        heappush(self._heap, (at, self._pushed, call))
        if earliest is None or at < earliest:
            self.on_change()

    def _strikes(self, knob: str, name: str, ordinal: int = 0) -> bool:
        share: float = getattr(self.account.plan, knob)
        return share > 0 and self.chance.draw(knob, name, ordinal) < share

    def _tally(self, word: str) -> None:
        self.account.ledger.tally[f"hook {word}"] += 1
