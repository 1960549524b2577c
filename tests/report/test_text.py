"""Text that a stranger wrote cannot touch the screen, and numbers read as people write them."""

from __future__ import annotations

import os
import shlex
import subprocess

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batcher.report.text import command_text, duration_text, path_word, plain, rate_text


@given(st.text(), st.integers(1, 50))
def test_nothing_unprintable_comes_out(text: str, chars_max: int) -> None:
    """Whatever comes in, one printable line of limited length comes out."""
    seen = plain(text, chars_max)

    assert seen.isprintable()
    assert len(seen) <= chars_max


@pytest.mark.parametrize(
    ("text", "seen"),
    [
        ("\x1b[2J\x07gone", r"\x1b[2J\x07gone"),
        ("a\u202eb", r"a\u202eb"),
        ("two\nlines\tand a tab", "two lines and a tab"),
        ("[bold]as it is[/bold]", "[bold]as it is[/bold]"),
        ("Größe 你好", "Größe 你好"),
        ("\ud800", r"\ud800"),
    ],
)
def test_what_cannot_be_seen_is_spelled_out(text: str, seen: str) -> None:
    """Control, direction and half characters become escapes; everything readable stays."""
    assert plain(text) == seen


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 s"),
        (0.4, "0 s"),
        (59.6, "1 min"),
        (192, "3 min 12 s"),
        (7_500, "2 h 5 min"),
        (7_205, "2 h"),
        (90_000, "1 d 1 h"),
        (-5, "0 s"),
    ],
)
def test_durations_have_two_units_at_most(seconds: float, text: str) -> None:
    """A duration is told in its two largest units."""
    assert duration_text(seconds) == text


def test_rates_keep_as_many_digits_as_matter() -> None:
    """A slow rate shows its fraction, a fast one does not flicker."""
    assert [rate_text(r) for r in (0, 0.25, 4.84, 12.3, 1_234.5)] == [
        "0.00/s",
        "0.25/s",
        "4.8/s",
        "12/s",
        "1,234/s",
    ]


@given(st.text(st.characters(exclude_categories=["C", "Zl", "Zp"]), min_size=1))
def test_a_printed_command_reads_back_as_it_was_meant(path: str) -> None:
    """A path of any spelling survives the shell and is never taken for a flag."""
    words = shlex.split(command_text("batcher", "resume", path_word(path)))

    assert words in (["batcher", "resume", path], ["batcher", "resume", f"./{path}"])
    assert path == "-" or not words[-1].startswith("-")


@pytest.mark.parametrize(
    "word", ["turn\u202eed", "two\u2028lines", "it's \x1b[31m red", "\udcff.d"]
)
def test_a_command_paints_nothing_and_means_the_same(word: str) -> None:
    """An id may turn the direction of writing; pasted, the command still names it."""
    text = command_text("printf", "%s", word)
    done = subprocess.run(
        ["bash", "-c", text], capture_output=True, check=True, env={"LC_ALL": "C.UTF-8"}
    )
    assert text.isprintable()
    assert done.stdout == os.fsencode(word)
