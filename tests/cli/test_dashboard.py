"""`run --dashboard` and `dashboard RUN` as real processes, over real HTTP, in a real browser."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import signal
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import anyio
import click
import pytest
from click.testing import CliRunner

from batcher.adapters.dashboard import Site, showing
from batcher.adapters.rundir import RunDirectory
from batcher.adapters.runfile import read_run_file
from batcher.cli.app import cli
from batcher.cli.commands.dashboard.follow import Follower
from batcher.cli.commands.dashboard.live import page_of_run, token_of, url_of
from batcher.cli.night.flags import dashboard_address
from batcher.core.secret import Secret
from tests.cli.processes import KEY, LIMIT_S, Api, Shell, read_until, simulated
from tests.report.pages import read

RUN = "runs/m-removit"
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
FREE = "127.0.0.1:0"


@pytest.fixture(scope="module")
def slow() -> Iterator[Api]:
    """An API that takes every submit and whose jobs take longer than any test."""
    with simulated("duration=600") as api:
        yield api


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Shell:
    """A finished run of 20 rows, of which some failed."""
    folder = tmp_path_factory.mktemp("finished")
    with simulated("duration=0,rejected=0.2", seed=3) as api:
        shell = Shell(folder, api.base_url)
        shell.write_manifest(20)
        shell.do(*shell.run_words())

    return shell


def url_in(line: str) -> str:
    """Return the address that a line tells."""
    found = re.search(r"dashboard: (http://127\.0\.0\.1:\d+/[0-9a-f]{32}/)", line)
    assert found is not None, line
    return found[1]


@contextmanager
def looking(shell: Shell, *more: str) -> Iterator[str]:
    """Run `batcher dashboard` on the run; gives the address, and ends it by Ctrl-C."""
    child = shell.start("dashboard", RUN, "--listen", FREE, *more)
    assert child.stderr is not None
    try:
        yield url_in(child.stderr.readline())
    finally:
        child.send_signal(signal.SIGINT)
        _, err = child.communicate(timeout=LIMIT_S)

    assert (child.returncode, err) == (0, "")


class Stream:
    """The events of a dashboard, as they come."""

    def __init__(self, url: str) -> None:
        self._file = urllib.request.urlopen(f"{url}events", timeout=LIMIT_S)

    def next(self) -> tuple[str, Any]:
        """Return the next event; `""` at the end."""
        kind = ""
        for line in self._file:
            name, _, value = line.decode().rstrip("\n").partition(": ")
            kind = value if name == "event" else kind
            if name == "data":
                assert kind != "frame" or len(line) <= 4_096
                return kind, json.loads(value)

        return "", None

    def until(self, wanted: str) -> Any:
        """Return the data of the next event of a kind."""
        while True:
            kind, data = self.next()
            assert kind, f"the stream ended without {wanted}"
            if kind == wanted:
                return data

    def close(self) -> None:
        """Stop reading."""
        self._file.close()


@pytest.mark.e2e
def test_a_run_is_shown_and_followed_to_its_end(tmp_path: Path, slow: Api) -> None:
    """Its own page, and the one of another process, hear of the run and of its end.

    The address is told once, and its token stands in nothing else that the run leaves.
    """
    shell = Shell(tmp_path, slow.base_url)
    shell.write_manifest(3)
    child = shell.start(*shell.run_words("--json", "--dashboard", FREE))
    assert child.stderr is not None
    url = url_in(child.stderr.readline())
    read_until(child, "job.accepted", 3)
    with looking(shell) as beside:
        own, other = Stream(url), Stream(beside)
        hellos = [own.until("hello"), other.until("hello")]
        while own.until("frame")["in_flight"] != 3:
            pass

        child.send_signal(signal.SIGTERM)
        ends = [own.until("end"), other.until("end")]
        assert own.next() == ("", None)
        for stream in (own, other):
            stream.close()

    out, err = child.communicate(timeout=LIMIT_S)
    assert [hello["mode"] for hello in hellos] == ["live", "live"]
    assert [end["end"]["word"] for end in ends] == ["Stopped", "Stopped"]
    commands = ends[0]["end"]["commands"]
    assert any(command.endswith(" resume runs/m-removit") for command in commands)
    assert child.returncode == 143
    token = url.split("/")[-2]
    files = [path.read_bytes() for path in (tmp_path / RUN).iterdir() if path.is_file()]
    assert not any(token.encode() in content for content in files)
    assert token not in out + err
    assert url_of_the_next(shell) == token


def url_of_the_next(shell: Shell) -> str:
    """Return the token of the process that goes on with the run."""
    child = shell.start("resume", RUN, "--dashboard", FREE)
    assert child.stderr is not None
    token = url_in(child.stderr.readline()).split("/")[-2]
    child.send_signal(signal.SIGTERM)
    child.communicate(timeout=LIMIT_S)
    return token


@pytest.mark.e2e
def test_a_finished_run_is_played_and_nothing_is_written(finished: Shell) -> None:
    """The replay ends with the run's own counts, the report is there, the directory as it was."""
    folder = finished.folder / RUN
    before = {path.name: path.stat().st_mtime_ns for path in folder.iterdir()}
    summary = json.loads((folder / "summary.json").read_text())
    with looking(finished) as url:
        stream = Stream(url)
        hello = stream.until("hello")
        report = urllib.request.urlopen(f"{url}report.html", timeout=LIMIT_S).read()
        again = Stream(url)
        assert again.until("hello") == hello
        for each in (stream, again):
            each.close()

    last = hello["frames"][-1]
    assert hello["mode"] == "replay"
    assert [last[name] for name in ("succeeded", "failed")] == [
        summary["succeeded"],
        summary["failed"],
    ]
    assert last["errors"][0] == ["rejected", summary["failed"]]
    shown = read(report)
    assert "batcher report" in shown.text
    assert [e for e in shown.all("a") if not e.attributes["href"].startswith(("#", "http"))] == []
    ours = {"journal.db-shm", "journal.db-wal"}  # SQLite's own, of any reader
    after = {path.name: path.stat().st_mtime_ns for path in folder.iterdir()}
    assert {k: v for k, v in after.items() if k not in ours} == {
        k: v for k, v in before.items() if k not in ours
    }


