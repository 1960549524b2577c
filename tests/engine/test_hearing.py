"""Hearing: the settings of a run bring up a receiver, and deAPI's own calls are heard by it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import orjson
import pytest

from batcher.adapters.sqlite import SqliteJournal
from batcher.core.errors import UsageError
from batcher.core.model import Row, Ticket
from batcher.core.secret import Secret
from batcher.core.settings import Settings
from batcher.engine.clock import Clock
from batcher.engine.keyring import Keyring
from batcher.engine.notices import Notices
from batcher.engine.webhooks.claims import Claims
from batcher.engine.webhooks.hearing import hearing
from batcher.providers import provider_named
from batcher.providers.deapi.calls import signed
from tests.support.logs import Events

BOTH = {"webhook_listen": "127.0.0.1:0", "webhook_url": "https://hooks.example/b"}


@asynccontextmanager
async def heard(
    folder: Path, provider: str, settings: Mapping[str, Any]
) -> AsyncIterator[tuple[Claims, Events]]:
    """Let a run of *provider* hear calls, as far as its settings go."""
    log = Events()
    journal = SqliteJournal.open(folder / "journal.db", durable=False)
    try:
        journal.claim(0.0)
        async with hearing(
            provider_named(provider, {}),
            journal,
            Keyring(Secret("test-key", "the test")),
            Settings(**settings),
            make_id=lambda: "a run",
            log=log,
            notices=Notices(log),
        ) as claims:
            yield claims, log
    finally:
        journal.close()


def address_in(log: Events) -> int:
    """Return the port that the run listens at."""
    (told,) = [values for _, name, values in log.seen if name == "webhook.listening"]
    return int(str(told["address"]).rpartition(":")[2])


async def posted(port: int, path: str, headers: Mapping[str, str], body: bytes) -> int:
    """Post to this machine and return the status."""
    lines = [f"POST {path} HTTP/1.1", "Host: x", f"Content-Length: {len(body)}"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    async with await anyio.connect_tcp("127.0.0.1", port) as stream:
        await stream.send("\r\n".join([*lines, "", ""]).encode() + body)
        return int((await stream.receive()).split(b" ", 2)[1])


def content(folder: Path) -> bytes:
    """Return everything that is kept."""
    return b"".join(path.read_bytes() for path in folder.iterdir())


async def test_a_call_as_deapi_makes_it_is_heard(tmp_path: Path) -> None:
    """Signed over time and raw body, slashes escaped; the proxy may change the prefix."""
    async with heard(tmp_path, "deapi", BOTH) as (claims, log):
        ticket = Ticket(Row(1, "sku", 1, b"{}"), generation=1, job_id="868543c4")
        claims.expect(ticket)
        claims.settled(ticket)
        claims.follow(ticket)
        callback = claims.callback(1, 1)
        assert callback is not None
        data = {"job_request_id": "868543c4", "status": "done", "result_url": "https://x/y.png"}
        call = {"event": "job.completed", "delivery_id": "9633a858", "data": data}
        body = orjson.dumps(call).replace(b"/", b"\\/")
        at = str(int(Clock().wall()))
        headers = {
            "User-Agent": "DeAPI-Webhook/1.0",
            "X-DeAPI-Event": "job.completed",
            "X-DeAPI-Delivery-Id": "9633a858",
            "X-DeAPI-Timestamp": at,
            "X-DeAPI-Signature": signed(callback.secret.reveal(), at, body).decode(),
        }
        path = callback.url.removeprefix("https://hooks.example")
        port = address_in(log)
        assert await posted(port, path, headers, body) == 200
        assert await posted(port, "/other" + path, headers, body) == 200
        assert await posted(port, path, headers, body + b" ") == 401
        assert await posted(port, path, {**headers, "X-DeAPI-Signature": ""}, body) == 401
        assert await posted(port, path[:-1], headers, body) == 404


async def test_without_the_flags_nobody_listens(tmp_path: Path) -> None:
    """A run without webhooks opens no port and claims nothing."""
    async with heard(tmp_path, "deapi", {}) as (claims, log):
        assert type(claims) is Claims
        assert log.seen == []


async def test_an_api_that_makes_no_calls_is_refused(tmp_path: Path) -> None:
    """Nobody would ever call."""
    with pytest.raises(UsageError, match="Removit makes no calls"):
        async with heard(tmp_path, "removit", BOTH):
            pass


async def test_no_secret_is_kept(tmp_path: Path) -> None:
    """What a run must know to hear calls again is its own identity, and nothing that signs."""
    async with heard(tmp_path, "deapi", BOTH) as (claims, log):
        first = claims.callback(1, 1)
        assert first is not None

    files = content(tmp_path)
    assert b"a run" in files
    assert first.secret.reveal().encode() not in files
    assert b"test-key" not in files
    assert first.secret.reveal() not in str(log.seen)
    async with heard(tmp_path, "deapi", BOTH) as (claims, _):
        again = claims.callback(1, 1)
        assert again is not None
        assert (again.url, again.secret.reveal()) == (first.url, first.secret.reveal())
