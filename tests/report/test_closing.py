"""The last words of a run: numbers, what a person must look at, and what to type next."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest

from batcher.core.model import ErrorKind, StopReason
from batcher.core.settings import Frozen, Settings
from batcher.core.stats import ErrorView
from batcher.engine.money.budget import JobBudget
from batcher.report.calls import could_be_called
from batcher.report.closing import REASONS, closing_lines, next_commands
from batcher.report.summary import Cost, Refunds, Stopped, Summary

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
    run = Path("my runs/x")
    lines = closing_lines(
        summary(failed=2, refunds=Refunds(unconfirmed=2)), run, "t", program="./batcher"
    )

    command = "./batcher refunds 'my runs/x' --unconfirmed"
    first = lines.index("2 jobs whose refund somebody must check:")
    assert lines[first + 1] == f"  {command}"


@pytest.mark.parametrize(
    ("cost", "told"),
    [
        (Cost(charged=4.5, jobs_priced=1), ["  charged 4.50 (prices of 1 job)"]),
        (
            Cost(charged=4.5, unproven=0.5, jobs_priced=1),
            [
                "  charged 4.50, perhaps besides, for submits sent again after a 500 0.50 (prices",
                "    of 1 job)",
            ],
        ),
        (
            Cost(
                currency="USD",
                charged=1234.00136,
                refunded=4.0,
                unconfirmed=0.00136,
                in_doubt=1e-09,
                jobs_priced=9_000,
            ),
            [
                "  charged 1,234.00136 USD, refunded 4.00, unconfirmed 0.00136, in doubt",
                "    0.000000001 (prices of 9,000 jobs)",
            ],
        ),
    ],
)
def test_what_a_run_cost_is_told(cost: Cost, told: list[str]) -> None:
    """Parts that are nothing are left out; nothing at all is told where no price is known."""
    lines = closing_lines(summary(cost=cost), RUN, "t")
    first = lines.index(told[0])
    assert lines[first : first + len(told)] == told
    assert "charged" not in "".join(closing_lines(GOOD, RUN, "t"))


def test_money_of_a_lost_answer_is_not_forgotten() -> None:
    """Where its row went on, no row in doubt reminds anybody of it."""
    cost = Cost(charged=2.0, in_doubt=1.0, jobs_priced=2)
    went_on = "\n".join(closing_lines(summary(cost=cost), RUN, "t"))
    waits = "\n".join(closing_lines(summary(cost=cost, in_doubt=1), RUN, "t"))

    assert "must check:\n  batcher refunds runs/photos-removit --unconfirmed\n" in went_on
    assert "refunds" not in waits


def test_a_stop_says_why_and_when_to_come_back() -> None:
    """Reason, message and time are told; a hostile message is told harmlessly."""
    stopped = Stopped("throttled", "the day is over\x1b[2J", "2026-11-23T00:00:00.000Z")
    text = "\n".join(closing_lines(summary(state="stopped", stopped=stopped), RUN, "t"))

    assert "stopped: throttled (the API asks for a long wait): the day is over\\x1b[2J" in text
    assert "come back after 2026-11-23T00:00:00.000Z" in text


def test_an_interruption_is_told_once() -> None:
    """A message that begins with its reason is not put behind it again."""
    stopped = Stopped("interrupted", "interrupted by SIGINT")
    lines = closing_lines(summary(state="stopped", stopped=stopped), RUN, "t")

    assert "stopped: interrupted by SIGINT" in lines


def test_jobs_that_go_on_are_told() -> None:
    """Whoever stops a run learns that jobs are paid for, and that they are not lost."""
    stopped = closing_lines(summary(state="stopped", pending=282, accepted=27), RUN, "t")
    none = closing_lines(summary(state="stopped", pending=282), RUN, "t")

    jobs = "27 of them accepted: their jobs go on; resume collects them"
    assert f"  pending    282  {jobs}" in stopped
    assert "  pending    282" in none


def test_three_kinds_of_error_are_told_with_an_example() -> None:
    """The most frequent first, harmlessly; a run in which every row succeeded shows none."""
    errors = {
        kind: ErrorView(count, f"example {count}\x1b[2J")
        for count, kind in enumerate((ErrorKind.DOWNLOAD, *ErrorKind), 1)
        if count <= 4
    }
    lines = closing_lines(summary(failed=3, rows=13), RUN, "t", errors)
    first = lines.index("errors, the most frequent first:")

    assert [line.split()[1] for line in lines[first + 1 : first + 4]] == ["4", "3", "2"]
    assert lines[first + 1].endswith("example 4\\x1b[2J")
    assert not any("example 1" in line for line in lines)
    assert not any("example" in line for line in closing_lines(GOOD, RUN, "t", errors))


def test_what_a_run_did_not_do_is_told() -> None:
    """An empty manifest, and rows that vanished from it, are told; neither is an outcome."""
    empty = closing_lines(Summary(state="finished"), RUN, "t")
    vanished = closing_lines(summary(pending=2), RUN, "t")

    assert "warning: the manifest has no rows" in empty
    assert "2 rows pending that are no longer in the manifest" in vanished


def test_every_reason_has_its_sentence() -> None:
    """No reason to stop is left as a bare word; an interruption explains itself."""
    assert set(REASONS) == set(StopReason) - {StopReason.INTERRUPTED}


@pytest.mark.parametrize(
    ("message", "flag"),
    [
        (
            "the run made all 5 jobs of --max-jobs; resume with a larger number",
            "--max-jobs N  # N: more than before, or none",
        ),
        (
            "the next job costs 2 USD, and 4 of --max-cost 5 are spent",
            "--max-cost AMOUNT  # AMOUNT: more than before, or none",
        ),
    ],
)
def test_a_budget_that_is_used_up_is_raised_by_the_next_command(message: str, flag: str) -> None:
    """Without the flag it would stop again at once; any other stop needs none."""
    budget = summary(state="stopped", stopped=Stopped(StopReason.BUDGET, message))
    other = summary(state="stopped", stopped=Stopped(StopReason.DEADLINE, message))

    command = "next: batcher resume runs/photos-removit"
    assert closing_lines(budget, RUN, "t")[-2] == f"{command} {flag}"
    assert closing_lines(other, RUN, "t")[-2] == command


def test_the_budgets_own_words_name_its_flag() -> None:
    """What the engine says when it stops is what the next command is made from."""
    jobs = JobBudget(1, 1, 0).shortage(None)
    cost = JobBudget(None, 0, 0, cost_limit=1).shortage(2)
    for said, flag in ((jobs, "--max-jobs N"), (cost, "--max-cost AMOUNT")):
        stopped = summary(state="stopped", stopped=Stopped(StopReason.BUDGET, said))
        assert f"resume runs/photos-removit {flag}" in next_commands(stopped, RUN)[0]


def test_jobs_that_calls_told_of_are_counted() -> None:
    """Nothing is said where there are none."""
    many = closing_lines(summary(jobs_claimed=1_200), RUN, "t")

    assert "  1,200 jobs claimed by webhook calls" in many
    assert "  1 job claimed by webhook calls" in closing_lines(summary(jobs_claimed=1), RUN, "t")
    assert "claimed" not in "".join(closing_lines(GOOD, RUN, "t"))


@pytest.mark.parametrize(
    ("provider", "settings", "told"),
    [
        (Frozen(provider="deapi", base_url="", manifest=""), Settings(), True),
        (
            Frozen(provider="deapi", base_url="", manifest="", params={"api": "v1"}),
            Settings(),
            False,
        ),
        (Frozen(provider="removit", base_url="", manifest=""), Settings(), False),
        (Frozen(provider="gone", base_url="", manifest=""), Settings(), False),
        (
            Frozen(provider="deapi", base_url="", manifest=""),
            Settings(webhook_listen="127.0.0.1:1", webhook_url="https://a.example"),
            False,
        ),
    ],
)
def test_rows_in_doubt_recommend_webhooks_where_they_would_help(
    provider: Frozen, settings: Settings, told: bool
) -> None:
    """Only of an API that calls, to a run without them, once it is over, and right below."""
    could = could_be_called(provider, settings)
    lines = closing_lines(summary(in_doubt=2), RUN, "t", could_be_called=could)
    others = [
        line
        for one in (GOOD, summary(state="stopped", in_doubt=2))
        for line in closing_lines(one, RUN, "t", could_be_called=True)
    ]

    hint = next((line for line in lines if "--webhook-listen" in line), "")
    assert bool(hint) is told
    if told:
        assert lines[lines.index(hint) - 1].startswith("2 rows in doubt")
        assert hint.endswith("(docs/webhooks.md)")

    assert "--webhook-listen" not in "".join(others)


def test_what_holds_a_running_run_back_is_told() -> None:
    """Below the first line, and harmless whatever it says."""
    lines = closing_lines(summary(state="running", waiting="the disk\x1b[2J"), RUN, "t")

    assert lines[1] == "now: the disk\\x1b[2J"
    assert "now:" not in "".join(closing_lines(GOOD, RUN, "t"))


def test_the_page_that_tells_the_rest_is_named_last() -> None:
    """Of every run that is over, good or not; a running one names no command."""
    command = "report: ./batcher report runs/photos-removit"
    for over in (GOOD, summary(state="stopped"), summary(in_doubt=1, exhausted=1)):
        assert closing_lines(over, RUN, "t", program="./batcher")[-1] == command

    assert "report" not in "".join(closing_lines(summary(state="running"), RUN, "t"))


def test_words_fit_the_narrowest_screen() -> None:
    """Eighty columns; a path or a command stays in one piece, so that it can be pasted."""
    stopped = Stopped("throttled", "the API wants " + "a longer wait than anybody has " * 4)
    run = Path("a folder with blanks/" + "whose name is long/" * 5)
    night = summary(
        state="stopped",
        in_doubt=2,
        pending=9,
        accepted=4,
        stopped=stopped,
        refunds=Refunds(unconfirmed=2),
    )
    errors = {ErrorKind.REJECTED: ErrorView(3, "a word that is said again " * 7)}
    lines = closing_lines(night, run, "t", errors, could_be_called=True)

    assert {line for line in lines if len(line) > 80} == {
        line for line in lines if "blanks" in line
    }
    assert "  batcher refunds " + repr(str(run)) + " --unconfirmed" in lines
