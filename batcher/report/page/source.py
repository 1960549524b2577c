"""What a page is made from: the run's directory, what the run is, and a way to tell strange texts.

Rule: everything that a row, a server or a settings file says goes through `Telling` once, at the
door. What is inside is free of secrets and of characters that nobody sees.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from batcher.adapters.rundir import RunDirectory
from batcher.adapters.runfile import read_run_file
from batcher.core.errors import UsageError
from batcher.core.settings import Frozen, Settings
from batcher.providers import Provider, provider_named
from batcher.report.text import plain


@dataclass(frozen=True, slots=True)
class Telling:
    """Makes a text from outside fit to be shown: no secret, one line, no character unseen."""

    hide: Callable[[str], str]

    def __call__(self, text: object, chars_max: int) -> str:
        """Return at most *chars_max* characters of *text*."""
        return plain(self.hide(str(text)), chars_max)


@dataclass(frozen=True, slots=True)
class Source:
    """A run that a page is made of."""

    directory: RunDirectory
    frozen: Frozen
    settings: Settings
    provider: Provider | None  # None: an API that this batcher does not know
    page: Path  # where the page will be
    program: str  # what to type for `batcher`
    now: float
    tell: Telling

    @property
    def folders(self) -> list[Path]:
        """The folders in which its files are; paths in records start from the first."""
        download = self.frozen.download
        return [self.directory.path, *([] if download is None else [Path(download)])]


def source_of(
    directory: RunDirectory, page: Path, *, now: float, program: str, hide: Callable[[str], str]
) -> Source:
    """Find out what the run is. Raises `UsageError` if its `run.toml` cannot be read."""
    frozen, settings = read_run_file(directory.run_file)
    try:
        provider = provider_named(frozen.provider, frozen.params)
    except UsageError:  # `resume` says so
        provider = None

    return Source(directory, frozen, settings, provider, page, program, now, Telling(hide))
