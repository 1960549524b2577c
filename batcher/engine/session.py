"""From a run directory to a run that is ready to go: the one place that knows concrete adapters."""

from __future__ import annotations

import os
import secrets
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from pathlib import Path

from batcher import __version__
from batcher.adapters.disks import LocalDisks
from batcher.adapters.http import HttpTransport
from batcher.adapters.learned import Learned
from batcher.adapters.manifest import count_rows, open_manifest
from batcher.adapters.outcomes import OutcomeFiles
from batcher.adapters.rescue import RescueFile
from batcher.adapters.rundir import RunDirectory
from batcher.core.errors import UsageError
from batcher.core.journal import Entry, Journal
from batcher.core.log import Log
from batcher.core.secret import Secret
from batcher.core.settings import Frozen, Settings
from batcher.core.shards import part_of, shard_of
from batcher.engine.books.opening import open_books
from batcher.engine.books.rescue import take_over
from batcher.engine.books.thread import OwnThread
from batcher.engine.files.collect import Store
from batcher.engine.files.store import open_store
from batcher.engine.keyring import ACCOUNT, Keyring, with_mark
from batcher.engine.notices import Notices
from batcher.engine.parts import Parts, Starts
from batcher.engine.rows import ProviderCheck
from batcher.engine.run import Run
from batcher.engine.webhooks.hearing import hearing
from batcher.providers import Provider, provider_named

LANES = 4
RUN_ID_BYTES = 16


@asynccontextmanager
async def open_session(  # noqa: PLR0913 - what a run is, and what its caller has of its own
    directory: RunDirectory,
    frozen: Frozen,
    settings: Settings,
    key: Secret,
    *,
    log: Log,
    read_manifest: bool = True,
    reread: Callable[[], Secret] | None = None,
    starts: Starts | None = None,
) -> AsyncIterator[Run]:
    """Compose the run of a directory that this process has locked.

    `reread` reads the source of the key again. With `read_manifest` false the run goes on from its
    journal alone: for a manifest that came by a pipe and cannot be read twice. `starts` says when
    first submits are due, of a load test.
    """
    _refuse_parts(directory, frozen)
    provider = provider_named(frozen.provider, frozen.params)
    notices = Notices(log)
    keyring = Keyring(key, reread)
    learned = Learned(frozen.provider, frozen.base_url, log)
    entries = _entries(frozen, settings, provider) if read_manifest else None
    with open_books(directory, frozen.provider) as (journal, outcomes):
        _check_account(journal, key, frozen, settings)
        rescue = _take_over(directory, journal, outcomes, notices)
        async with AsyncExitStack() as stack:
            transport = await stack.enter_async_context(
                _transport(frozen, settings, provider, keyring)
            )
            make_id = partial(secrets.token_hex, RUN_ID_BYTES)
            ears = hearing(
                provider, journal, keyring, settings, make_id=make_id, log=log, notices=notices
            )
            claims = await stack.enter_async_context(ears)
            store = await stack.enter_async_context(_store(directory, frozen, settings))
            yield Run(
                Parts(
                    frozen=frozen,
                    settings=settings,
                    provider=provider,
                    transport=transport,
                    journal=journal,
                    outcomes=outcomes,
                    entries=entries,
                    log=log,
                    notices=notices,
                    rows_expected=_rows_expected(frozen, settings) if read_manifest else None,
                    keyring=keyring,
                    claims=claims,
                    store=store,
                    disks=_disks(directory, frozen),
                    rescue=rescue,
                    starts=starts,
                    past=learned.load(),
                    memory=learned,
                    writer=stack.enter_context(OwnThread()),
                )
            )


def _refuse_parts(directory: RunDirectory, frozen: Frozen) -> None:
    """Raise `UsageError` for a run of several workers: each part of it is a run of its own."""
    if frozen.shards is not None and frozen.shard is None:
        raise UsageError(
            f"{directory.path}: the run has {frozen.shards} workers; go on with `batcher resume`"
        )


