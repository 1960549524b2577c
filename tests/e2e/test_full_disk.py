"""Real processes on a real disk that has no room left: they wait, say so, and go on by themselves.

The disk is a small tmpfs of its own, which takes the rights of root; where it cannot be had, what
needs it is skipped. `BATCHER_DISK_SIZES=50` tries as many sizes; `make soak` does.
"""

from __future__ import annotations

import os
import resource
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from random import Random

import pytest

from tests.e2e.world import KEY, World, environment, finish, wait_until, world

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(3600)]

SIZES = int(os.environ.get("BATCHER_DISK_SIZES", "2"))
KIB_MIN, KIB_MAX = 180, 1_400  # a run of 120 rows fills between 1 and 2 MiB
ROOMY = "64m"
ROWS = 120
FAULTS = "duration=0.4,latency=0.01"
STARTED: list[subprocess.Popen[str]] = []


@contextmanager
def small_disk(folder: Path, size: str) -> Iterator[Path]:
    """Give a disk of its own with *size* (as tmpfs writes it), or skip the test."""
    folder.mkdir()
    words = ["mount", "-t", "tmpfs", "-o", f"size={size},mode=700", "batcher-test", str(folder)]
    made = subprocess.run(words, capture_output=True, text=True, check=False)
    if made.returncode:
        pytest.skip(f"no disk of its own can be had here: {made.stderr.strip()}")

    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def enlarge(disk: Path) -> None:
    """Make room."""
    subprocess.run(["mount", "-o", f"remount,size={ROOMY}", str(disk)], check=True)


def begin(
    here: World, *flags: str, more: Mapping[str, str] | None = None
) -> tuple[subprocess.Popen[str], Path]:
    """Start the run with its words in a file, which a test can read while it goes on."""
    said = here.folder / "said.txt"
    with said.open("w") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "batcher", *here.command("--rate", "300/s", *flags)],
            cwd=here.folder,
            env={**environment(here.api, KEY), **(more or {})},
            stdout=subprocess.DEVNULL,
            stderr=output,
            text=True,
        )

    STARTED.append(process)
    return process, said


@pytest.fixture(autouse=True)
def _ended() -> Iterator[None]:
    """End what a test that failed has left."""
    yield
    for process in STARTED:
        if process.poll() is None:
            process.kill()
            process.wait()

    STARTED.clear()


def wait_for_words(process: subprocess.Popen[str], said: Path, words: str) -> bool:
    """Wait until the process says *words*; False if it ended without."""
    wait_until(lambda: words in said.read_text() or process.poll() is not None, words)
    return words in said.read_text()


def sizes() -> list[int]:
    """Return sizes in KiB: some too small to begin with, most full in the middle."""
    rng = Random(2026)
    return [500, 1_100, *(rng.randrange(KIB_MIN, KIB_MAX) for _ in range(SIZES))][:SIZES]


@pytest.mark.parametrize("kib", sizes())
def test_a_full_disk_is_waited_for(kib: int, tmp_path: Path) -> None:
    """Wherever it fills up: nothing is lost or paid twice, and nothing new is sent meanwhile."""
    with small_disk(tmp_path / "disk", f"{kib}k") as disk, world(tmp_path, faults=FAULTS) as here:
        here.run = disk / "run"
        here.write_urls(ROWS)
        process, said = begin(here, "--min-free", "0")
        waited = wait_for_words(process, said, "the disk is full, the run waits")
        if waited:
            before = here.counts()["submits"]
            enlarge(disk)
            assert wait_for_words(process, said, "the disk has room again")
            assert before < ROWS or kib > 1_000  # there it may be full when all has been sent

        code = finish(process).returncode
        if code == 74:  # too small to begin at all: nothing was sent, and the same command goes on
            assert not waited
            assert here.counts()["submits"] == 0
            assert "no room" in said.read_text() or "No space" in said.read_text()
            enlarge(disk)
            process, said = begin(here)
            code = finish(process).returncode

        assert code == 0, said.read_text()
        assert waited or kib < 400 or kib > 1_000, "the disk was never full"
        here.assert_the_promise(ROWS)
        assert here.counts_of_rows() == {"succeeded": ROWS}


def test_too_little_room_is_waited_for_before_anything_is_sent(tmp_path: Path) -> None:
    """`--min-free`: said once with its numbers; when a file is deleted the run goes on."""
    with small_disk(tmp_path / "disk", "20m") as disk, world(tmp_path, faults=FAULTS) as here:
        here.run = disk / "run"
        here.write_urls(10)
        ballast = disk / "ballast"
        ballast.write_bytes(bytes(12_000_000))
        process, said = begin(here, "--min-free", "10MB")
        assert wait_for_words(process, said, "waits for room: ")
        assert f"free on {here.run}, --min-free 10 MB" in said.read_text()
        assert here.counts()["submits"] == 0
        ballast.unlink()

        assert finish(process).returncode == 0, said.read_text()
        assert said.read_text().count("waits for room: ") == 1
        here.assert_the_promise(10)


