"""TLS is verified: who is not the one that was called hears nothing, and no row is in doubt for it.

Real sockets and real certificates, of an authority that the client is told to trust.
"""

from __future__ import annotations

import datetime
import json
import ssl
import subprocess
import sys
import warnings
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import pytest
import trustme

from tests.e2e.world import ROOT, World, environment
from tests.support.hostile import Hostile, Peer, hostile

pytestmark = pytest.mark.e2e

DAY = datetime.timedelta(days=1)
YESTERDAY = datetime.datetime.now(datetime.UTC) - DAY
TOMORROW = YESTERDAY + 2 * DAY
AUTHORITY, STRANGER = trustme.CA(), trustme.CA()


def context(
    authority: trustme.CA,
    *names: str,
    until: datetime.datetime | None = None,
    since: datetime.datetime | None = None,
) -> ssl.SSLContext:
    """Return a server's TLS with a certificate for *names*."""
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(*names, not_after=until, not_before=since).configure_cert(made)
    return made


def old_protocol() -> ssl.SSLContext:
    """Return a server's TLS that speaks nothing newer than 1.1 (RFC 8996 forbids it)."""
    made = context(AUTHORITY, "localhost", "127.0.0.1")
    made.set_ciphers("ALL:@SECLEVEL=0")
    with warnings.catch_warnings(action="ignore", category=DeprecationWarning):
        made.minimum_version = ssl.TLSVersion.TLSv1
        made.maximum_version = ssl.TLSVersion.TLSv1_1

    return made


def named_in_subject() -> ssl.SSLContext:
    """Return a server's TLS whose name stands where nobody may look any more (RFC 9525, 2)."""
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    AUTHORITY.issue_cert("other.example", common_name="localhost").configure_cert(made)
    return made


def served(peer: Peer) -> None:
    """Answer a submit with a job, and everything else with a small file."""
    request = peer.request()
    is_submit = request.line.startswith("POST")
    peer.answer(202 if is_submit else 200, b'{"job_id":"1"}' if is_submit else b"hello")


def in_clear(peer: Peer) -> None:
    """Speak plain HTTP at a port where TLS is expected; what comes must not be a request."""
    begun = peer.socket.recv(65_536)
    assert b"canary" not in begun
    assert b"HTTP" not in begun
    peer.answer(202, b'{"job_id":"1"}')


LIARS: dict[str, Callable[[], Hostile]] = {
    "another host's certificate": lambda: at(context(AUTHORITY, "other.example")),
    "a name in the subject only": lambda: at(named_in_subject()),
    "a certificate for a part of the name": lambda: at(context(AUTHORITY, "*.localhost")),
    "an expired certificate": lambda: at(
        context(AUTHORITY, "localhost", since=YESTERDAY - DAY, until=YESTERDAY)
    ),
    "a certificate of tomorrow": lambda: at(
        context(AUTHORITY, "localhost", since=TOMORROW, until=TOMORROW + DAY)
    ),
    "an authority that nobody trusts": lambda: at(context(STRANGER, "localhost")),
    "an old protocol": lambda: at(old_protocol()),
    "plain http": lambda: hostile(in_clear),
}


def at(tls: ssl.SSLContext) -> Hostile:
    """Return a server that would answer everything."""
    return hostile(served, tls=tls)


def test_only_a_proven_server_hears_anything(tmp_path: Path) -> None:
    """Each false certificate is refused before a byte of a request leaves; a right one is not."""
    with ExitStack() as stack:
        good = stack.enter_context(at(context(AUTHORITY, "localhost")))
        liars = {name: stack.enter_context(make()) for name, make in LIARS.items()}
        by_address = stack.enter_context(at(context(AUTHORITY, "localhost")))
        liars["a name's certificate at an address"] = by_address
        urls = [f"https://localhost:{server.port}" for server in (good, *liars.values())]
        urls[-1] = f"https://127.0.0.1:{by_address.port}"
        found = asked(tmp_path, *urls)

    assert found[0] == [["answer", "202"], ["file", "a.txt"]], "the control: trust works at all"
    assert len(good.requests) == 2
    for (name, server), (submit, download) in zip(liars.items(), found[1:], strict=True):
        assert submit[0] == "NotSent", f"{name}: {submit}"
        assert download[0] == "DownloadFailed", f"{name}: {download}"
        assert server.connections, f"{name}: it was not even tried"
        assert server.requests == [], f"{name}: it heard a request"
        assert "canary" not in submit[1] + download[1]


def test_a_run_against_a_false_server_sends_nothing(tmp_path: Path) -> None:
    """The run stops and says why; its rows are pending, and no row is in doubt."""
    with at(context(AUTHORITY, "other.example")) as server:
        here = World(tmp_path, "removit", f"https://localhost:{server.port}")
        here.write_urls(3)
        flags = ("--max-outage", "1s", "--download", "--log-level", "debug")
        ended = subprocess.run(
            [sys.executable, "-m", "batcher", *here.command(*flags)],
            env={**environment("removit", "canary-key"), **trusting(tmp_path)},
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=60,
        )

    assert ended.returncode == 4, ended.stderr
    assert "certificate" in ended.stderr
    assert server.connections
    assert server.requests == []
    summary = json.loads((here.run / "summary.json").read_text())
    assert (summary["pending"], summary["in_doubt"], summary["jobs_accepted"]) == (3, 0, 0)


def asked(folder: Path, *urls: str) -> list[list[list[str]]]:
    """Return what became of a submit and a download at each URL."""
    ended = subprocess.run(
        [sys.executable, "-m", "tests.proofs.tls_client", *urls],
        env={**environment("removit", None), **trusting(folder)},
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert ended.returncode == 0, ended.stderr
    return [json.loads(line) for line in ended.stdout.splitlines()]


def trusting(folder: Path) -> dict[str, str]:
    """Return the environment that makes a process trust our authority, and no other."""
    path = folder / "authority.pem"
    AUTHORITY.cert_pem.write_to_path(str(path))
    return {"SSL_CERT_FILE": str(path), "SSL_CERT_DIR": str(folder / "none")}
