"""Idempotency keys, as APIs that have them keep them: the knob `idempotent` switches them on.

Rule: a key is looked at only once a submit would be taken: what checks, limits and trouble before
that refuse is not kept under it. From then on the same key makes no second job, for so long as the
knob says; after that it is a key like any other. With another body it is refused
(draft-ietf-httpapi-idempotency-key-header: 422).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from batcher.simulator.call import Call
from batcher.simulator.ledger import Job
from batcher.simulator.wire import Answer, json_answer

KEY_HEADER: Final = "idempotency-key"


@dataclass(frozen=True, slots=True)
class _Kept:
    job: Job
    until: float  # epoch seconds


class Keys:
    """The keys of one account."""

    def __init__(self) -> None:
        self._kept: dict[str, _Kept] = {}

    def find(self, call: Call) -> Job | Answer | None:
        """Return the job that a submit's key made, the refusal of another body, or None."""
        kept = self._kept.get(_key(call))
        if kept is None or call.now_s >= kept.until:
            return None

        if kept.job.reference != call.key:
            return json_answer(422, {"error": "idempotency_key_reused"})

        call.account.ledger.tally["repeated"] += 1
        return kept.job

    def keep(self, call: Call, job: Job) -> None:
        """Keep the job under the key of its submit, if keys are kept at all."""
        key, for_s = _key(call), call.account.plan.idempotent
        if key and for_s:
            self._kept[key] = _Kept(job, call.now_s + for_s)


def _key(call: Call) -> str:
    return call.received.headers.get(KEY_HEADER, "")
