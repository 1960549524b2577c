"""`batcher report`: one private file, made beside the run, shown by a browser without a network."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from batcher.adapters.rundir import RunDirectory
from batcher.adapters.runfile import write_run_file
from batcher.adapters.sqlite import SqliteJournal
from batcher.cli.app import cli
from batcher.core.events import Accept, Finish, Intend
from batcher.core.lifecycle import Move
from batcher.core.model import ErrorKind, RowError
from batcher.core.settings import Frozen, Settings
from tests.adapters.journal_conformance import admitted, take
from tests.report.pages import read

RUN = Frozen(provider="deapi", base_url="https://a.example", manifest="-", params={"task": "ocr"})
LOST = RowError(ErrorKind.UNKNOWN_OUTCOME, "no answer came")
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """Make the directory of a run that has not begun."""
    folder = tmp_path / "a run"
    folder.mkdir()
    write_run_file(folder / "run.toml", RUN, Settings())
    return folder


@pytest.fixture
def journal(run: Path) -> Iterator[SqliteJournal]:
    """Own the run, as a process that works on it."""
    with (
        RunDirectory(run).lock(1.0),
        closing(SqliteJournal.open(run / "journal.db", durable=False)) as journal,
    ):
        journal.claim(0.0)
        yield journal


def report(*words: object) -> Result:
    """Ask for the page of a run."""
    return CliRunner().invoke(cli, ["report", *map(str, words)])


def test_a_page_is_made_beside_the_run(run: Path, journal: SqliteJournal) -> None:
    """While a process works on it: nothing of the run's changes, and what it knows is told."""
    open_, lost = admitted(journal, "open", "lost")
    take(journal, [Intend(open_, 5.0, 1), Accept(open_, 6.0, "j1", "req")])
    take(journal, [Intend(lost, 5.0, 1), Finish(lost, 7.0, Move.DOUBT, b"{}", LOST)])
    before = {file.name: file.stat().st_mtime_ns for file in run.iterdir()}
    done = report(run)
    assert (done.exit_code, done.stdout) == (0, f"{run}/report.html\n")
    after = {file.name: file.stat().st_mtime_ns for file in run.iterdir()}
    assert after.pop("report.html")
    assert {name for name in after if after[name] != before.get(name)} <= {"journal.db-shm"}
    text = read((run / "report.html").read_bytes()).text
    assert "1 of 2 rows have ended" in text
    assert "1 in doubt" in text


def test_only_its_owner_may_read_it(run: Path) -> None:
    """It holds what the rows hold."""
    assert report(run).exit_code == 0
    assert stat.S_IMODE((run / "report.html").stat().st_mode) == 0o600


def test_a_page_takes_the_place_of_the_last(run: Path) -> None:
    """Whole or not at all; nothing else is left behind."""
    (run / "report.html").write_text("old")
    assert report(run).exit_code == 0
    assert (run / "report.html").read_text().startswith("<!doctype html>")
    assert sorted(file.name for file in run.iterdir()) == ["report.html", "run.toml"]


def test_links_lead_to_the_run_from_anywhere(run: Path, tmp_path: Path) -> None:
    """With -o the page is elsewhere, and its links still find the files."""
    page = tmp_path / "pages" / "tonight.html"
    page.parent.mkdir()
    assert report(run, "-o", page).stdout == f"{page}\n"
    assert not (run / "report.html").exists()
    links = [e.attributes["href"] for e in read(page.read_bytes()).all("a")]
    assert links == ["./../a%20run/run.toml"]


@pytest.mark.parametrize("name", ["journal.db", "run.toml", "failed.jsonl", ".open", "x"])
def test_a_page_takes_the_place_of_no_file_of_the_run(run: Path, name: str) -> None:
    """A slip with -o must not cost the journal, which knows what was paid for."""
    before = {file.name: file.read_bytes() for file in run.iterdir()}
    done = report(run, "-o", run / name)
    assert (done.exit_code, done.stdout) == (2, "")
    assert {file.name: file.read_bytes() for file in run.iterdir()} == before


def test_a_page_takes_the_place_of_a_page_alone(run: Path, tmp_path: Path) -> None:
    """Not of a manifest, an empty file, or what a link leads to."""
    page, other, empty, link = (tmp_path / name for name in ("p.html", "m.csv", "e", "l"))
    other.write_text("id,file_url\n")
    empty.touch()
    link.symlink_to(page)
    assert [report(run, "-o", page).exit_code for _ in range(2)] == [0, 0]
    for taken in (other, empty, link):
        done = report(run, "-o", taken)
        assert (done.exit_code, done.stdout) == (2, "")
        assert "is no page of batcher" in done.stderr

    assert other.read_text() == "id,file_url\n"
    assert link.is_symlink()


def test_what_is_no_run_has_no_page(tmp_path: Path, run: Path) -> None:
    """One line and exit code 2, for a folder as for a place where no page can be."""
    for words in ((tmp_path,), (run, "-o", tmp_path), (run, "-o", tmp_path / "no" / "x.html")):
        done = report(*words)
        assert (done.exit_code, done.stdout) == (2, "")
        assert done.stderr.count("\n") == 1


def test_a_damaged_journal_is_told(run: Path) -> None:
    """A page that cannot know is not made."""
    (run / "journal.db").write_bytes(b"SQLite format 3\0" + bytes(5_000))
    assert report(run).exit_code == 74
    assert not (run / "report.html").exists()


def test_a_key_in_the_environment_is_not_on_the_page(
    run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also if somebody wrote it into a row."""
    monkeypatch.setenv("DEAPI_API_KEY", "canary-0123456789")
    line = b'{"id":"canary-0123456789","line":1,"error":{"kind":"rejected","message":"m"}}\n'
    (run / "failed.jsonl").write_bytes(line)
    assert report(run).exit_code == 0
    page = (run / "report.html").read_text()
    assert "canary" not in page
    assert "row ***, line 1" in page


@pytest.mark.e2e
@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed")
def test_a_browser_obeys_the_page(run: Path, tmp_path: Path) -> None:
    """Its own script runs, its policy refuses nothing of it, and nothing is fetched."""
    assert CHROMIUM is not None
    line = b'{"id":"<script>document.title=1</script>","line":1,"error":{"kind":"rejected"}}\n'
    (run / "failed.jsonl").write_bytes(line)
    assert report(run).exit_code == 0
    switches = (
        *("--headless", "--disable-gpu", "--disable-quic", "--no-first-run", "--no-sandbox"),
        *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
        *("--enable-logging=stderr", f"--user-data-dir={tmp_path / 'profile'}", "--dump-dom"),
    )
    address = (run / "report.html").absolute().as_uri()
    done = subprocess.run(
        [CHROMIUM, *switches, address],
        capture_output=True,
        text=True,
        timeout=60,
        env={"PATH": os.environ["PATH"], "HOME": str(tmp_path)},
    )
    assert "CONSOLE" not in done.stderr, done.stderr
    shown = read(done.stdout)
    assert shown.one("title").text != "1"
    buttons = [e for e in shown.all("button") if "hidden" not in e.attributes]
    assert buttons, "the page's own script did not run"
