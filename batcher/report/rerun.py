"""The command that runs the failed rows of a run as a manifest of their own."""

from __future__ import annotations

from pathlib import Path

import msgspec

from batcher.core.errors import UsageError
from batcher.core.settings import Frozen
from batcher.providers import provider_named
from batcher.report.text import command_text, path_word


def rerun_command(directory: Path, frozen: Frozen, program: str) -> str:
    """Return it, ready to be pasted; the new run goes beside the old one."""
    words = [program, "run", path_word(directory / "failed.jsonl")]
    words += ["--provider", frozen.provider]
    if frozen.base_url != _base_url(frozen):
        words += ["--base-url", frozen.base_url]

    for key, value in frozen.params.items():
        text = value if isinstance(value, str) else msgspec.json.encode(value).decode()
        words += ["--set", f"{key}={text}"]

    return command_text(*words, "--run-dir", path_word(f"{directory}-failed"))


def _base_url(frozen: Frozen) -> str | None:
    """Return the provider's own address; None = this batcher does not know the provider."""
    try:
        return provider_named(frozen.provider, frozen.params).facts.base_url
    except UsageError:
        return None
