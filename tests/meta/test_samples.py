"""Every sample manifest does what sample_manifests/README.md says of it."""

from __future__ import annotations

import pytest
from click.testing import CliRunner

from tests.meta.source import ROOT, command_line

FOLDER = ROOT / "sample_manifests"
ALL_GOOD, SOME_BAD = 0, 3  # exit codes of `batcher check`

# (manifest, for which provider, exit code)
SAMPLES = [
    ("removit_minimal.jsonl", "removit", ALL_GOOD),
    ("removit_every_field.jsonl", "removit", ALL_GOOD),
    ("deapi_every_field.jsonl", "deapi", ALL_GOOD),
    (
        "deapi_generations.csv",
        "deapi --set task=generations --set model=Flux1schnell --set steps=4",
        ALL_GOOD,
    ),
    ("deapi_edits.jsonl", "deapi --set task=edits", ALL_GOOD),
    ("deapi_upscales.jsonl", "deapi --set task=upscales", ALL_GOOD),
    ("deapi_ocr.csv", "deapi --set task=ocr", ALL_GOOD),
    ("deapi_invalid_rows.jsonl", "deapi", SOME_BAD),
    ("removit_catalogue.csv", "removit", ALL_GOOD),
    ("removit_invalid_rows.jsonl", "removit", SOME_BAD),
    ("images", "removit", ALL_GOOD),
    ("images", "deapi --set task=background-removals", ALL_GOOD),
]


def test_every_sample_is_tried_and_described() -> None:
    """No file lies among the samples that is not in the table above and in the folder's README."""
    there = {file.name for file in FOLDER.iterdir()} - {"README.md"}
    assert there == {name for name, _, _ in SAMPLES}

    readme = (FOLDER / "README.md").read_text(encoding="utf-8")
    assert [name for name in sorted(there) if f"`{name}" not in readme] == []


@pytest.mark.parametrize(("name", "provider", "expected"), SAMPLES)
def test_check_finds_what_is_promised(name: str, provider: str, expected: int) -> None:
    """`batcher check` finds every row good, or some bad ones where that is the point."""
    arguments = ["check", str(FOLDER / name), "--provider", *provider.split()]
    result = CliRunner().invoke(command_line(), arguments)
    assert result.exit_code == expected, f"{result.output}\n{result.exception!r}"
