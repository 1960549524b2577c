"""Which run it is, how it goes about it, and where its files are."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from batcher import __version__
from batcher.core.errors import UsageError
from batcher.core.pacing.rates import parse_rate
from batcher.core.settings import Settings
from batcher.report.page.facts import About, Limit, Link
from batcher.report.page.source import Source
from batcher.report.page.thumbs import link_to
from batcher.report.rerun import rerun_command
from batcher.report.text import path_word

DEFAULTS = Settings()
FILES = {
    "succeeded.jsonl": "rows with a result",
    "failed.jsonl": "rows that failed for good; each line is a row of a later manifest",
    "exhausted.jsonl": "rows that were given up for now; retry takes them up again",
    "in_doubt.jsonl": "rows whose answer was lost; doubt decides them",
    "summary.json": "the counts, for programs",
    "log.jsonl": "every event",
    "run.toml": "what the run is and how it goes",
}


def about(source: Source, processes: int) -> About:
    """Describe the run; *processes* have worked on it."""
    frozen, provider, tell = source.frozen, source.provider, source.tell
    name = tell(frozen.provider, 80)
    return About(
        title=tell(source.directory.path.absolute().name, 120),
        run=tell(path_word(source.directory.path), 1_000),
        program=source.program,
        provider=name,
        provider_title=name if provider is None else provider.facts.title,
        manifest=tell(frozen.manifest, 500),
        rerun=tell(rerun_command(source.directory.path, frozen, source.program), 2_000),
        settings=tuple(_settings(source)),
        links=tuple(_links(source)),
        processes=processes,
        batcher=__version__,
        made_at=source.now,
    )


def limit(source: Source) -> Limit | None:
    """Return what the submits were held to at the start; None = nobody knows."""
    provider, rate = source.provider, source.settings.rate
    published = None if provider is None else provider.limits().submit
    text = rate or published or (None if provider is None else provider.facts.cautious_rate)
    if text is None:
        return None

    try:
        interval_s = parse_rate(text).interval_s
    except UsageError:  # a `run.toml` that was edited
        return None

    per_s = 1 / interval_s if interval_s else None
    return Limit(text, per_s, is_published=rate is None and published is not None)


def _settings(source: Source) -> Iterator[tuple[str, str, bool]]:
    """Yield (name, value, whether it is not the default)."""
    frozen, settings, tell = source.frozen, source.settings, source.tell
    yield "provider", tell(frozen.provider, 80), True
    yield "base URL", tell(frozen.base_url, 500), True
    yield "manifest", tell(frozen.manifest, 500), True
    if frozen.download is not None:
        yield "download", tell(frozen.download, 500), True

    for key, param in frozen.params.items():
        yield f"set {tell(key, 80)}", tell(_json(param), 500), True

    for name in Settings.__struct_fields__:
        value = getattr(settings, name)
        shown = "none" if value in (None, ()) else tell(_json(value).strip('"'), 500)
        yield name, shown, value != getattr(DEFAULTS, name)


def _links(source: Source) -> Iterator[Link]:
    for name, meaning in FILES.items():
        file = source.directory.path / name
        if file.exists() and file.stat().st_size:
            yield Link(name, link_to(file, source.page), meaning, file.stat().st_size)


def _json(value: object) -> str:
    return msgspec.json.encode(value).decode()
