"""Telling somebody that a run is over: bounded, without redirects, and the address stays secret."""

from __future__ import annotations

import json
import threading

import pytest

from batcher.adapters import notify
from batcher.adapters.notify import post, send_message
from batcher.core.secret import Secret
from tests.support.hostile import Peer, Script, hostile

CANARY = "t0ken-7c1e"
by_apprise = pytest.mark.filterwarnings("ignore::DeprecationWarning")  # those are its own


def answers(*statuses: int) -> Script:
    """Answer each request of a connection in turn."""

    def serve(peer: Peer) -> None:
        for status in statuses:
            peer.request()
            headers = ("Location: http://127.0.0.1:1/elsewhere",) if status == 302 else ()
            peer.answer(status, b"{}", "Connection: close", *headers)

    return serve


def silent(peer: Peer) -> None:
    """Take a request and never answer."""
    peer.request()
    peer.wait_gone()


def reset(peer: Peer) -> None:
    """Take a request and break the connection."""
    peer.request()
    peer.reset()


async def told(url: str, *, answer_s: float = 5.0) -> tuple[str | None, list[float]]:
    """Post to a server; return what went wrong, and the pauses between tries."""
    pauses: list[float] = []

    async def sleep(seconds: float) -> None:
        pauses.append(seconds)

    address = Secret(f"{url}/hook/{CANARY}?key={CANARY}", "--notify")
    problem = await post(address, b'{"a":1}', user_agent="b", sleep=sleep, answer_s=answer_s)
    assert CANARY not in str(problem)
    return problem, pauses


async def test_the_body_arrives_as_json() -> None:
    """One POST with the path and query of the address, and what was given as its body."""
    with hostile(answers(202)) as server:
        assert await told(server.url) == (None, [])

    (request,) = server.requests
    assert request.line == f"POST /hook/{CANARY}?key={CANARY} HTTP/1.1"
    assert request.headers["content-type"] == "application/json"
    assert json.loads(request.body) == {"a": 1}


@pytest.mark.parametrize(
    ("scripts", "problem", "tries"),
    [
        ([answers(503), answers(429), answers(200)], None, 3),
        ([answers(500)], "answered HTTP 500", 3),
        ([answers(404)], "answered HTTP 404", 1),
        ([answers(302)], "answered HTTP 302; redirects are not followed", 1),
        ([reset, answers(200)], None, 2),
    ],
)
async def test_it_is_tried_a_little(scripts: list[Script], problem: str | None, tries: int) -> None:
    """What may pass in a moment is tried three times in all; what will not is told at once."""
    with hostile(*scripts) as server:
        found, pauses = await told(server.url)

    assert found == problem
    assert len(server.requests) == tries
    assert pauses == [1.0, 3.0][: tries - 1]


async def test_silence_is_bounded() -> None:
    """A server that never answers is given up, and its address is in no message."""
    with hostile(silent) as server:
        found, _ = await told(server.url, answer_s=0.05)

    assert found == "no answer within 0.05 s"


async def test_nobody_there() -> None:
    """A port that nobody listens at is told without the address."""
    with hostile(answers(200)) as server:
        url = server.url

    found, pauses = await told(url)
    assert found is not None
    assert found.startswith("cannot be reached: ")
    assert len(pauses) == 2


@by_apprise
def test_a_message_by_apprise() -> None:
    """Any address that apprise knows is told by it."""
    pytest.importorskip("apprise")
    with hostile(answers(200)) as server:
        address = Secret(f"json://127.0.0.1:{server.port}/{CANARY}", "--notify")
        assert send_message(address, "title", "text") is None

    (request,) = server.requests
    assert json.loads(request.body).items() >= {"title": "title", "message": "text"}.items()


@by_apprise
def test_what_apprise_does_not_know_is_told_without_the_address() -> None:
    """A scheme that it has no plug-in for, and one whose server refuses."""
    pytest.importorskip("apprise")
    unknown = send_message(Secret(f"nonsense://{CANARY}", "x"), "t", "b")
    with hostile(answers(500)) as server:
        address = Secret(f"json://127.0.0.1:{server.port}/{CANARY}", "x")
        refused = send_message(address, "t", "b")

    assert unknown == "apprise does not know such an address"
    assert refused == "apprise could not send it"


def test_a_message_that_never_ends_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever a plug-in waits for, the process goes on."""
    over = threading.Event()
    monkeypatch.setattr(notify, "_message", lambda *_: over.wait())  # a plug-in that hangs
    try:
        assert send_message(Secret("x://y", "x"), "t", "b", 0.05) == "no answer within 0.05 s"
    finally:
        over.set()
