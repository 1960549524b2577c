"""The API key leaves by one way only: a header of requests to the configured origin.

A canary serves as the key. Whatever happens, it is in no file but its own, in nothing that is
printed, in no argument list, no environment that did not hold it, and at no other origin.
"""

from __future__ import annotations

import base64
import copy
import json
import pickle
import subprocess
import sys
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from signal import SIGKILL
from typing import Any
from urllib.parse import quote

import msgspec
import orjson
import pytest

from batcher.core.secret import Secret
from tests.e2e.test_webhooks import free_port
from tests.e2e.world import ROOT, World, environment, finish, wait_until, world
from tests.support.hostile import Peer, hostile

CANARY = "77|canary/0f5b1c2d9e"  # with characters that JSON and URLs write otherwise
CORE = CANARY.partition("canary")[2].strip("/")  # the part that all spellings but base64 share
ROWS = 24
NIGHT = (  # every fault but those that make a run wait
    "duration=0.3,drop_before=0.05,drop_after=0.1,garbled=0.05,html=0.5,rejected=0.2,partial=0.1,"
    "status_error=0.1,status_drop=0.05,status_garbled=0.05,unknown_word=0.1,hollow=0.1,"
    "url_expires_s=2,file_error=0.1,file_cut=0.1,hook_bad_signature=0.1,hook_garbled=0.1,500=0.05"
)
WORST = "hostile,duration=0.3,latency=0,lag=0.1,retry_after_s=0.1,hang=0,stuck=0,url_expires_s=2"
FLAGS = (
    *("--rate", "200/s", "--status-rate", "500/s", "--job-timeout", "4s", "--download"),
    *("--log-level", "debug", "--max-outage", "10s", "--submit-timeout", "3s"),
)
PICTURE = ROOT / "sample_manifests" / "images" / "disc-red.png"


def spellings() -> Iterator[bytes]:
    """Yield the canary as it could come to stand somewhere."""
    yield CORE.encode()
    for text in (CANARY, f"Bearer {CANARY}", f":{CANARY}", f"{CANARY}:"):
        yield base64.b64encode(text.encode()).rstrip(b"=")[4:-4]

    yield CANARY.encode().hex().encode()


def assert_clean(what: str, content: bytes) -> None:
    """The canary is not in it, however spelled."""
    for spelling in spellings():
        assert spelling not in content, f"{what} has the key in it"


def assert_clean_folder(folder: Path, key_file: Path) -> None:
    """The canary is in no file below a folder but its own, and in no name."""
    for path in folder.rglob("*"):
        assert_clean(f"the name {path}", str(path).encode())
        if path.is_file() and path != key_file:
            assert_clean(str(path), path.read_bytes())


def looked_at(process: subprocess.Popen[str], *, environ: bool = True) -> None:
    """What other users, or whoever lists processes, can see of one holds no key."""
    for name in ("cmdline", *(["environ"] if environ else [])):
        try:
            content = Path(f"/proc/{process.pid}/{name}").read_bytes()
        except OSError:
            return  # it has ended, or there is no /proc

        assert_clean(f"/proc/PID/{name}", content)


def key_file_of(folder: Path) -> Path:
    """Write the canary into a private file."""
    path = folder / "key"
    path.touch(mode=0o600)
    path.write_text(CANARY)
    return path


def write_rows(here: World, port: int) -> tuple[str, ...]:
    """Write rows of the API; return what the command needs for them."""
    if here.api == "removit":
        here.write_urls(ROWS)
        return ()

    for n in range(ROWS):
        (here.folder / f"{n}.png").write_bytes(PICTURE.read_bytes() + n.to_bytes(4, "big"))

    rows = ({"id": f"sku-{n}", "file": f"{n}.png"} for n in range(ROWS))
    here.manifest.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return (
        *("--set", "task=background-removals", "--set", "tier=premium"),
        *("--webhook-listen", f"127.0.0.1:{port}", "--webhook-url", "https://hooks.example/b"),
        *("--claim-wait", "1s"),
    )


