"""What `batcher doctor` looks at on this machine: Python, libraries, limits, disk, clock.

Rule: nothing is changed and nothing stays. What `run` itself would refuse is `bad`.
"""

from __future__ import annotations

import platform
import re
import resource
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from batcher import __version__
from batcher.adapters.disks import LocalDisks
from batcher.adapters.folders import fitness_of, nearest
from batcher.adapters.learned import state_folder
from batcher.adapters.sqlite.fitness import (
    IS_NEW_ENOUGH,
    VERSION,
    ours_has_wal_reset_bug,
    wal_problem,
)
from batcher.adapters.sqlite.mounts import MOUNTS, NETWORK_FILESYSTEMS, filesystem_of
from batcher.cli.commands.doctor.findings import Finding, bad, ok, warn
from batcher.core.settings import CONNECTIONS_AUTO_MAX, Settings
from batcher.providers import PROVIDERS

# What pyproject.toml asks for: this version or newer, and older than what stands after `<`.
PACKAGES = {
    "aiohttp": "3.14.3,<3.15", "aiolimiter": "1.2", "anyio": "4.7", "click": "8.2",
    "msgspec": "0.19", "orjson": "3.10", "rich": "13.9", "structlog": "24.4", "tomli-w": "1.1",
}  # fmt: skip
EXTRAS = {"fast": "uvloop", "image": "pillow", "notify": "apprise"}
FILES_RESERVED = 64  # journal, outcome files, log, libraries, standard streams
SYNC_S_SLOW = 0.1  # every submit waits for one, together with others
EPOCH_S_MIN = 1_767_225_600.0  # 2026-01-01: before it a clock was never set
GB = 1_000_000_000


def machine(run_dir: Path, environ: Mapping[str, str]) -> Iterator[Finding]:
    """Yield everything about this machine; *run_dir* is where runs are to live."""
    yield ok("batcher", f"{__version__} on Python {platform.python_version()}, {sys.executable}")
    yield packages(installed)
    yield extras(installed)
    yield sqlite()
    yield open_files(resource.getrlimit(resource.RLIMIT_NOFILE)[0])
    folder = nearest(run_dir)
    yield file_system(folder, MOUNTS)
    yield disk_room(LocalDisks([folder]).tightest(), Settings().min_free)
    yield writing(folder)
    yield state_directory(environ)
    yield clock(time.time(), time.localtime())


def installed(name: str) -> str | None:
    """Return the version of a package, or None if it is not there."""
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def packages(find: Callable[[str], str | None]) -> Finding:
    """Look at the libraries that batcher cannot do without."""
    found = {name: find(name) for name in PACKAGES}
    wrong = [
        f"{name} {found[name] or 'is missing'}, needed is >={needed}"
        for name, needed in PACKAGES.items()
        if not _fits(found[name] or "", needed)
    ]
    if wrong:
        return bad("packages", "; ".join(wrong), "pip install --upgrade batcher")

    return ok("packages", ", ".join(f"{name} {found[name]}" for name in PACKAGES))


def extras(find: Callable[[str], str | None]) -> Finding:
    """Look at what makes batcher faster or lets it do more."""
    there = [f"{extra} ({name} {find(name)})" for extra, name in EXTRAS.items() if find(name)]
    missing = [extra for extra, name in EXTRAS.items() if not find(name)]
    text = ", ".join(there) or "none"
    if "fast" in missing:
        return warn(
            "extras", f"{text}; without uvloop", "pip install 'batcher[fast]' for more speed"
        )

    return ok("extras", text + (f"; not installed: {', '.join(missing)}" if missing else ""))


def sqlite() -> Finding:
    """Look at the SQLite of this Python."""
    if not IS_NEW_ENOUGH:
        return bad("SQLite", f"{VERSION} is too old", "use a Python with SQLite 3.38 or newer")

    if ours_has_wal_reset_bug():
        return ok(
            "SQLite",
            f"{VERSION}; it can damage a journal that two programs write to (fixed in 3.51.3): "
            "batcher lets only one, so let no other program write to a journal.db",
        )

    return ok("SQLite", VERSION)


