"""`python -m tests.fuzz`: feed noise to every reader of foreign bytes, for so long.

    python -m tests.fuzz [READER…] [--seconds 20] [--first N]
    python -m tests.fuzz READER --replay N        the mutant of a number, once more
    python -m tests.fuzz READER --file PATH       a file, such as atheris leaves

With atheris, inputs are led by coverage; without it they are mutants with a number each. What
breaks a reader is printed with the command that replays it, and is kept in `build/fuzz`.
"""

from __future__ import annotations

import argparse
import itertools
import os
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

KEPT = Path("build/fuzz")
HANG_S = 20  # for one input
MEMORY_MIB = 1_024


def main() -> int:
    """Do what the command line asks for; return 1 if a reader broke."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz")
    parser.add_argument("readers", nargs="*")
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--first", type=int, default=None, help="number of the first mutant")
    parser.add_argument("--replay", type=int)
    parser.add_argument("--file", type=Path)
    parser.add_argument("--own", action="store_true", help="do without atheris")
    parser.add_argument("--guided", action="store_true", help=argparse.SUPPRESS)
    told, rest = parser.parse_known_args()
    if told.guided:
        _guided(told.readers[0], rest)
        return 0

    from tests.fuzz.readers import READERS

    names = told.readers or list(READERS)
    if told.replay is not None or told.file is not None:
        _replay(names[0], told.replay, told.file)
        return 0

    KEPT.mkdir(parents=True, exist_ok=True)
    with_atheris = find_spec("atheris") is not None and not told.own
    print(
        f"{len(names)} readers, {told.seconds:g} s each,", "atheris" if with_atheris else "mutants"
    )
    first = int(time.time()) if told.first is None else told.first
    broken = [
        name
        for name in names
        if not (_led(name, told.seconds) if with_atheris else _hunted(name, told.seconds, first))
    ]
    print(f"{len(names) - len(broken)} readers held", f"; broken: {broken}" if broken else "")
    return 1 if broken else 0


def _hunted(name: str, seconds: float, first: int) -> bool:
    """Feed mutants to a reader; return whether it held."""
    from tests.fuzz.mutation import hunt
    from tests.fuzz.readers import READERS
    from tests.fuzz.seeds import seeds_of

    numbers = _numbers(first, seconds)
    found = hunt(READERS[name], seeds_of(name), numbers)
    print(f"{name}: mutants from {first} on")
    if found is None:
        return True

    (KEPT / f"{name}-{found.number}").write_bytes(found.data)
    traceback.print_exception(found.error)
    print(f"{name}: broken; again: python -m tests.fuzz {name} --replay {found.number}")
    return False


def _numbers(first: int, seconds: float) -> Iterator[int]:
    end = time.monotonic() + seconds
    return itertools.takewhile(lambda _: time.monotonic() < end, itertools.count(first))


def _led(name: str, seconds: float) -> bool:
    """Let atheris feed a reader, in a process of its own: it ends the one that it is in."""
    from tests.fuzz.seeds import seeds_of

    with tempfile.TemporaryDirectory() as folder:
        corpus = Path(folder) / "corpus"
        corpus.mkdir()
        for n, seed in enumerate(seeds_of(name)):
            (corpus / f"seed-{n}").write_bytes(seed)

        words = [
            *(
                sys.executable,
                "-m",
                "tests.fuzz",
                name,
                "--guided",
                str(corpus),
                "-print_final_stats=0",
            ),
            *(f"-max_total_time={max(1, round(seconds))}", f"-timeout={HANG_S}", "-verbosity=0"),
            *(f"-rss_limit_mb={MEMORY_MIB}", f"-artifact_prefix={KEPT / name}-", "-max_len=8192"),
        ]
        ended = subprocess.run(
            words, capture_output=True, text=True, env={**os.environ, "TMPDIR": folder}
        )

    if ended.returncode == 0:
        print(f"{name}: held")
        return True

    for line in (ended.stdout + ended.stderr).splitlines():
        if not line.startswith(("INFO:", "WARNING:")):
            print(line)

    print(f"{name}: broken; again: python -m tests.fuzz {name} --file {KEPT}/{name}-…")
    return False


def _guided(name: str, words: list[str]) -> None:
    """Fuzz one reader with atheris. Never returns."""
    import atheris  # type: ignore[import-untyped,import-not-found,unused-ignore]  # it may be absent

    with atheris.instrument_imports(include=["batcher"]):
        from tests.fuzz.readers import READERS

    atheris.Setup([sys.argv[0], *words], READERS[name])
    atheris.Fuzz()


def _replay(name: str, number: int | None, file: Path | None) -> None:
    from tests.fuzz.mutation import mutant
    from tests.fuzz.readers import READERS
    from tests.fuzz.seeds import seeds_of

    data = file.read_bytes() if file is not None else mutant(seeds_of(name), number or 0)
    print(data[:2_000])
    READERS[name](data)
    print(f"{name}: held")


if __name__ == "__main__":
    sys.exit(main())
