"""An API that calls: a night whose jobs report by themselves, by a fake dialect of our own.

The dialect is Removit's with calls of the simplest kind added to it, so that nothing here depends
on any vendor's. The calls are made by the test, or by `Caller`, which does as APIs do: it calls for
every job, and again later for as long as it does not hear that the call was taken.
"""

from __future__ import annotations

import hmac
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, cast

import anyio
import orjson

from batcher.adapters.webhooks import Answer
from batcher.core.exchange import Request
from batcher.core.model import LocalFile
from batcher.core.secret import Secret
from batcher.core.verdict import BadCall, CallVerdict, JobEvent
from batcher.engine.keyring import Keyring
from batcher.engine.parts import Parts
from batcher.engine.run import Run
from batcher.engine.webhooks.calls import WebhookClaims
from batcher.engine.webhooks.opening import open_claims
from batcher.engine.webhooks.reports import CallReports
from batcher.providers.base import Callback, Provider
from batcher.simulator.ledger import Job
from tests.engine.harness import Mortal, Night

URL = "https://hooks.example/batcher"
AGE_S_MAX = 300.0


class PlainCalls:
    """Calls that are signed over their time and their body."""

    def read(
        self, headers: Mapping[str, str], body: bytes, *, secret: Secret, now: float
    ) -> CallVerdict:
        """Believe what is signed and fresh."""
        at = headers.get("x-at", "")
        if not hmac.compare_digest(headers.get("x-signature", ""), signed(secret, at, body)):
            return BadCall("its signature is not ours")

        if abs(float(at) - now) > AGE_S_MAX:
            return BadCall("it is too old")

        return JobEvent(**orjson.loads(body))


def signed(secret: Secret, at: str, body: bytes) -> str:
    """Return the signature of a call."""
    return secret.mac(at.encode() + b"." + body).hex()


class CallingDialect:
    """A dialect that takes callbacks, and remembers which ones it was given for which row."""

    def __init__(self, inner: Provider, given: dict[str, list[tuple[float, Callback]]]) -> None:
        self.callbacks = PlainCalls()
        self._inner = inner
        self._given = given

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def submit(
        self,
        values: Mapping[str, object],
        files: Sequence[LocalFile],
        callback: Callback | None = None,
    ) -> Request:
        """Return the inner request: the callback reaches the API by our memory."""
        assert callback is not None
        assert len(callback.url) <= 2048
        assert 32 <= len(callback.secret.reveal()) <= 255
        self._given[str(values["file_url"])].append((anyio.current_time(), callback))
        return self._inner.submit(values, files)


@dataclass
class CalledNight(Night):
    """A night whose API calls."""

    given: dict[str, list[tuple[float, Callback]]] = field(
        default_factory=lambda: defaultdict(list)
    )
    keyring: Keyring = field(default_factory=lambda: Keyring(Secret("test-key", "the test")))
    claims: WebhookClaims | None = None  # of the process that runs

    def parts(
        self, journal: Any, outcomes: Any, settings: Mapping[str, Any] | None = None
    ) -> Parts:
        """Return the parts of a run with webhooks."""
        both = {"webhook_listen": "127.0.0.1:0", "webhook_url": URL}
        parts = super().parts(journal, outcomes, {**both, **(settings or {})})
        dialect = cast(Provider, CallingDialect(parts.provider, self.given))
        assert dialect.callbacks is not None
        self.claims = open_claims(
            dialect.callbacks,
            journal._inner if isinstance(journal, Mortal) else journal,  # it lives to see the run
            self.keyring,
            parts.settings,
            make_id=lambda: f"run {self.seed}",
            reports=CallReports(parts.log, parts.notices),
            clock=parts.clock,
        )
        return replace(parts, provider=dialect, keyring=self.keyring, claims=self.claims)

    def jobs(self) -> list[Job]:
        """Return every job that the API made, in order."""
        return list(self.simulation.ledger.jobs.values())

    def callback_of(self, job: Job) -> Callback:
        """Return the callback of the submit that made a job."""
        made = job.created_at - self.clock.wall() + anyio.current_time()
        return [told for at, told in self.given[job.reference] if at <= made + 1e-6][-1]

    async def call(
        self,
        callback: Callback,
        job_id: str,
        *,
        word: str = "done",
        delivery_id: str = "d-1",
        is_end: bool = True,
        key: Secret | None = None,
    ) -> Answer:
        """Call once; `key` forges the signature."""
        event = {"job_id": job_id, "word": word, "delivery_id": delivery_id, "is_end": is_end}
        body, at = orjson.dumps(event), str(self.clock.wall())
        headers = {"x-at": at, "x-signature": signed(key or callback.secret, at, body)}
        if self.claims is None:
            return Answer.BUSY

        with anyio.move_on_after(6.0):
            return await self.claims.take(callback.url.removeprefix("https:/"), headers, body)

        return Answer.BUSY

    async def call_for(self, job: Job, **told: Any) -> Answer:
        """Call for a job, as the API would."""
        return await self.call(self.callback_of(job), job.id, **told)


@dataclass
class Caller:
    """The API's side of calls: for each job one when it begins and one when it ends."""

    night: CalledNight
    begins_s: float = 1.0  # after the job was made
    ends_s: float = 0.5  # after it was done
    again_s: float = 5.0
    taken: set[tuple[str, str]] = field(default_factory=set)
    due: dict[tuple[str, str], float] = field(default_factory=dict)

    async def run(self, _: Run | None = None) -> None:
        """Call until cancelled."""
        async with anyio.create_task_group() as group:
            while True:
                for job, word in self._next():
                    group.start_soon(self._call, job, word)

                await anyio.sleep(0.1)

    def _next(self) -> Iterator[tuple[Job, str]]:
        now = self.night.clock.wall()
        for job in self.night.jobs():
            ends = {"processing": job.created_at + self.begins_s, "done": job.done_at + self.ends_s}
            for word, at in ends.items():
                key = (job.id, word)
                if key not in self.taken and self.due.setdefault(key, at) <= now:
                    self.due[key] = now + self.again_s
                    yield job, word

    async def _call(self, job: Job, word: str) -> None:
        told = {"word": word, "delivery_id": f"{job.id} {word}", "is_end": word == "done"}
        if await self.night.call_for(job, **told) is Answer.TAKEN:
            self.taken.add((job.id, word))
