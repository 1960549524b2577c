"""A simulated API: takes requests, makes jobs, draws faults, keeps the ledger. No I/O, no clock.

Rule: `handle` is one synchronous step, so whatever a carrier does before or after it, a job exists
and stands in the ledger, or it does not. The time comes in with every request (epoch seconds).

    request ─► lost before?  ─► admitted by the API? ─► 503, 500? ─► job made ─► 500, cut, dropped?
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Final

from batcher.core.errors import UsageError
from batcher.core.money import amount, nanos
from batcher.simulator.account import Account
from batcher.simulator.api import Api, Lane
from batcher.simulator.call import Call
from batcher.simulator.chance import Chance
from batcher.simulator.deapi.api import DeApi
from batcher.simulator.faults import FaultPlan
from batcher.simulator.files import FILES_PATH, Files
from batcher.simulator.form import read_form
from batcher.simulator.hooks import Notice, Outbox, Target
from batcher.simulator.jobs import make_job
from batcher.simulator.keys import Keys
from batcher.simulator.ledger import Job, Ledger, Order
from batcher.simulator.listing import LISTING_PATH, answer_list, mark_of
from batcher.simulator.removit.api import Removit
from batcher.simulator.wire import Answer, Fate, Received, Reply

APIS: Final[dict[str, Callable[[Files], Api]]] = {"removit": Removit, "deapi": DeApi}
TEST_KEY: Final = "test-key"


class Simulation:
    """One API with one account. The same seed and the same calls give the same fates."""

    def __init__(
        self,
        api: str,
        plan: FaultPlan | None = None,
        seed: int = 0,
        *,
        keys: tuple[str, ...] = (TEST_KEY,),
        files_origin: str = "http://files.invalid",
        account_hook: Target | None = None,
    ) -> None:
        """Simulate *api* (`removit` or `deapi`); raises `UsageError` for another name.

        Every one of *keys* is taken; the knob `key_dead_from` is about the first. *account_hook*
        is the webhook that is set up for the whole account.
        """
        if api not in APIS:
            raise UsageError(f"no simulator for {api!r}; known are: {', '.join(APIS)}")

        self.api_name = api
        self._chance = Chance(seed)
        self._account = Account(plan or FaultPlan(), keys)
        self._account_hook = account_hook and replace(account_hook, is_own=False)
        self.files = Files(self._account, self._chance, files_origin)
        self._api = APIS[api](self.files)
        self._keys = Keys()
        self.outbox = Outbox(self._account, self._chance, self._compose)

    @property
    def ledger(self) -> Ledger:
        """Everything that arrived and was made."""
        return self._account.ledger

    @property
    def plan(self) -> FaultPlan:
        """The plan in force. Setting another one holds from the next call (and new jobs) on."""
        return self._account.plan

    @plan.setter
    def plan(self, plan: FaultPlan) -> None:
        self._account.plan = plan

    @property
    def credits_left(self) -> int | None:
        """How many more jobs the account can pay; None = no end."""
        return self._account.credits_left()

    def top_up(self, jobs: int) -> None:
        """Pay for *jobs* more jobs, where `credits` counts jobs."""
        self._account.jobs_topped_up += jobs

    @property
    def balance_usd(self) -> float:
        """What the account holds."""
        return amount(self._account.held())

    def top_up_usd(self, usd: float) -> None:
        """Pay *usd* in."""
        self._account.topped_up += nanos(usd)

    @property
    def keys(self) -> tuple[str, ...]:
        """The keys that are taken. Setting others kills those that are left out."""
        return self._account.keys

    @keys.setter
    def keys(self, keys: tuple[str, ...]) -> None:
        self._account.keys = keys

    def handle(self, received: Received, now_s: float) -> Reply:
        """Do what a request asks for at *now_s* (epoch seconds) and say how to answer it."""
        self._account.settle(now_s)
        if received.path.startswith(FILES_PATH):
            return self.files.answer(received, now_s)

        if self.plan.listing and received.path == LISTING_PATH:
            call = self._call(received, now_s, "list", self.ledger.question_arrived("list"))
            return self._question(call, answer_list(call))

        match self._api.lane(received):
            case Lane.SUBMIT:
                return self._submit(received, now_s)
            case Lane.STATUS:
                return self._status(received, now_s)
            case _:
                call = self._call(received, now_s, received.path)
                return self._question(call, self._api.other(call))

    def _question(self, call: Call, answer: Answer) -> Reply:
        return self._reply(
            call, "other", _half(answer) if call.strikes("question_garbled") else answer
        )

    def _submit(self, received: Received, now_s: float) -> Reply:
        form = read_form(received)
        reference = self._api.reference(form, received)
        call = self._call(received, now_s, reference, self.ledger.submit_arrived(reference, now_s))
        call.form = form
        for knob, fate in (("no_connect", Fate.NO_CONNECT), ("drop_before", Fate.DROP_BEFORE)):
            if call.strikes(knob):
                return self._lost(call, "submit", fate)

        order = self._admit(call)
        if isinstance(order, Answer):
            return self._reply(call, "submit", order)

        known = self._keys.find(call)
        if isinstance(known, Answer):
            return self._reply(call, "submit", known)

        job = known or self._make(call, order)
        return self._deliver(call, job)

    def _make(self, call: Call, order: Order) -> Job:
        job = make_job(call, order)
        self._keys.keep(call, job)
        if self.plan.listing:
            job.mark = mark_of(call.received)

        self._expect_calls(call, job)
        return job

    def _expect_calls(self, call: Call, job: Job) -> None:
        target, account = self._api.target(call), self._account_hook
        if target is None:
            target = account
        elif account is not None and not target.secret:
            target = replace(target, secret=account.secret)

        if target is not None:
            self.outbox.expect(job, target)

    def _compose(self, notice: Notice) -> tuple[Mapping[str, str], bytes]:
        return self._api.compose(notice, self.plan, self._chance)

    def _admit(self, call: Call) -> Order | Answer:
        order = self._api.admit(call)
        if isinstance(order, Answer):
            return order

        if call.strikes("unavailable"):
            return self._api.unavailable(call)

        return self._api.server_error(call) if call.strikes("error_before") else order

    def _deliver(self, call: Call, job: Job) -> Reply:
        """Answer an accepted submit: the job exists, whatever becomes of the answer."""
        if call.strikes("drop_after"):
            return self._lost(call, "submit", Fate.DROP_AFTER)

        if call.strikes("hang"):
            return self._lost(call, "submit", Fate.HANG)

        if call.strikes("error_after"):
            self.ledger.tally["error_after"] += 1
            return self._reply(call, "submit", self._api.server_error(call))

        answer = self._api.accepted(call, job)
        if call.strikes("garbled"):
            self.ledger.tally["garbled"] += 1
            return self._reply(call, "submit", _half(answer))

        return self._reply(call, "submit", answer, job)

    def _status(self, received: Received, now_s: float) -> Reply:
        job_id = self._api.job_id(received)
        call = self._call(received, now_s, job_id, self.ledger.read_arrived(job_id, now_s))
        if call.strikes("status_drop"):
            return self._lost(call, "status", Fate.DROP_BEFORE)

        answer = self._api.refuse_read(call)
        if answer is None and call.strikes("status_error"):
            answer = self._api.server_error(call)

        if answer is None:
            answer = self._api.progress(call, self.ledger.jobs.get(job_id))

        if call.strikes("status_garbled"):
            answer = _half(answer)

        return self._reply(call, "status", answer)

    def _call(self, received: Received, now_s: float, key: str, ordinal: int = 0) -> Call:
        return Call(self._account, self._chance, received, now_s, key, ordinal)

    def _reply(self, call: Call, lane: str, answer: Answer, job: Job | None = None) -> Reply:
        self.ledger.tally[f"{lane} {answer.status}"] += 1
        after_s = call.time_s("latency_s")
        return Reply(answer.status, answer.body, answer.headers, after_s, job=job)

    def _lost(self, call: Call, lane: str, fate: Fate) -> Reply:
        self.ledger.tally[f"{lane} {fate.value}"] += 1
        return Reply(0, b"", {}, call.time_s("latency_s"), fate)


def _half(answer: Answer) -> Answer:
    return Answer(answer.status, answer.body[: len(answer.body) // 2], answer.headers)
