"""A comparison in lines of 80 columns: what a terminal shows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from batcher.report.compare.figures import Difference, Figure, differences, figures
from batcher.report.compare.measure import Run
from batcher.report.compare.paired import Paired, pair
from batcher.report.compare.steps import load_lines
from batcher.report.compare.words import (
    change_text,
    differing_settings,
    figure_text,
    pair_sentences,
    relative_text,
)
from batcher.report.text import COLUMNS, count_text, folded, plain, rows_text

RUNS_MAX = 6  # letters, columns and colours
ABREAST = 3  # runs in one table
NAME_CELLS = 14


@dataclass(frozen=True)
class Comparison:
    """Runs, and everything that is said of them. The first is what the others are measured by."""

    runs: tuple[Run, ...]
    figures: tuple[Figure, ...]
    differences: tuple[Difference, ...]
    pairs: tuple[Paired, ...]


def compared(runs: Sequence[Run]) -> Comparison:
    """Compare *runs*; one alone is only measured."""
    found = figures(runs)
    pairs = (pair(runs[0], run) for run in runs[1:])
    return Comparison(
        tuple(runs),
        tuple(found),
        tuple(differences(found, runs)),
        tuple(each for each in pairs if each is not None),
    )


def lines_of(comparison: Comparison) -> Iterator[str]:
    """Yield what a person reads."""
    runs = comparison.runs
    for run in runs:
        yield from folded(_about(run))

    settings = differing_settings(runs)
    if settings:
        yield ""
        yield "told differently:"
        for name, values in settings:
            yield from _setting(
                name, [f"{r.letter} {v}" for r, v in zip(runs, values, strict=True)]
            )

    for start in range(0, len(runs), ABREAST):
        yield ""
        yield from _table(comparison, start)

    for run in runs:
        yield from load_lines(run)

    if len(runs) > 1:
        yield ""
        yield from _told_differences(comparison)


def _setting(name: str, told: Sequence[str]) -> Iterator[str]:
    """Yield a setting in one line, or what each run was told in a line of its own."""
    line = f"  {name:<{NAME_CELLS}}  {'  '.join(told)}"
    if len(line) <= COLUMNS:
        yield line
        return

    yield f"  {name}"
    yield from (f"  {'':<{NAME_CELLS}}  {text}" for text in told)


def _about(run: Run) -> str:
    summary = run.summary
    ended = f"{count_text(run.measured.ended)} of {rows_text(summary.rows)} ended"
    return (
        f"{run.letter}  {plain(run.name, 1_000)}: {run.frozen.provider}, {summary.state}, {ended}"
    )


def _table(comparison: Comparison, start: int) -> Iterator[str]:
    runs = comparison.runs[start : start + ABREAST]
    cells = (COLUMNS - NAME_CELLS - 2) // ABREAST
    yield f"{'':<{NAME_CELLS}}  {''.join(f'{run.letter:<{cells}}' for run in runs)}".rstrip()
    for figure in comparison.figures:
        values = figure.values[start : start + ABREAST]
        told = [
            figure_text(figure, value, run.currency)
            for value, run in zip(values, runs, strict=True)
        ]
        yield from _row(figure.name, told, cells)


def _row(name: str, texts: Sequence[str], cells: int) -> Iterator[str]:
    """Yield a row of the table; intervals for which there is no room stand below the numbers."""
    if max(map(len, texts)) < cells:
        yield f"{name:<{NAME_CELLS}}  {''.join(f'{text:<{cells}}' for text in texts)}".rstrip()
        return

    parts = [text.partition(" (") for text in texts]
    below = [f"({rest}" if rest else "" for _, _, rest in parts]
    yield f"{name:<{NAME_CELLS}}  {''.join(f'{value:<{cells}}' for value, _, _ in parts)}".rstrip()
    yield f"{'':<{NAME_CELLS}}  {''.join(f'{text:<{cells}}' for text in below)}".rstrip()


def _told_differences(comparison: Comparison) -> Iterator[str]:
    first = comparison.runs[0]
    for run in comparison.runs[1:]:
        own = [each for each in comparison.differences if each.letter == run.letter]
        yield f"{run.letter} less {first.letter} (95 % intervals):"
        for each in own:
            told = change_text(each, run.currency)
            word = ", ".join(filter(None, (each.word, relative_text(each))))
            yield f"  {each.figure.name:<{NAME_CELLS}}  {told:<38}  {word}".rstrip()

        if own and all(each.is_noise for each in own):
            yield "  Nothing differs beyond noise."

        for shared in comparison.pairs:
            told_of = pair_sentences(shared, first.letter) if shared.letter == run.letter else ()
            for sentence in told_of:
                yield from folded(f"  {sentence}")

        yield ""
