"""`batcher doctor`: what would keep a run from working is bad, and it spends and keeps nothing."""

from __future__ import annotations

import json
import resource
import time
import tomllib
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from batcher.adapters.reach import Reached
from batcher.adapters.sqlite.fitness import has_wal_reset_bug
from batcher.cli.app import cli
from batcher.cli.commands.doctor import machine
from batcher.cli.commands.doctor.api import judged, skew
from batcher.cli.commands.doctor.findings import Finding
from batcher.core.model import ErrorKind, RowError
from batcher.core.secret import Secret
from batcher.core.verdict import Balance, Missing, Unreadable
from batcher.providers import provider_named
from tests.cli.processes import ROOT
from tests.support.hostile import Peer, hostile

GOOD, WRONG = "g00d-key-of-the-test", "wr0ng-key-of-the-test"
KEY = Secret("k3y-of-the-test", "DEAPI_API_KEY")


def test_this_machine_is_looked_at_and_nothing_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every line has a state; the folder is as it was; without --provider nobody is asked."""
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(cli, ["doctor", "--json"])

    found = [Finding(**one) for one in json.loads(done.stdout)]
    assert done.exit_code == (2 if any(one.state == "bad" for one in found) else 0)
    assert {
        "batcher",
        "packages",
        "SQLite",
        "open files",
        "disk room",
        "writing",
        "clock",
        "key",
    } <= {one.name for one in found}
    assert all(one.mend for one in found if one.state != "ok")
    assert list(tmp_path.iterdir()) == []


def removit(peer: Peer) -> None:
    """Take one request as Removit does, with a clock of 1994."""
    request = peer.head()
    told = "Connection: close", "Date: Sun, 06 Nov 1994 08:49:37 GMT"
    if request.line.startswith("HEAD"):
        peer.answer(404, b"", *told)
    elif request.headers["x-api-key"] == WRONG:
        peer.answer(401, b'{"error":"unauthorized","message":"API key invalid"}', *told)
    else:
        peer.answer(404, b'{"error":"not_found","message":"no such job"}', *told)


def asked(url: str, key: str | None, monkeypatch: pytest.MonkeyPatch, *words: str) -> Result:
    """Look at an API with a key, or none."""
    monkeypatch.delenv("REMOVIT_API_KEY", raising=False)
    if key is not None:
        monkeypatch.setenv("REMOVIT_API_KEY", key)

    words = ("--provider", "removit", "--base-url", url, *words)
    done = CliRunner().invoke(cli, ["doctor", *words])
    assert not any(secret in done.output for secret in (GOOD, WRONG))
    return done


def test_an_api_is_reached_and_its_key_judged(monkeypatch: pytest.MonkeyPatch) -> None:
    """A good key is ok, a wrong one and none are bad with 2; nothing is ever asked that costs."""
    with hostile(removit) as server:
        good = asked(server.url, GOOD, monkeypatch)
        wrong = asked(server.url, WRONG, monkeypatch)
        none = asked(server.url, None, monkeypatch)

    assert (good.exit_code, wrong.exit_code, none.exit_code) == (0, 2, 2), good.output
    assert "the key works" in good.output
    assert "ahead of the API's clock" in good.output
    assert "the API does not take the key: 401" in wrong.output
    assert "no API key: set REMOVIT_API_KEY" in none.output
    lines = [request.line.split()[0] for request in server.requests]
    assert lines == ["HEAD", "GET", "HEAD", "GET", "HEAD"]
    assert not any("x-api-key" in one.headers for one in server.requests if "HEAD" in one.line)


def test_an_api_that_is_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """2, with why; and a key file that others can read is told as `run` would tell it."""
    (tmp_path / "key").write_text(GOOD)
    (tmp_path / "key").chmod(0o640)
    with hostile(removit) as server:
        url = server.url

    done = asked(url, None, monkeypatch, "--api-key-file", str(tmp_path / "key"))

    assert done.exit_code == 2
    assert f"{url} cannot be reached" in done.output
    assert "others can read this API key; `chmod 600` it" in done.output


@pytest.mark.parametrize(
    ("verdict", "state", "told"),
    [
        (Balance(19.72), "ok", "the balance is 19.72 USD"),
        (Balance(0.0), "warn", "the balance is 0"),
        (Missing(RowError(ErrorKind.NOT_FOUND, "no")), "ok", "the key works"),
        (
            Unreadable(RowError(ErrorKind.UNAUTHORIZED, "no", http_status=401)),
            "bad",
            "does not take the key",
        ),
        (
            Unreadable(RowError(ErrorKind.FORBIDDEN, "no", http_status=403)),
            "warn",
            "may not ask",
        ),
        (
            Unreadable(RowError(ErrorKind.PROTOCOL, "no", http_status=502)),
            "warn",
            "nothing was learned",
        ),
    ],
)
def test_what_an_answer_shows_of_the_key(verdict: object, state: str, told: str) -> None:
    """Only a key that is refused is bad; what could not be learned is not the key's fault."""
    found = judged(provider_named("deapi", {}), KEY, verdict)

    assert (found.state, told in found.text) == (state, True), found