NO_QUOTA = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>
static int refused(int fd) {
    struct stat it;
    if (fd <= 2 || access(getenv("QUOTA_USED_UP"), F_OK)) return 0;
    return !fstat(fd, &it) && S_ISREG(it.st_mode);
}
#define WRAP(name, parameters, arguments) \
    ssize_t name parameters { \
        ssize_t (*next) parameters = dlsym(RTLD_NEXT, #name); \
        if (refused(fd)) { errno = EDQUOT; return -1; } \
        return next arguments; \
    }
WRAP(write, (int fd, const void *data, size_t size), (fd, data, size))
WRAP(pwrite, (int fd, const void *data, size_t size, off_t at), (fd, data, size, at))
WRAP(pwrite64, (int fd, const void *data, size_t size, off64_t at), (fd, data, size, at))
"""


@pytest.fixture
def used_up(tmp_path: Path) -> tuple[Path, dict[str, str]]:
    """Return a file whose presence uses up the quota, and the environment that makes it so."""
    compiler = shutil.which("cc")
    if compiler is None or not sys.platform.startswith("linux"):
        pytest.skip("no compiler here for a quota that can be used up")

    (tmp_path / "quota.c").write_text(NO_QUOTA)
    library, flag = tmp_path / "quota.so", tmp_path / "used-up"
    words = [compiler, "-shared", "-fPIC", "-w", "-o", str(library), str(tmp_path / "quota.c")]
    subprocess.run([*words, "-ldl"], check=True)
    return flag, {"LD_PRELOAD": str(library), "QUOTA_USED_UP": str(flag)}


@pytest.mark.soak
def test_a_used_up_quota_is_waited_for(
    used_up: tuple[Path, dict[str, str]], tmp_path: Path
) -> None:
    """EDQUOT is no broken disk, though SQLite calls it one: somebody can free some of the quota."""
    flag, preloaded = used_up
    with world(tmp_path, faults=FAULTS) as here:
        here.write_urls(ROWS)
        process, said = begin(here, more=preloaded)
        wait_until(lambda: here.counts()["submits"] > 20, "submits")
        flag.touch()
        assert wait_for_words(process, said, "the disk is full, the run waits")
        assert "quota" in said.read_text()
        before = here.counts()["submits"]
        flag.unlink()

        assert finish(process).returncode == 0, said.read_text()
        assert before < ROWS
        here.assert_the_promise(ROWS)
        assert here.counts_of_rows() == {"succeeded": ROWS}


def limit(process: subprocess.Popen[str], what: int, most: int) -> None:
    """Set a limit of a process that goes on."""
    resource.prlimit(process.pid, what, (most, most))


def test_a_limit_on_the_size_of_files_ends_the_run_and_rescues_job_ids(tmp_path: Path) -> None:
    """No room helps against `ulimit -f`: exit 74, every job id is kept, and the resume has them."""
    with world(tmp_path, faults="duration=0.4,latency=0.15") as here:
        here.write_urls(ROWS)
        process, said = begin(here)
        wait_until(lambda: here.counts()["jobs"] > 20, "jobs")
        log = here.run / "journal.db-wal"
        limit(process, resource.RLIMIT_FSIZE, log.stat().st_size + 20_000)

        assert finish(process).returncode == 74, said.read_text()
        assert "journal" in said.read_text()
        rescued = (here.run / "rescue.jsonl").read_bytes().splitlines()
        assert rescued, said.read_text()
        assert f"in {here.run / 'rescue.jsonl'}; `batcher resume`" in said.read_text()
        sent = here.counts()["submits"]
        assert sent < ROWS

        process, said = begin(here)
        assert finish(process).returncode in (0, 3), said.read_text()
        assert f"{len(rescued)} jobs were rescued" in said.read_text() or len(rescued) == 1
        here.assert_the_promise(ROWS)
        known = {record["job_id"] for record in here.records("succeeded")}
        assert {job["job_id"] for job in here.ledger()["jobs"]} == known


@pytest.mark.soak
def test_too_few_descriptors_are_nobody_elses_fault(tmp_path: Path) -> None:
    """EMFILE: told once as this machine's, and no row is lost, in doubt or sent twice."""
    with world(tmp_path, faults="duration=0.1,latency=0.5") as here:
        here.write_urls(30)
        process, said = begin(here, "--rate", "20/s")
        wait_until(lambda: here.counts()["submits"] > 1, "submits")
        _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
        in_use = len(list(Path(f"/proc/{process.pid}/fd").iterdir()))
        resource.prlimit(process.pid, resource.RLIMIT_NOFILE, (in_use, most))
        assert wait_for_words(process, said, "for a reason of this machine")
        resource.prlimit(process.pid, resource.RLIMIT_NOFILE, (most, most))

        assert finish(process).returncode == 0, said.read_text()
        assert said.read_text().count("for a reason of this machine") == 1
        assert "Too many open files" in said.read_text()
        here.assert_the_promise(30)
        assert here.counts_of_rows() == {"succeeded": 30}
        assert here.counts()["submits"] == 30
