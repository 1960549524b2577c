"""What a simulated API has to know: its routes, its rules and its words.

Rule: an API answers, it does not act. It refuses a call or says what was ordered; the service makes
jobs, draws faults and keeps the ledger. An API reads the contract by itself and shares no code with
the dialect that talks to it, so that each can find the other's errors.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from typing import Protocol

from batcher.simulator.call import Call
from batcher.simulator.chance import Chance
from batcher.simulator.faults import FaultPlan
from batcher.simulator.hooks import Notice, Target
from batcher.simulator.ledger import Job, Order
from batcher.simulator.wire import Answer, Received

BODY_BYTES_MAX = 75_000_000  # of one request; https://docs.deapi.ai/limits-and-quotas.md


class Lane(Enum):
    """What a request is about."""

    SUBMIT = "submit"
    STATUS = "status"
    OTHER = "other"


class Api(Protocol):
    """One API. Every method is pure but for what `Call` counts."""

    def lane(self, received: Received) -> Lane:
        """Say what a request is about, by its method and path alone."""
        ...

    def reference(self, form: Mapping[str, object] | None, received: Received) -> str:
        """Return what identifies the row that a submit is for, in the manifest's own words."""
        ...

    def admit(self, call: Call) -> Order | Answer:
        """Return what a submit orders, or the answer that refuses it."""
        ...

    def accepted(self, call: Call, job: Job) -> Answer:
        """Return the answer to an accepted submit."""
        ...

    def target(self, call: Call) -> Target | None:
        """Return who an accepted submit asks to be called about its job; None = nobody."""
        ...

    def compose(
        self, notice: Notice, plan: FaultPlan, chance: Chance
    ) -> tuple[Mapping[str, str], bytes]:
        """Return headers (names in lower case) and body of a call."""
        ...

    def job_id(self, received: Received) -> str:
        """Return the id that a status read asks for; empty if it names none."""
        ...

    def refuse_read(self, call: Call) -> Answer | None:
        """Return the answer that refuses a status read, whatever the job; None to go on."""
        ...

    def progress(self, call: Call, job: Job | None) -> Answer:
        """Return where a job is."""
        ...

    def other(self, call: Call) -> Answer:
        """Answer everything else, unknown routes too."""
        ...

    def unavailable(self, call: Call) -> Answer:
        """Return the API's 503: nothing was done, try again."""
        ...

    def server_error(self, call: Call) -> Answer:
        """Return the API's 500, or a gateway's page in its place."""
        ...