@pytest.mark.parametrize(
    ("date", "state"), [(None, "ok"), (1_000.0, "ok"), (960.0, "warn"), (1_040.0, "warn")]
)
def test_clocks_that_differ(date: float | None, state: str) -> None:
    """Half a minute is warned of, in either direction."""
    assert skew(Reached(date=date), 1_000.0).state == state


@pytest.mark.parametrize(
    ("limit", "state"),
    [(resource.RLIM_INFINITY, "ok"), (4_096, "ok"), (320, "ok"), (319, "warn"), (95, "bad")],
)
def test_open_files(limit: int, state: str) -> None:
    """Enough for any --connections, for the usual ones, or for none."""
    assert machine.open_files(limit).state == state


@pytest.mark.parametrize(
    ("found", "state"),
    [(None, "ok"), (("/", 10**10), "ok"), (("/", 900_000_000), "warn"), (("/", 10**8), "bad")],
)
def test_room_on_the_disk(found: tuple[str, int] | None, state: str) -> None:
    """With less than --min-free a run would wait at once."""
    assert machine.disk_room(found, 256_000_000).state == state


@pytest.mark.parametrize(
    ("kind", "state"), [("ext4", "ok"), ("nfs4", "bad"), ("fuse.sshfs", "bad"), ("fuseblk", "ok")]
)
def test_a_network_file_system_is_bad(kind: str, state: str, tmp_path: Path) -> None:
    """As `run` would refuse it."""
    table = tmp_path / "mounts"
    table.write_text(f"1 0 0:1 / / rw - {kind} dev rw\n")

    assert machine.file_system(tmp_path, table).state == state
    assert machine.file_system(tmp_path, tmp_path / "none").state == "ok"


def test_a_folder_that_cannot_be_written_is_bad() -> None:
    """It is tried, not guessed."""
    assert machine.writing(Path("/proc")).state == "bad"


@pytest.mark.parametrize(
    ("versions", "state"),
    [
        ({}, "ok"),
        ({"aiohttp": "3.14.2"}, "bad"),
        ({"aiohttp": "3.14.10"}, "ok"),
        ({"aiohttp": "3.15.0"}, "bad"),  # too new counts too
        ({"orjson": None}, "bad"),
        ({"anyio": "5.0rc1"}, "ok"),
    ],
)
def test_libraries(versions: dict[str, str | None], state: str) -> None:
    """One that is missing or too old is bad, and named."""
    found = machine.packages({**machine.PACKAGES, **versions}.get)

    assert found.state == state
    assert all(name in found.text for name in versions)


def test_what_is_needed_is_what_pyproject_says() -> None:
    """The table of the doctor and that of the package are one."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    needed = dict(text.split(">=", 1) for text in project["dependencies"])

    assert needed == machine.PACKAGES
    assert set(machine.EXTRAS) <= set(project["optional-dependencies"])


def test_a_clock_that_was_never_set_is_bad() -> None:
    """TLS fails with it, and every time in the records is wrong."""
    assert machine.clock(86_400.0, time.gmtime(86_400)).state == "bad"
    assert machine.clock(1_800_000_000.0, time.gmtime(1_800_000_000)).state == "ok"


@pytest.mark.parametrize(
    ("version", "has_bug"),
    [
        ((3, 40, 1), True),
        ((3, 44, 5), True),
        ((3, 44, 6), False),
        ((3, 50, 6), True),
        ((3, 50, 7), False),
        ((3, 51, 2), True),
        ((3, 51, 3), False),
        ((3, 54, 1), False),
    ],
)
def test_versions_of_sqlite(version: tuple[int, int, int], has_bug: bool) -> None:
    """Those with the WAL-reset bug are known, and the branches in which it was mended."""
    assert has_wal_reset_bug(version) is has_bug


def test_whose_key_must_be_said() -> None:
    """--base-url without --provider is a mistake, and gets one line."""
    done = CliRunner().invoke(cli, ["doctor", "--base-url", "https://a.example"])

    assert (done.exit_code, done.stderr.count("\n")) == (2, 1)
