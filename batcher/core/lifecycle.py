"""The life of a row, as one table.

Rule: everything that may happen to a row is in `TABLE`, and nothing moves a row but `move()`. The
journal, the poller and the recorder all go through it; a move that is not in the table raises
`IllegalMove` and changes nothing.

Theory of operation
-------------------
A row is *pending* until a submit is about to be made. Before the first byte of that submit can
leave, the row is durably in *intent*: whoever finds an intent later, without an answer beside it,
knows that money may have been spent and that nobody knows the job's id. That is the meaning of
*in_doubt*, and the reason why only two arrows lead from either back to pending: `WITHDRAW`, which
stands for proof (nothing left this machine, or the API said that it made no job), and `RESUBMIT`,
which stands for a person's word that this row may be paid twice.

*accepted* means that the job id is on disk. From there on a row costs nothing to lose sight of: it
is polled until it ends. *ready* means that the job is done and its result files are still to be
fetched. Of the four outcomes, *succeeded* and *failed* are final; *exhausted* is left only by a
person's decision (`retry`), *in_doubt* by one (`doubt`) or because the API said what became of the
submit: which job it made, or that it made none.

    pending ─► intent ─► accepted ─► ready ─► succeeded
                 │           │         │
                 └───────────┴─────────┴────► failed | exhausted | in_doubt
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final

from batcher.core.errors import IllegalMove


class State(StrEnum):
    """Where a row stands. The last four are outcomes, one file each."""

    PENDING = "pending"
    INTENT = "intent"
    ACCEPTED = "accepted"
    READY = "ready"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    EXHAUSTED = "exhausted"
    IN_DOUBT = "in_doubt"


class Move(StrEnum):
    """What can happen to a row."""

    REJECT = "reject"  # the manifest row cannot be used; nothing was sent
    INTEND = "intend"  # a submit is about to leave
    WITHDRAW = "withdraw"  # proof that this submit made no job: the row may be submitted again
    ACCEPT = "accept"  # the API made a job and said its id
    REFUSE = "refuse"  # the API will never take this request
    DOUBT = "doubt"  # sent, and nobody knows what became of it
    EXHAUST = "exhaust"  # attempts or time ran out; trying again later may work
    COLLECT = "collect"  # the job is done; its files are still to be fetched
    SUCCEED = "succeed"  # the result is in hand
    FAIL = "fail"  # the job itself failed
    RERUN = "rerun"  # the job failed, was refunded, and the API says to try again
    RETRY = "retry"  # a person asks for another round of submits
    REPOLL = "repoll"  # a person asks to look at an existing job again
    REFETCH = "refetch"  # a person asks to fetch an existing result again
    ADOPT = "adopt"  # the job of a row in doubt was found: by a person, or because the API said so
    RESUBMIT = (
        "resubmit"  # a person (or the policy they chose) accepts that a row may be paid twice
    )
    GIVE_UP = "give_up"  # a person closes a row in doubt


OUTCOMES: Final = (State.SUCCEEDED, State.FAILED, State.EXHAUSTED, State.IN_DOUBT)

TABLE: Final[dict[State, dict[Move, State]]] = {
    State.PENDING: {
        Move.REJECT: State.FAILED,
        Move.INTEND: State.INTENT,
    },
    State.INTENT: {
        Move.WITHDRAW: State.PENDING,
        Move.ACCEPT: State.ACCEPTED,
        Move.REFUSE: State.FAILED,
        Move.EXHAUST: State.EXHAUSTED,
        Move.DOUBT: State.IN_DOUBT,
        Move.RESUBMIT: State.PENDING,
    },
    State.ACCEPTED: {
        Move.COLLECT: State.READY,
        Move.SUCCEED: State.SUCCEEDED,
        Move.FAIL: State.FAILED,
        Move.EXHAUST: State.EXHAUSTED,
        Move.RERUN: State.PENDING,
    },
    State.READY: {
        Move.SUCCEED: State.SUCCEEDED,
        Move.EXHAUST: State.EXHAUSTED,
    },
    State.SUCCEEDED: {},
    State.FAILED: {},
    State.EXHAUSTED: {
        Move.RETRY: State.PENDING,
        Move.REPOLL: State.ACCEPTED,
        Move.REFETCH: State.READY,
    },
    State.IN_DOUBT: {
        Move.ADOPT: State.ACCEPTED,
        Move.WITHDRAW: State.PENDING,
        Move.RESUBMIT: State.PENDING,
        Move.GIVE_UP: State.FAILED,
    },
}


def move(state: State, step: Move) -> State:
    """Return the state that *step* leads to from *state*, or raise `IllegalMove`."""
    try:
        return TABLE[state][step]
    except KeyError:
        raise IllegalMove(state, step) from None


def sources(step: Move) -> tuple[State, ...]:
    """Return every state that *step* may start from."""
    return tuple(state for state, moves in TABLE.items() if step in moves)


def diagram() -> str:
    """Return the table as a Mermaid state diagram; `docs/architecture.md` holds this very text."""
    lines = ["stateDiagram-v2", "    [*] --> pending"]
    for state, moves in TABLE.items():
        lines += [f"    {state} --> {target}: {step}" for step, target in moves.items()]

    return "\n".join(lines)