@pytest.mark.e2e
def test_a_browser_is_opened_without_a_token_for_others_to_read(
    finished: Shell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What it is started with is the name of a private page, which leads on and is gone after."""
    fifo = tmp_path / "told"
    os.mkfifo(fifo)
    tell = f"printf '%s\\n' \"$0\" >{fifo}"
    monkeypatch.setenv("BROWSER", f"sh -c {shlex.quote(tell)} %s")
    with looking(finished, "--open") as url:
        given = fifo.read_text().strip()
        page = Path(given.removeprefix("file://"))
        assert url.split("/")[-2] not in given
        assert f"url={url}" in page.read_text()
        assert page.parent.stat().st_mode & 0o077 == 0

    assert not page.parent.exists()


@pytest.mark.e2e
@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed")
async def test_a_browser_plays_it(finished: Shell, tmp_path: Path) -> None:
    """The script runs, the policy refuses nothing of the page, and at the end it says the end."""
    assert CHROMIUM is not None
    switches = (
        *("--headless", "--disable-gpu", "--disable-quic", "--no-first-run", "--no-sandbox"),
        *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
        *("--enable-logging=stderr", f"--user-data-dir={tmp_path / 'profile'}", "--dump-dom"),
        *("--virtual-time-budget=2000", "--window-size=360,1500"),
    )
    directory, token = RunDirectory(finished.folder / RUN), Secret("ab" * 16, "test")
    follower = Follower(directory)
    follower.events.close()  # a stream that stays open would hold the browser's virtual time
    site = Site(page_of_run(directory.path, read_run_file(directory.run_file)[0]), follower.events)
    async with showing(FREE, token, site, "--listen") as address:
        with anyio.fail_after(LIMIT_S):
            done = await anyio.run_process(
                [CHROMIUM, *switches, f"{url_of(address, token)}#end"],
                env={"PATH": os.environ["PATH"], "HOME": str(tmp_path)},
            )

    assert b"CONSOLE" not in done.stderr, done.stderr.decode()
    summary = json.loads((finished.folder / RUN / "summary.json").read_text())
    shown = read(done.stdout)
    texts = {e.attributes["id"]: e.text for e in shown.elements if "id" in e.attributes}
    assert texts["sentence"].startswith(f"{summary['succeeded']} of 20 rows succeeded")
    assert texts["n-failed"] == str(summary["failed"])
    assert "rejected" in shown.text
    scrub = shown.one("input").attributes
    assert scrub["aria-valuetext"].endswith("20 of 20 rows have ended.")
    assert [e for e in shown.all("path") if e.attributes["class"] == "area s-flight"]


# --- Words ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "listen"),
    [
        ("9000", "127.0.0.1:9000"),
        ("0.0.0.0:9000", "0.0.0.0:9000"),
        ("[::1]:9000", "[::1]:9000"),
        ("auto", "auto"),
        (True, "auto"),
    ],
)
def test_where_it_listens(given: object, listen: str) -> None:
    """A port alone is this machine's; others must be named."""
    assert dashboard_address(given) == listen


@pytest.mark.parametrize("given", ["99999", "a b:1", "127.0.0.1:", "http://127.0.0.1:1/"])
def test_what_is_no_address(given: str) -> None:
    """It is refused before anything is made."""
    with pytest.raises(click.BadParameter, match="is no port"):
        dashboard_address(given)


def test_a_token_is_of_one_run_and_one_key(tmp_path: Path) -> None:
    """The same for each process of a run; another run's or key's is another; no key in it."""
    key = Secret(KEY, "test")
    token = token_of(key, tmp_path / "a").reveal()

    assert token == token_of(key, tmp_path / "a").reveal()
    assert token != token_of(key, tmp_path / "b").reveal()
    assert token != token_of(Secret(f"{KEY}2", "test"), tmp_path / "a").reveal()
    assert re.fullmatch(r"[0-9a-f]{32}", token)


def test_no_run_is_no_dashboard(tmp_path: Path) -> None:
    """One line, and exit code 2."""
    done = CliRunner().invoke(cli, ["dashboard", str(tmp_path)])
    assert done.exit_code == 2
    assert "is no run directory" in done.stderr
