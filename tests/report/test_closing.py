"""The last words of a run: numbers, what a person must look at, and what to type next."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest

from batcher.core.model import StopReason
from batcher.report.closing import REASONS, closing_lines, next_commands
from batcher.report.summary import Refunds, Stopped, Summary

RUN = Path("runs/photos-removit")
GOOD = Summary(state="finished", rows=10, succeeded=10, jobs_accepted=10, submits=10)


def summary(**changes: Any) -> Summary:
    """Return the summary of a good run with some fields changed."""
    return msgspec.structs.replace(GOOD, **changes)


def test_a_good_run_asks_for_nothing() -> None:
    """Nothing to look at, nothing to type."""
    text = "\n".join(closing_lines(GOOD, RUN, "photos.jsonl, removit"))

    assert "finished" in text
    assert "runs/photos-removit/succeeded.jsonl" in text
    assert "next:" not in text
    assert "look" not in text


@pytest.mark.parametrize(
    ("changes", "commands"),
    [
        ({"in_doubt": 1}, ["batcher doubt list runs/photos-removit"]),
        ({"exhausted": 1}, ["batcher retry runs/photos-removit"]),
        ({"state": "stopped"}, ["batcher resume runs/photos-removit"]),
        (
            {"state": "stopped", "exhausted": 1, "in_doubt": 1},
            [
                "batcher doubt list runs/photos-removit",
                "batcher resume runs/photos-removit",
                "batcher retry runs/photos-removit",
            ],
        ),
        ({"state": "running", "in_doubt": 1, "exhausted": 1}, []),
        ({"failed": 1}, []),
    ],
)
def test_the_next_command_fits(changes: dict[str, Any], commands: list[str]) -> None:
    """Each thing that is left to do names its command, and a running run names none."""
    assert next_commands(summary(**changes), RUN) == commands


def test_a_path_with_blanks_can_be_pasted() -> None:
    """Commands are quoted for the shell."""
    command = next_commands(summary(in_doubt=1), Path("my runs/it's"))[0]

    assert command == """batcher doubt list 'my runs/it'"'"'s'"""


def test_unconfirmed_refunds_are_shown_to_a_person() -> None:
    """Money that may not have come back is pointed at, with the way to find the rows."""
    lines = closing_lines(summary(failed=2, refunds=Refunds(unconfirmed=2)), RUN, "t")

    assert any(
        "2 rows whose refund somebody must check" in line
        and """grep -h '"refund":"unconfirmed"' runs/photos-removit/failed.jsonl""" in line
        for line in lines
    )


def test_a_stop_says_why_and_when_to_come_back() -> None:
    """Reason, message and time are told; a hostile message is told harmlessly."""
    stopped = Stopped("throttled", "the day is over\x1b[2J", "2026-11-23T00:00:00.000Z")
    text = "\n".join(closing_lines(summary(state="stopped", stopped=stopped), RUN, "t"))

    assert "stopped: throttled (the API asks for a long wait): the day is over\\x1b[2J" in text
    assert "come back after 2026-11-23T00:00:00.000Z" in text


def test_what_a_run_did_not_do_is_told() -> None:
    """An empty manifest, and rows that vanished from it, are told; neither is an outcome."""
    empty = closing_lines(Summary(state="finished"), RUN, "t")
    vanished = closing_lines(summary(pending=2), RUN, "t")

    assert "warning: the manifest has no rows" in empty
    assert "2 rows pending that are no longer in the manifest" in vanished


def test_every_reason_has_its_sentence() -> None:
    """No reason to stop is left as a bare word; an interruption explains itself."""
    assert set(REASONS) == set(StopReason) - {StopReason.INTERRUPTED}
