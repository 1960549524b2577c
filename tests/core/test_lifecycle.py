"""The table of states: what may happen to a row, and what never may."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batcher.core.errors import IllegalMove
from batcher.core.lifecycle import OUTCOMES, TABLE, Move, State, move, sources


@given(st.sampled_from(State), st.sampled_from(Move))
def test_only_the_table_moves_a_row(state: State, step: Move) -> None:
    """A move leads where the table says, and anything else raises."""
    if step in TABLE[state]:
        assert move(state, step) is TABLE[state][step]
    else:
        with pytest.raises(IllegalMove):
            move(state, step)


def test_every_submit_goes_through_intent() -> None:
    """A job can only be accepted from intent, so no submit is ever without a trace."""
    assert sources(Move.ACCEPT) == (State.INTENT,)
    assert sources(Move.INTEND) == (State.PENDING,)


def test_intent_goes_back_only_by_proof_or_by_a_person() -> None:
    """A row that may have been paid for is pending again only by proof or by decision."""
    back = {step for step, target in TABLE[State.INTENT].items() if target is State.PENDING}

    assert back == {Move.WITHDRAW, Move.RESUBMIT}


def test_success_and_failure_are_final() -> None:
    """Nothing leads out of succeeded and failed."""
    assert TABLE[State.SUCCEEDED] == TABLE[State.FAILED] == {}


def test_every_state_can_reach_an_outcome() -> None:
    """No row can be caught in a circle that has no way to an outcome."""
    reached = set(OUTCOMES)
    for _ in State:
        reached |= {s for s, moves in TABLE.items() if reached & set(moves.values())}

    assert reached == set(State)


def test_a_paid_job_is_never_dropped() -> None:
    """From accepted and ready a row goes back to pending only when its job was refunded."""
    for state in (State.ACCEPTED, State.READY):
        back = {step for step, target in TABLE[state].items() if target is State.PENDING}

        assert back <= {Move.RERUN}