def _transport(
    frozen: Frozen, settings: Settings, provider: Provider, keyring: Keyring
) -> HttpTransport:
    facts = provider.facts
    return HttpTransport(
        frozen.base_url,
        facts.auth_header,
        facts.auth_scheme,
        lambda: keyring.key,
        connections=settings.connections_max + LANES,  # each lane has one at least
        user_agent=f"batcher/{__version__}",
        wall=time.time,
    )


def _entries(
    frozen: Frozen, settings: Settings, provider: Provider
) -> Callable[[], Iterator[Entry]]:
    check = ProviderCheck(provider)
    skip = [] if frozen.download is None else [Path(frozen.download)]
    manifest = open_manifest(frozen.manifest, skip=skip)
    if frozen.shards is None:
        return lambda: manifest.entries(check, limit=settings.limit, judged=False)

    is_ours = partial(_is_ours, frozen.shard, frozen.shards)
    return lambda: filter(is_ours, manifest.entries(check, limit=settings.limit, judged=False))


def _is_ours(shard: int | None, shards: int, entry: Entry) -> bool:
    """Whether a row is one of this shard's."""
    return shard_of(entry.id, shards) == shard


def _rows_expected(frozen: Frozen, settings: Settings) -> int | None:
    """Return roughly how many rows the run will have, if that can be had for next to nothing."""
    rows = count_rows(frozen.manifest)
    if rows is None:
        return None

    rows = rows if settings.limit is None else min(rows, settings.limit)
    return rows if frozen.shards is None else part_of(rows, frozen.shard or 0, frozen.shards)


def _take_over(
    directory: RunDirectory, journal: Journal, outcomes: OutcomeFiles, notices: Notices
) -> RescueFile:
    """Take over what an earlier process rescued, and tell what was cut off the outcome files."""
    for name, size_bytes in outcomes.cut.items():
        text = (
            f"{name}: {size_bytes:,} bytes at its end, which the journal does not have, were cut "
            "off. A crash leaves such lines; what you write, write elsewhere"
        )
        notices.tell("outcomes.cut", text)

    rescue = RescueFile(directory.rescue)
    for event, text in take_over(journal, outcomes, rescue, at=time.time()):
        notices.tell(event, text, urgent=True)

    return rescue


@asynccontextmanager
async def _store(
    directory: RunDirectory, frozen: Frozen, settings: Settings
) -> AsyncIterator[Store | None]:
    if frozen.download is None:
        yield None
        return

    folder = _make_folder(frozen.download)
    run = directory.path if frozen.shards is None else directory.path.parent.parent
    async with open_store(folder, settings, run) as store:
        yield store


def _disks(directory: RunDirectory, frozen: Frozen) -> LocalDisks:
    folders = [] if frozen.download is None else [Path(frozen.download)]
    return LocalDisks([directory.path, *folders])


def _make_folder(name: str) -> Path:
    folder = Path(name)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"download folder {folder}: {error.strerror}") from error

    effective = os.access in os.supports_effective_ids
    if not os.access(folder, os.W_OK | os.X_OK, effective_ids=effective):
        raise UsageError(
            f"download folder {folder}: nothing can be written to it; check its rights"
        )

    return folder


def _check_account(journal: Journal, key: Secret, frozen: Frozen, settings: Settings) -> None:
    """Refuse another account's key: its jobs would look lost under it.

    Before the first job there is nothing to lose: the first key may simply have been wrong.
    """
    mark, fact = key.fingerprint(frozen.base_url), journal.fact(ACCOUNT)
    known = [] if fact is None else fact.split()
    counters = journal.counters()
    has_jobs = any(counters.get(name) for name in ("jobs_accepted", "intent", "in_doubt"))
    if known and mark not in known and has_jobs and not settings.new_key:
        raise UsageError(
            f"the API key in {key.source} is not the one this run began with; jobs of one account "
            "cannot be read with the key of another. If it is a new key of the same account, "
            "pass --new-key"
        )

    if mark not in known:
        journal.note({ACCOUNT: with_mark(fact if has_jobs else None, mark)})