def open_files(limit: int) -> Finding:
    """Look at how many files and sockets a process may have open."""
    if limit == resource.RLIM_INFINITY:
        return ok("open files", "no limit")

    most = max(0, limit - FILES_RESERVED)
    text = f"{limit:,}: enough for --connections up to {most:,}"
    if most >= CONNECTIONS_AUTO_MAX:
        return ok("open files", text)

    mend = f"ulimit -n {CONNECTIONS_AUTO_MAX + FILES_RESERVED} or more (systemd: LimitNOFILE=)"
    enough = most >= int(Settings().connections_max)
    return (warn if enough else bad)("open files", text, mend)


def file_system(folder: Path, table: Path) -> Finding:
    """Look at which file system runs would be on."""
    try:
        kind = filesystem_of(folder.resolve(), table.read_text("utf-8", "surrogateescape"))
    except OSError:
        kind = None

    if kind is None:
        return ok("file system", f"{folder}: of a kind that cannot be told here")

    if kind.partition(".")[0] in NETWORK_FILESYSTEMS:
        return bad(
            "file system",
            f"{folder}: {kind} is on a network, where a lost connection can damage a journal",
            "put runs on a local disk: --run-dir",
        )

    return ok("file system", f"{folder}: {kind}")


def disk_room(found: tuple[str, int] | None, least: int) -> Finding:
    """Look at how much room there is."""
    if found is None:
        return ok("disk room", "cannot be told here")

    folder, free = found
    text = f"{folder}: {free / GB:,.1f} GB free"
    if free < least:
        return bad(
            "disk room", text, f"free some: below {least / GB:g} GB (--min-free) a run waits"
        )

    if free < 4 * least:
        return warn("disk room", text, f"below {least / GB:g} GB (--min-free) a run waits")

    return ok("disk room", text)


def writing(folder: Path) -> Finding:
    """Write, sync, lock, and open a database, in files that are thrown away."""
    found = fitness_of(folder, time.perf_counter, wal_problem)
    if found.problem is not None:
        return bad("writing", f"{folder}: {found.problem}", "choose another --run-dir")

    text = f"{folder}: write, sync ({found.sync_s * 1_000:.1f} ms), lock and journal work"
    if found.sync_s > SYNC_S_SLOW:
        return warn("writing", text, "such a slow disk holds submits up; use another --run-dir")

    return ok("writing", text)


def state_directory(environ: Mapping[str, str]) -> Finding:
    """Look at the folder for what outlives all runs."""
    folder = state_folder(environ)
    if folder is None:
        return ok("state", "nothing is kept for later runs")

    found = fitness_of(nearest(folder), time.perf_counter, lambda _: None)
    if found.problem is None:
        return ok("state", f"{folder}")

    return warn(
        "state",
        f"{folder}: {found.problem}",
        "what is learned of the API's jobs is not kept; name a folder in BATCHER_STATE_DIR",
    )


def clock(now: float, local: time.struct_time) -> Finding:
    """Look at the clock and at what a time such as 06:00 means here."""
    text = f"{time.strftime('%Y-%m-%d %H:%M:%S', local)} {local.tm_zone} (UTC{_offset(local)})"
    if now < EPOCH_S_MIN:
        return bad("clock", f"{text}: it was never set", "set it (NTP); TLS needs the true time")

    return ok("clock", f"{text}; --finish-by means this zone")


def keys(environ: Mapping[str, str]) -> Iterator[Finding]:
    """Yield which keys there are, without asking anybody."""
    variables = [provider.facts.key_env for provider in PROVIDERS.values()]
    there = [variable for variable in variables if environ.get(variable, "").strip()]
    if there:
        yield ok("key", f"{' and '.join(there)} {'are' if len(there) > 1 else 'is'} set")
    else:
        mend = f"export {' or '.join(variables)}, or --api-key-file; a trial needs none"
        yield warn("key", "no API key is set", mend)


def _offset(local: time.struct_time) -> str:
    minutes = local.tm_gmtoff // 60
    return f"{'-' if minutes < 0 else '+'}{abs(minutes) // 60:02}:{abs(minutes) % 60:02}"


def _fits(found: str, needed: str) -> bool:
    least, _, below = needed.partition(",<")
    is_old = _numbers(found) < _numbers(least)
    return not is_old and (not below or _numbers(found) < _numbers(below))


def _numbers(text: str) -> tuple[int, ...]:
    """Return the numbers at the beginning of a version: enough to tell an old one."""
    found = re.match(r"[0-9]+(?:\.[0-9]+)*", text)
    return () if found is None else tuple(int(part) for part in found[0].split("."))
