"""The run directory: who owns it, what the run in it is, and where its files are.

Rule: only the process that holds the lock writes here. The lock belongs to the kernel (`flock`), so
that it is gone with its owner, however that one died; what is written in `run.lock` is for people.

There are two locks, because asking whether a lock is held means to take it for a moment, and that
must not turn away a run which starts in this moment. Who wants to own the directory takes
`run.lock` at once or not at all, and then waits for `.alive`; who only asks tries `.alive`, shared.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shlex
import socket
import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path

import orjson

from batcher.adapters.atomic import PRIVATE, sync_directory
from batcher.core.errors import RunBusy, StorageError, UsageError
from batcher.core.lifecycle import OUTCOMES
from batcher.core.model import iso

PRIVATE_FOLDER = 0o700
ALIVE_TRIES = 50
ALIVE_PAUSE_S = 0.02
HOLDER_BYTES_MAX = 4_096
OUTCOME_NAMES = tuple(f"{outcome}.jsonl" for outcome in OUTCOMES)
SUFFIXES = (".jsonl", ".ndjson", ".csv", ".tsv", ".txt", ".json")


class RunDirectory:
    """One run's directory. Nothing is made or read before a method says so."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.run_file = path / "run.toml"
        self.journal = path / "journal.db"
        self.rescue = path / "rescue.jsonl"  # job ids that the journal could not take
        self.summary = path / "summary.json"
        self.log = path / "log.jsonl"
        self.downloads = path / "downloads"
        self.shards = path / "shards"  # of a run of several workers: a run directory for each
        self.open_mark = (
            path / ".open"
        )  # there while a process has the journal open, and after a crash
        self._lock = path / "run.lock"
        self._alive = path / ".alive"

    @property
    def is_run(self) -> bool:
        """Whether it is a run's directory at all."""
        return self.run_file.exists()

    def shard(self, number: int) -> RunDirectory:
        """Return the directory of one part of this run, from 0."""
        return RunDirectory(self.shards / f"{number:02d}")

    def parts(self, shards: int | None) -> list[RunDirectory]:
        """Return the directories with a journal: this one, or those of its shards."""
        return [self] if shards is None else [self.shard(n) for n in range(shards)]

    @property
    def was_begun(self) -> bool:
        """Whether the run got as far as having a journal: outcome files are made after it.

        Where this is true and there is no journal, it was lost, and starting anew would pay again.
        """
        return any((self.path / name).exists() for name in OUTCOME_NAMES)

    def create(self) -> None:
        """Make the directory, private, or find it as it is: whoever made it chose its mode.

        Raises `UsageError` if it cannot be made, or holds something that is not a run.
        """
        self.refuse_others()
        try:
            if not self.is_run:
                self._make()
                sync_directory(self.path.parent)
        except OSError as error:
            raise UsageError(f"run directory {self.path}: {error.strerror}") from error

    def _make(self) -> None:
        try:
            self.path.mkdir(mode=PRIVATE_FOLDER, parents=True)
            self.path.chmod(PRIVATE_FOLDER)  # whatever the umask took away
        except FileExistsError:
            if not self.path.is_dir():
                raise

    def refuse_others(self) -> None:
        """Raise `UsageError` if there is something that is no run; nothing is made or changed."""
        try:
            if self.path.exists() and not self.path.is_dir():
                raise UsageError(f"run directory {self.path}: is a file, not a folder")

            if self.path.exists() and not self.is_run:
                self._refuse_strangers()
        except OSError as error:
            raise UsageError(f"run directory {self.path}: {error.strerror}") from error

    def _refuse_strangers(self) -> None:
        """What a crash leaves before there is a `run.toml` is a lock and hidden files."""
        names = (found.name for found in self.path.iterdir())
        stranger = next((n for n in names if n != self._lock.name and not n.startswith(".")), None)
        if stranger is not None and not self.is_run:  # nobody has begun one here by now
            raise UsageError(
                f"run directory {self.path}: has {stranger!r} in it, but no run.toml;"
                " name an empty or a new directory"
            )

    @contextmanager
    def lock(self, at: float) -> Iterator[None]:
        """Own the directory inside the block; *at* is now. Raises `RunBusy` if another does."""
        with self._opened(self._lock) as lock, self._opened(self._alive) as alive:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                look = f"batcher status {shlex.quote(str(self.path))} --watch"
                raise RunBusy(
                    f"run directory {self.path}: in use by {_holder(lock)}; look with `{look}`"
                ) from None
            except OSError as error:
                raise StorageError(
                    f"run directory {self.path}: its file system has no locks"
                    f" ({error.strerror}); use a local disk"
                ) from error

            self._mark_alive(alive)
            if not (_is_at(lock, self._lock) and _is_at(alive, self._alive)):
                raise RunBusy(f"run directory {self.path}: was just taken away; start again")

            _sign(lock, at)
            yield

    def _mark_alive(self, alive: int) -> None:
        """Take the lock that askers probe; who asks holds it for an instant, an owner for good."""
        for _ in range(ALIVE_TRIES):
            with contextlib.suppress(BlockingIOError):
                fcntl.flock(alive, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return

            time.sleep(ALIVE_PAUSE_S)

        raise RunBusy(
            f"run directory {self.path}: in use, although its run.lock was deleted; "
            "end the process that runs there"
        )

    def forget(self, beside: Collection[str] = ()) -> None:
        """Take away what the owner of a new run made for it, *beside* among it; for its owner.

        The owner of a run with shards owns these, too. Outcome files go before journals: a process
        that dies here leaves no run that looks as if its journal were lost. Hidden files of others
        stay, as they may at the start; where there is anything else nothing is touched.
        """
        journal = self.journal.name
        names = (f"{journal}-wal", f"{journal}-shm", journal, *beside, self.summary.name)
        own = (self.log, self.open_mark, self.run_file, self._lock, self._alive)
        with contextlib.suppress(OSError):
            self.downloads.rmdir()

        with contextlib.suppress(OSError):
            mine = {*OUTCOME_NAMES, *names, self.shards.name, *(path.name for path in own)}
            found = {path.name for path in self.path.iterdir()}
            if all(name in mine or name.startswith(".") for name in found):
                self._unlink(OUTCOME_NAMES)
                self._forget_shards(beside)
                self._unlink((*names, *(path.name for path in own)))

    def shards_there(self) -> list[RunDirectory]:
        """Return the directories of the shards that are there, in order."""
        return [RunDirectory(path) for path in sorted(self.shards.glob("*"))]

    def _forget_shards(self, beside: Collection[str]) -> None:
        """Raises `OSError` if something stays in one."""
        for shard in self.shards_there():
            shard.forget(beside)
            shard.path.rmdir()

        with contextlib.suppress(FileNotFoundError):
            self.shards.rmdir()

    def _unlink(self, names: Collection[str]) -> None:
        for name in names:
            (self.path / name).unlink(missing_ok=True)

    def is_owned(self) -> bool:
        """Whether a living process owns the directory; asking neither disturbs nor writes."""
        if not self._alive.exists():
            return False

        with self._opened(self._alive, os.O_RDONLY) as alive:
            try:
                fcntl.flock(alive, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                return True

            return False

    @property
    def is_marked_open(self) -> bool:
        """Whether the last process that had the journal open died with it open."""
        return self.open_mark.exists()

    def mark_open(self) -> None:
        """Note durably that the journal is open. Raises `StorageError`."""
        try:
            self.open_mark.touch(mode=PRIVATE)
            sync_directory(self.path)
        except OSError as error:
            raise StorageError(f"{self.open_mark}: {error.strerror}") from error

    def mark_closed(self) -> None:
        """Take the mark away: the journal is about to be closed."""
        with contextlib.suppress(OSError):
            self.open_mark.unlink(missing_ok=True)

    def owned_since(self) -> str | None:
        """Return when the last owner came, an ISO time, or None if nobody knows."""
        try:
            started = orjson.loads(self._lock.read_bytes()[:HOLDER_BYTES_MAX])["started"]
        except (OSError, ValueError, TypeError, KeyError):
            return None

        return started if isinstance(started, str) else None

    @contextmanager
    def _opened(self, path: Path, mode: int = os.O_RDWR | os.O_CREAT) -> Iterator[int]:
        """Open a lock file; its end gives up the lock, which a forked process has open as well."""
        try:
            fd = os.open(path, mode | os.O_CLOEXEC, PRIVATE)
        except OSError as error:
            raise UsageError(f"run directory {self.path}: {error.strerror}") from error

        try:
            yield fd
        finally:
            with contextlib.suppress(OSError):  # a file system without locks
                fcntl.flock(fd, fcntl.LOCK_UN)

            os.close(fd)


def default_run_directory(manifest: str, provider: str) -> Path:
    """Return where a run goes that was not told: `runs/<manifest stem>-<provider>`."""
    if manifest == "-":
        return Path("runs", f"stdin-{provider}")

    path = absolute_path(manifest)
    name = path.name
    if not path.is_dir():
        name = name.removesuffix(".gz")
        name = next((name[: -len(s)] for s in SUFFIXES if name.lower().endswith(s)), name)

    return Path("runs", f"{name or 'manifest'}-{provider}")


def absolute_path(text: str | Path) -> Path:
    """Return a path from the root in one spelling: without `.`, `..` and double slashes.

    Links stay as they are written, and so does a `..` behind a link: it means the link's target.
    """
    written = Path(text).absolute()
    short = Path(os.path.normpath(written))
    is_same = ".." not in written.parts or short.resolve() == written.resolve()
    return short if is_same else written


def _is_at(fd: int, path: Path) -> bool:
    """Whether an open file is still the one at *path*: a lock on any other holds nobody off."""
    try:
        return os.path.samestat(os.fstat(fd), path.stat())
    except FileNotFoundError:
        return False


def _sign(fd: int, at: float) -> None:
    text = orjson.dumps({"host": socket.gethostname(), "pid": os.getpid(), "started": iso(at)})
    try:
        os.ftruncate(fd, 0)
        os.pwrite(fd, text + b"\n", 0)
    except OSError:  # a full disk must not keep anybody from going on: the lock itself is taken
        return


def _holder(fd: int) -> str:
    try:
        holder = orjson.loads(os.pread(fd, HOLDER_BYTES_MAX, 0))
        return f"process {holder['pid']} on {holder['host']} since {holder['started']}"
    except (OSError, ValueError, TypeError, KeyError):
        return "another process"