@pytest.mark.e2e
@pytest.mark.parametrize(
    "faults",
    [NIGHT, pytest.param(WORST, marks=[pytest.mark.soak, pytest.mark.timeout(600)])],
    ids=["night", "worst"],
)
@pytest.mark.parametrize("api", ["removit", "deapi"])
def test_the_key_leaves_by_no_other_way(api: str, faults: str, tmp_path: Path) -> None:
    """Each fault, a kill, a resume, and every command that looks: the canary shows nowhere."""
    key_file = key_file_of(tmp_path)
    port = free_port()
    via = () if api == "removit" else ("--webhook-via", f"http://127.0.0.1:{port}")
    with world(tmp_path, api=api, faults=faults, key=CANARY, words=via) as here:
        flags = (*FLAGS, *write_rows(here, port), "--api-key-file", str(key_file))
        first = here.start(*here.command(*flags, "--json"), key=None)
        wait_until(
            lambda: first.poll() is not None or here.counts()["submits"] >= ROWS // 3, "submits"
        )
        looked_at(first)
        first.send_signal(SIGKILL)
        said = [finish(first)]

        again = here.start(*here.command(*flags, "--json"), key=None)
        looked_at(again)
        said.append(finish(again))
        assert said[-1].returncode in (0, 3, 4), said[-1].stderr

        run, manifest = str(here.run), str(here.manifest)
        provider = ("--provider", api, "--base-url", here.url, "--api-key-file", str(key_file))
        looks = (
            *(("status", run), ("status", run, "--json"), ("doubt", "list", run)),
            *(("refunds", run), ("providers", api), ("retry", run, "--api-key-file", key_file)),
            ("check", manifest, *provider, *flags_of(api), "--preflight"),
            ("run", manifest, *provider, *flags_of(api), "--dry-run"),
        )
        said += [here.batcher(*map(str, words), key=None) for words in looks]

        for ended in said:
            assert "a bug in batcher" not in ended.stderr, ended.stderr
            assert_clean("standard output", ended.stdout.encode())
            assert_clean("standard error", ended.stderr.encode())

        assert_clean_folder(tmp_path, key_file)
        assert here.counts()["submits"] >= ROWS // 2, "there was nothing to look at"
        assert here.counts().get("leaked keys", 0) == 0


def flags_of(api: str) -> tuple[str, ...]:
    """Return what the other commands need to know of the rows."""
    return () if api == "removit" else ("--set", "task=background-removals")


@pytest.mark.e2e
def test_a_key_in_the_environment_gets_into_no_argument_list(tmp_path: Path) -> None:
    """The variable is the user's choice; from there the key goes into no process's arguments."""
    with world(tmp_path, faults="duration=0.3", key=CANARY) as here:
        here.write_urls(20)
        process = here.start(*here.command("--log-level", "debug", "--json"), key=CANARY)
        wait_until(lambda: process.poll() is not None or here.counts()["submits"] > 2, "submits")
        looked_at(process, environ=False)
        ended = finish(process)
        assert ended.returncode == 0, ended.stderr
        assert_clean("what it said", (ended.stdout + ended.stderr).encode())
        assert_clean_folder(here.run, tmp_path / "none")


def echo(peer: Peer) -> None:
    """Answer like an API that says everything back: in texts, in names, in headers."""
    key = peer.request().headers["x-api-key"]
    bars = quote(key, safe="")
    said = {"message": f"{key} is bad", "code": key, "errors": {key: [bars]}}
    body = json.dumps(said).replace("/", "\\/")
    peer.answer(
        422,
        body.encode(),
        f"X-Request-Id: {key}",
        f"Location: https://other.example/?key={bars}",
        "Connection: close",
    )


@pytest.mark.e2e
def test_an_api_that_says_the_key_back_brings_it_nowhere(tmp_path: Path) -> None:
    """Records, journal, log and screen show what the API said, without the key in it."""
    key_file = key_file_of(tmp_path)
    with hostile(echo) as server:
        here = World(tmp_path, "removit", server.url)
        here.write_urls(5)
        flags = ("--api-key-file", str(key_file), "--log-level", "debug", "--json")
        ended = here.batcher(*here.command(*flags), key=None)

    assert len(here.records("failed")) == 5, ended.stderr
    assert all(request.headers["x-api-key"] == CANARY for request in server.requests)
    assert_clean("what it said", (ended.stdout + ended.stderr).encode())
    assert_clean_folder(tmp_path, key_file)


