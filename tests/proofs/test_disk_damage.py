"""Damage between two processes: a journal or an outcome file that is not as it was left.

It is told, or it touches nothing that costs money: never is a run begun anew, and never is a row
sent that was paid for. `BATCHER_DAMAGES=500` tries more places; `make soak` does.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random

import anyio
import pytest

from batcher.adapters.outcomes import OutcomeFiles
from batcher.adapters.rundir import RunDirectory
from batcher.core.errors import StorageError
from batcher.core.model import Stop, StopReason
from batcher.engine.books.opening import open_books
from batcher.engine.books.rescue import take_over
from batcher.engine.run import Run
from tests.engine.harness import Night

pytestmark = pytest.mark.virtual

DAMAGES = int(os.environ.get("BATCHER_DAMAGES", "6"))
PAID, ROWS = 12, 20


class Home(Night):
    """A night whose books are opened as the command does it, from a run directory."""

    @contextmanager
    def books(self) -> Iterator[tuple[object, OutcomeFiles]]:  # type: ignore[override]  # wider
        """Open journal and outcome files, or refuse to."""
        with open_books(RunDirectory(self.directory), self.provider) as (journal, outcomes):
            take_over(journal, outcomes, self.rescue, at=self.clock.wall())
            yield journal, outcomes


async def paid_for(folder: Path, faults: str = "duration=30") -> Home:
    """Return a run that was interrupted when it had paid for some of its rows."""
    night = Home(folder, faults=faults, settings={"rate": "10/s", "max_jobs": PAID})
    night.write_urls(ROWS)

    async def interrupt(run: Run) -> None:
        await anyio.sleep(8.0)
        run.control.interrupt(Stop(StopReason.INTERRUPTED, "signal"))

    await night.process(interrupt)
    assert len(night.simulation.ledger.jobs) == PAID
    night.settings = {"rate": "100/s"}
    return night


def damaged(path: Path, rng: Random) -> str:
    """Damage a file somewhere, in one of the ways that happen; return which."""
    whole = path.read_bytes()
    way = rng.choice(["flip", "flip", "flip", "cut", "zeros", "noise", "empty", "gone"])
    at = rng.randrange(len(whole))
    page = at - at % 4096
    match way:
        case "flip":
            broken = bytearray(whole)
            broken[at] ^= 1 << rng.randrange(8)
            path.write_bytes(broken)
        case "cut":
            path.write_bytes(whole[:at])
        case "zeros" | "noise":
            content = bytes(4096) if way == "zeros" else rng.randbytes(4096)
            path.write_bytes(whole[:page] + content + whole[page + 4096 :])
        case "empty":
            path.write_bytes(b"")
        case "gone":
            path.unlink()

    return way


@pytest.mark.parametrize("seed", range(DAMAGES))
async def test_a_damaged_journal_pays_for_nothing_twice(seed: int, tmp_path: Path) -> None:
    """Gone, empty, cut, a page lost or one bit flipped: refused, or no row is sent again."""
    night = await paid_for(tmp_path)
    before = night.simulation.ledger.counts()
    way = damaged(night.directory / "journal.db", Random(seed))
    refusal = None
    try:
        await night.process()
    except StorageError as error:
        refusal = str(error)

    # One bit of a row's own words, or the end of a page that is not in use, may pass unseen.
    assert refusal is not None or way in ("flip", "cut"), f"{way} was not noticed"
    if refusal is None:
        assert night.simulation.ledger.counts()["submits"] <= ROWS
        night.assert_every_paid_job_is_known()
    else:
        assert "journal" in refusal
        assert night.simulation.ledger.counts() == before, "something was sent"

    night.assert_no_row_paid_twice()


async def test_a_lost_or_emptied_journal_says_how_to_mend_it(tmp_path: Path) -> None:
    """The message names the file, says that it must come back, and why no new one is made."""
    night = await paid_for(tmp_path)
    journal = night.directory / "journal.db"
    whole = journal.read_bytes()
    journal.unlink()
    with pytest.raises(StorageError, match=r"journal is missing.*put the file back"):
        await night.process()

    assert not journal.exists()
    journal.write_bytes(b"")
    with pytest.raises(StorageError, match=r"corrupt: it is empty.*from a backup"):
        await night.process()

    journal.write_bytes(whole)
    await night.process()
    assert night.counts() == {"succeeded": ROWS}
    night.assert_no_row_paid_twice()


# --- Outcome files that a person touched ---------------------------------------------------------

Edit = Callable[[bytes], bytes]


def lines(text: bytes) -> list[bytes]:
    """Return whole lines, with their ends."""
    return text.splitlines(keepends=True)


@pytest.mark.parametrize(
    ("edit", "told"),
    [
        (lambda text: b"", "succeeded.jsonl: has 0 bytes.*edited or cut.*original back"),
        (lambda text: text[:-5], "edited or cut.*original back"),
        (lambda text: b"".join(lines(text)[1:]), "edited or cut.*original back"),
        (lambda text: b"x" + text, "no line ends where.*original back"),
        (lambda text: lines(text)[0] + text, "original back"),
        (lambda text: b'{"a note":1}\n' + text, "no line ends where.*original back"),
        (lambda text: text + lines(text)[0], "succeeded.jsonl was edited.*original back"),
        (
            lambda text: text + lines(text)[0].replace(b'"job_id":"', b'"job_id":"another-'),
            "older than its outcome files",
        ),
    ],
    ids=[
        *("emptied", "cut", "first line out", "a byte in", "line twice at the front"),
        *("note in front", "line twice at the end", "another job at the end"),
    ],
)
async def test_an_edited_outcome_file_is_refused(edit: Edit, told: str, tmp_path: Path) -> None:
    """Not as the journal says: nothing is sent, nothing is cut off, and it says what to do."""
    night = await paid_for(tmp_path, "duration=1")
    path = night.directory / "succeeded.jsonl"
    whole, before = path.read_bytes(), night.simulation.ledger.counts()
    assert len(lines(whole)) == PAID
    edited = edit(whole)
    path.write_bytes(edited)
    with pytest.raises(StorageError, match=told):
        await night.process()

    assert night.simulation.ledger.counts() == before
    assert path.read_bytes() == edited
    path.write_bytes(whole)
    await night.process()
    assert night.counts() == {"succeeded": ROWS}


@pytest.mark.parametrize("added", [b"my own remark\n", b'{"id":"sku-1","outc', b'{"a":1}\n'])
async def test_what_was_written_behind_the_end_is_cut_off_and_told(
    added: bytes, tmp_path: Path
) -> None:
    """A crash leaves half lines there, so it is no error; but nobody's remark vanishes unsaid."""
    night = await paid_for(tmp_path, "duration=1")
    path = night.directory / "succeeded.jsonl"
    whole = path.read_bytes()
    path.write_bytes(whole + added)
    with night.books() as (_, outcomes):
        assert outcomes.cut == {"succeeded.jsonl": len(added)}

    assert path.read_bytes() == whole
