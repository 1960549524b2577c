"""Opening a journal's file.

Rule: a file that is not exactly what it should be is refused with the reason and never repaired,
replaced or started anew; every setting is read back, because SQLite ignores what it cannot do. It
does not know what the tables mean.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Final

from batcher.adapters.sqlite import schema
from batcher.adapters.sqlite import statements as sql
from batcher.adapters.sqlite.failures import corrupt, transaction, translating
from batcher.adapters.sqlite.mounts import refuse_network
from batcher.core.errors import StorageError

BUSY_TIMEOUT_MS: Final = 5_000  # a writer that is being replaced may hold the lock for one commit
WAL_PAGES_MAX: Final = 2_000  # 8 MiB, then it is copied into the file
WAL_BYTES_KEPT: Final = 64 * 1024 * 1024  # a log that readers made longer is cut back to this
# Of pages in memory. With random job ids in a journal of a million rows, four times as much saves
# half a read from the system's own cache for each job: nothing that could be measured beside it.
CACHE_KIB: Final = 8 * 1024
SQLITE_MIN: Final = (3, 38, 0)  # STRICT tables (3.37), JSON built in (3.38)
MODE: Final = 0o600

# What is checked at the start of a run, by the size of the file: opening should take no longer than
# a person waits. For a million rows (400 MB) the first takes 1.4 s, the second 0.6 s. The first
# also finds a row that is missing from an index: a job that would be forgotten.
CHECKS: Final = (
    (512 * 1024**2, (sql.INTEGRITY_CHECK,)),
    (4 * 1024**3, (sql.QUICK_CHECK,)),
    (float("inf"), sql.QUICK_CHECK_SMALL),
)


def open_writer(
    path: Path, *, durable: bool, must_exist: bool, allow_network_fs: bool
) -> sqlite3.Connection:
    """Open the journal at *path* for its one owner, and create it if it may be created."""
    _check_sqlite()
    shared = refuse_network(path, allowed=allow_network_fs)
    _ensure_file(path, must_exist=must_exist)
    is_checked = _look_first(path)
    with _opening(path, "rw") as db:
        is_new = _identify(db, path)
        if is_new and must_exist:
            raise StorageError(
                f"{path}: the journal is corrupt: it is empty, but this run has one; put the "
                "file back from a backup (a new one would pay again for what was sent)"
            )

        _configure(db, path, durable=durable, shared=shared)
        if is_new:
            _create(db, path, durable=durable)
        else:
            if not is_checked:
                _check(db, path)

            _upgrade(db, path)

    return db


def _look_first(path: Path) -> bool:
    """Check a journal that has a log, before the log is folded in: return whether there was one.

    The last writer to close folds it in, also one that refuses. Who comes with the right version,
    or a backup, then finds every file as it was left.
    """
    if not Path(f"{path}-wal").exists():
        return False

    with _opening(path, "ro") as db, closing(db):
        is_empty = _identify(db, path)
        if not is_empty:
            _check(db, path)

    return not is_empty


def open_reader(path: Path) -> sqlite3.Connection:
    """Open the journal at *path* for reading beside its owner: nothing is written or moved."""
    _check_sqlite()
    if not path.exists():
        raise StorageError(f"{path}: there is no journal here")

    try:
        return _open_reader(path, "ro")
    except StorageError:
        # In a folder that this user cannot write to, SQLite cannot set up the log's index. Where
        # there is no log, the file alone is the whole truth and needs none.
        effective = os.access in os.supports_effective_ids
        is_writable = os.access(path.parent, os.W_OK, effective_ids=effective)
        if is_writable or Path(f"{path}-wal").exists():
            raise

        return _open_reader(path, "ro&immutable=1")


def _open_reader(path: Path, mode: str) -> sqlite3.Connection:
    """Open for reading in one *mode*."""
    with _opening(path, mode) as db:
        if _identify(db, path):
            raise StorageError(f"{path}: the journal is still being created; try again")

        _disguise(db)
        db.execute(sql.set_pragma("query_only", 1))

    return db


@contextmanager
def _opening(path: Path, mode: str) -> Iterator[sqlite3.Connection]:
    """Connect, and close again if what follows fails."""
    with translating(path):
        db = sqlite3.connect(
            f"{path.absolute().as_uri()}?mode={mode}",
            uri=True,
            isolation_level=None,  # transactions begin where this package says BEGIN
            check_same_thread=False,  # the recorder's worker threads, never two at once
            timeout=BUSY_TIMEOUT_MS / 1000,
            cached_statements=192,  # those of many sizes are 90
        )
        try:
            yield db
        except BaseException:
            db.close()
            raise


def _check_sqlite() -> None:
    """Refuse a library that is too old for the schema."""
    if sqlite3.sqlite_version_info < SQLITE_MIN:
        needed = ".".join(str(part) for part in SQLITE_MIN)
        raise StorageError(f"this Python has SQLite {sqlite3.sqlite_version}; {needed} is needed")


def _ensure_file(path: Path, *, must_exist: bool) -> None:
    """Have a file that only its owner can read; SQLite gives its log the same mode."""
    try:
        if path.exists():
            path.chmod(MODE)
        elif must_exist:
            raise StorageError(
                f"{path}: the journal is missing, but this run has one; put the file back (a new "
                "one would pay again for what was sent) or choose another run directory"
            )
        else:
            os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, MODE))
    except OSError as failure:
        raise StorageError(f"{path}: {failure.strerror}; check the folder's rights") from failure


def _identify(db: sqlite3.Connection, path: Path) -> bool:
    """Return whether the file is still empty; raise if it is not a journal that we can read."""
    application = int(_value(db, sql.pragma("application_id")))
    version = _version(db)
    if application == 0 and version == 0 and _value(db, sql.TABLES) == 0:
        return True

    if application != schema.APPLICATION_ID:
        raise StorageError(f"{path}: a database, but no journal of batcher; nothing was changed")

    if version != schema.VERSION and version not in schema.UPGRADES:
        raise StorageError(
            f"{path}: made by another batcher (journal version {version}, this one reads up to "
            f"{schema.VERSION}); go on with that version; nothing was changed"
        )

    return False


def _configure(db: sqlite3.Connection, path: Path, *, durable: bool, shared: bool) -> None:
    """Set the connection up, and make sure that every setting took."""
    settings: dict[str, str | int] = {
        # Over a network there is no shared memory: one process, the classic rollback journal.
        "locking_mode": "exclusive" if shared else "normal",
        "journal_mode": "truncate" if shared else "wal",
        # FULL syncs the log at every commit. NORMAL, the usual advice for WAL, loses commits at a
        # power cut: paid job ids among them.
        "synchronous": 2 if durable else 0,
        "fullfsync": 1,  # macOS: fsync alone leaves the data in the drive's cache
        "checkpoint_fullfsync": 1,
        "wal_autocheckpoint": WAL_PAGES_MAX,
        "journal_size_limit": WAL_BYTES_KEPT,
        "busy_timeout": BUSY_TIMEOUT_MS,
        "cache_size": -CACHE_KIB,  # negative: KiB
        "foreign_keys": 1,
        "trusted_schema": 0,
        "cell_size_check": 1,
    }
    for name, wanted in settings.items():
        db.execute(sql.set_pragma(name, wanted))
        got = _value(db, sql.pragma(name))
        if got != wanted:
            raise StorageError(f"{path}: SQLite set {name} to {got} instead of {wanted}")


def _create(db: sqlite3.Connection, path: Path, *, durable: bool) -> None:
    """Write the schema in one transaction, and make the file's name durable."""
    script = ";\n".join(
        [
            sql.BEGIN_WRITING,
            sql.set_pragma("application_id", schema.APPLICATION_ID),
            sql.set_pragma("user_version", schema.VERSION),
            schema.SCHEMA + sql.COMMIT,
        ]
    )
    db.executescript(script)
    if durable:
        folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def _upgrade(db: sqlite3.Connection, path: Path) -> None:
    """Bring an older journal to our version, in one transaction: after a crash it is the old one.

    The version is read inside: another process may have been faster.
    """
    if _version(db) == schema.VERSION:
        return

    with transaction(db, sql.BEGIN_WRITING, path):
        for version in range(_version(db), schema.VERSION):
            for statement in schema.UPGRADES[version]:
                db.execute(statement)

        db.execute(sql.set_pragma("user_version", schema.VERSION))