# A bug of the worst kind: an exception whose text is made of the request's headers.
BUG = """
from batcher.adapters.http import HttpTransport

async def send(self, request, *, timeout_s):
    headers = {"X-API-Key": self._key().reveal()}
    raise RuntimeError(f"cannot send {headers}")

HttpTransport.send = send
from batcher.cli.app import main
main()
"""


@pytest.mark.e2e
@pytest.mark.parametrize("source", ["file", "environment"])
@pytest.mark.parametrize("command", ["run", "check"])
def test_a_traceback_tells_no_key(command: str, source: str, tmp_path: Path) -> None:
    """Even where a bug puts the key into an error's text, what is told of the bug is without it."""
    key_file = key_file_of(tmp_path)
    manifest = tmp_path / "rows.jsonl"
    manifest.write_text('{"id":"a","prompt":"x","model":"m","width":512,"height":512}\n')
    words = [
        *(command, str(manifest), "--provider", "deapi", "--base-url", "http://127.0.0.1:9"),
        *("--set", "task=generations", "--set", "steps=4", "--set", "seed=1"),
        *(["--preflight"] if command == "check" else ["--run-dir", str(tmp_path / "run")]),
        *(["--api-key-file", str(key_file)] if source == "file" else []),
    ]
    ended = subprocess.run(
        [sys.executable, "-c", BUG, *words],
        env=environment("deapi", CANARY if source == "environment" else None),
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert "cannot send" in ended.stderr, ended.stderr
    assert ended.returncode == 1
    assert_clean("the traceback", (ended.stdout + ended.stderr).encode())
    assert_clean_folder(tmp_path, key_file)


WAYS_OUT: dict[str, Callable[[Secret], Any]] = {
    "repr": repr,
    "str": str,
    "format": lambda secret: f"{secret} {secret!r} {secret:>40}",
    "percent": lambda secret: "%s %r" % (secret, secret),  # noqa: UP031  the way itself is tested
    "in a list": lambda secret: str([secret, {"key": secret}]),
    "dir": lambda secret: [
        getattr(secret, name)
        for name in vars(type(secret))
        if name != "reveal"
        and not name.startswith("_Secret")
        and not callable(getattr(secret, name))
    ],
    "json": json.dumps,
    "orjson": orjson.dumps,
    "msgspec": msgspec.json.encode,
    "pickle": pickle.dumps,
    "copy": copy.copy,
    "deep copy": copy.deepcopy,
    "vars": vars,
}


@pytest.mark.parametrize("way", WAYS_OUT)
def test_a_secret_does_not_come_out(way: str) -> None:
    """Printed, formatted, encoded, copied: a secret shows three stars, or refuses."""
    try:
        found = WAYS_OUT[way](Secret(CANARY, "A_KEY"))
    except TypeError as error:
        found = error

    assert_clean(way, str(found).encode())


def test_a_traceback_with_locals_shows_no_secret() -> None:
    """Tools that print local variables print three stars."""
    secret = Secret(CANARY, "A_KEY")
    try:
        raise ValueError(secret)
    except ValueError as error:
        told = traceback.TracebackException.from_exception(error, capture_locals=True)

    text = "".join(told.format())
    assert "***" in text
    assert_clean("the traceback", text.encode())


def test_the_search_finds_what_it_looks_for(tmp_path: Path) -> None:
    """The control: a key in a file, in whichever spelling, fails the test."""
    key_file = key_file_of(tmp_path)
    assert_clean_folder(tmp_path, key_file)
    for text in (CANARY, quote(CANARY, safe=""), json.dumps(CANARY), CANARY.encode().hex()):
        (tmp_path / "log").write_text(f"x{text}x")
        with pytest.raises(AssertionError, match="log"):
            assert_clean_folder(tmp_path, key_file)

    (tmp_path / "log").write_bytes(base64.b64encode(f"Bearer {CANARY}".encode()))
    with pytest.raises(AssertionError, match="log"):
        assert_clean_folder(tmp_path, key_file)