def _disguise(db: sqlite3.Connection) -> None:
    """Let an older journal answer our questions to this connection; the file stays as it is."""
    db.execute(sql.set_pragma("temp_store", "memory"))
    for statement in schema.DISGUISES.get(_version(db), ()):
        db.execute(statement)


def _check(db: sqlite3.Connection, path: Path) -> None:
    """Look for damage, as thoroughly as the size of the file allows."""
    size_bytes = path.stat().st_size
    # The rows' own CHECKs take as long as all the rest, and were made when a row was written.
    db.execute(sql.set_pragma("ignore_check_constraints", 1))
    for statement in next(checks for bytes_max, checks in CHECKS if size_bytes <= bytes_max):
        with closing(db.execute(statement)) as cursor:
            (found,) = cursor.fetchone()

        if found != "ok":
            raise corrupt(path, str(found).splitlines()[0])

    db.execute(sql.set_pragma("ignore_check_constraints", 0))


def _version(db: sqlite3.Connection) -> int:
    """Return the version of the file's schema."""
    return int(_value(db, sql.pragma("user_version")))


def _value(db: sqlite3.Connection, statement: str) -> int | str:
    """Return the one value that *statement* gives."""
    (value,) = db.execute(statement).fetchone()
    if not isinstance(value, int | str):
        raise TypeError(f"{statement} gave {value!r}")

    return value
