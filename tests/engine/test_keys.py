"""A refused key: its source is read once more, and a run goes on, or says whose key it was."""

from __future__ import annotations

from pathlib import Path

import anyio
import pytest

from batcher.core.errors import UsageError
from batcher.core.exchange import Request, Response, Transport
from batcher.core.model import ErrorKind, RowError, StopReason
from batcher.core.secret import Secret
from batcher.core.verdict import Halt
from batcher.engine.keyring import ACCOUNT, Keyring
from tests.engine.harness import FLUX, Night, prompt

pytestmark = pytest.mark.virtual

OLD, NEW = Secret("old-key-1", "/etc/key"), Secret("new-key-2", "/etc/key")
REFUSED = Response(401, b'{"error":"unauthorized","message":"API key invalid"}')
FORBIDDEN = Response(403, b"<html><title>error 1010</title></html>")


class Source:
    """Where a key comes from; `key` is what stands there now."""

    def __init__(self, key: Secret | UsageError) -> None:
        self.key = key
        self.reads = 0

    def __call__(self) -> Secret:
        """Read it."""
        self.reads += 1
        if isinstance(self.key, UsageError):
            raise self.key

        return self.key


class Guarded:
    """A transport that refuses requests with another key than the good one."""

    def __init__(self, inner: Transport, ring: Keyring, good: Secret, refusal: Response) -> None:
        self.refused = 0
        self.good = good
        self._inner = inner
        self._ring = ring
        self._refusal = refusal

    async def send(self, request: Request, *, timeout_s: float) -> Response:
        """Look at the key as the request leaves; the answer takes a while."""
        key = self._ring.key
        await anyio.sleep(0.2)
        if key.reveal() != self.good.reveal():
            self.refused += 1
            return self._refusal

        return await self._inner.send(request, timeout_s=timeout_s)


def guarded(
    night: Night, source: Source, good: Secret = NEW, refusal: Response = REFUSED
) -> tuple[Keyring, Guarded]:
    """Give a night a key and an API that takes only the good one."""
    ring = Keyring(OLD, source)
    night.more = {"keyring": ring}
    night.transport = guard = Guarded(night.transport, ring, good, refusal)
    return ring, guard


# HAPPY PATH


@pytest.mark.parametrize("refusal", [REFUSED, FORBIDDEN], ids=["401", "403"])
async def test_a_replaced_key_is_taken_up(refusal: Response, tmp_path: Path) -> None:
    """Many submits are refused at once; the file is read and told once, no attempt is spent."""
    night = Night(tmp_path, settings={"max_attempts": 1})
    night.write_urls(60)
    source = Source(NEW)
    ring, guard = guarded(night, source, refusal=refusal)
    stop = await night.process()

    assert stop is None
    assert night.counts() == {"succeeded": 60}
    assert 1 < guard.refused <= 32
    assert (source.reads, ring.turn) == (1, 1)
    notices = [v["message"] for _, name, v in night.log.seen if name == "key.replaced"]
    assert notices == ["the key in /etc/key was replaced; going on with the new one"]
    with night.books() as (journal, _):
        assert journal.fact(ACCOUNT) == NEW.fingerprint("http://127.0.0.1")


async def test_one_row_tries_the_new_key_first(tmp_path: Path) -> None:
    """The new key may be as dead as the old one: one request finds out, not a lane full."""
    night = Night(tmp_path, settings={"connections": 32})
    night.write_urls(100)
    source = Source(NEW)
    _, guard = guarded(night, source, good=Secret("third", "/etc/key"))
    stop = await night.process()

    assert stop is not None
    assert source.reads == 2
    assert guard.refused <= 16 + 1


async def test_a_key_may_be_replaced_more_than_once(tmp_path: Path) -> None:
    """A file that is rotated every night is read anew with every death of its key."""
    night = Night(tmp_path, faults="latency=1,duration=10", settings={"rate": "1/s"})
    night.write_urls(30)
    source = Source(NEW)
    ring, guard = guarded(night, source)

    async def rotate(run: object) -> None:
        await anyio.sleep(15)
        source.key = guard.good = Secret("third", "/etc/key")

    assert await night.process(rotate) is None
    assert ring.turn == 2
    assert night.counts() == {"succeeded": 30}


async def test_status_reads_go_on_with_the_new_key_too(tmp_path: Path) -> None:
    """All rows are submitted when the key dies: the polls take the new one."""
    night = Night(tmp_path, faults="duration=30")
    night.write_urls(10)
    source = Source(NEW)
    _, guard = guarded(night, source, good=OLD)

    async def die(run: object) -> None:
        await anyio.sleep(20)
        guard.good = NEW

    assert await night.process(die) is None
    assert source.reads == 1
    assert night.counts() == {"succeeded": 10}
    night.assert_no_row_paid_twice()


async def test_a_question_for_a_price_takes_the_new_key_too(tmp_path: Path) -> None:
    """Under a cap nothing is submitted before it: it is the first to find the key dead."""
    night = Night(tmp_path, provider="deapi", params=FLUX, settings={"max_cost": 1.0})
    night.write_rows([prompt(n, 256 + 128 * (n % 4)) for n in range(12)])
    source = Source(NEW)
    ring, _ = guarded(night, source)

    assert await night.process() is None
    assert (source.reads, ring.turn) == (1, 1)
    assert night.counts() == {"succeeded": 12}


# SAD PATH


@pytest.mark.parametrize("refusal", [REFUSED, FORBIDDEN], ids=["401", "403"])
async def test_prices_that_are_refused_name_the_credential(
    refusal: Response, tmp_path: Path
) -> None:
    """It is no outage: the run ends at once, says whose key to replace, and has spent nothing."""
    night = Night(tmp_path, provider="deapi", params=FLUX, settings={"max_cost": 1.0})
    night.write_rows([prompt(n, 256 + 128 * (n % 4)) for n in range(12)])
    source = Source(OLD)
    _, guard = guarded(night, source, refusal=refusal)
    stop = await night.process()

    assert stop is not None
    assert stop.reason in (StopReason.UNAUTHORIZED, StopReason.FORBIDDEN)
    assert stop.message.startswith("the key in /etc/key: ")
    assert stop.message.endswith("; without prices --max-cost cannot be kept")
    assert source.reads == 1
    assert guard.refused <= 4
    assert night.counters()["pending"] == 12


async def test_the_stop_names_the_credential_and_what_the_api_said(tmp_path: Path) -> None:
    """The same key is still there: the run halts, and says whose key to replace."""
    night = Night(tmp_path)
    night.write_urls(50)
    source = Source(OLD)
    guarded(night, source)
    stop = await night.process()

    assert stop is not None
    assert stop.reason is StopReason.UNAUTHORIZED
    assert stop.message == "the key in /etc/key: API key invalid"
    assert source.reads == 1
    assert night.counters()["pending"] == 50


async def test_a_source_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    """A file that is gone, or open to others, is the reason why the run could not go on."""
    night = Night(tmp_path)
    night.write_urls(5)
    guarded(night, Source(UsageError("/etc/key: others can read this API key")))
    stop = await night.process()

    assert stop is not None
    assert stop.message == (
        "the key in /etc/key: API key invalid; read again: /etc/key: others can read this API key"
    )


async def test_an_edge_page_halts_with_the_same_key(tmp_path: Path) -> None:
    """A 403 that is no matter of the key is not submitted against."""
    night = Night(tmp_path)
    night.write_urls(50)
    _, guard = guarded(night, Source(OLD), refusal=FORBIDDEN)
    stop = await night.process()

    assert stop is not None
    assert stop.reason is StopReason.FORBIDDEN
    assert stop.message.startswith("the key in /etc/key: ")
    assert guard.refused <= 32


async def test_reads_that_are_refused_too_end_the_run_at_once(tmp_path: Path) -> None:
    """Nothing can be followed: the jobs stay accepted for a process with a living key."""
    night = Night(tmp_path, faults="duration=30")
    night.write_urls(5)
    _, guard = guarded(night, Source(OLD), good=OLD)

    async def die(run: object) -> None:
        await anyio.sleep(10)
        guard.good = NEW

    stop = await night.process(die)

    assert stop is not None
    assert stop.message == "status reads are refused too: the key in /etc/key: API key invalid"
    assert night.counters()["accepted"] == 5


async def test_an_old_refusal_does_not_have_the_source_read_again() -> None:
    """What was sent under the key before says nothing of the one in use now."""
    source = Source(NEW)
    ring = Keyring(OLD, source)

    assert await ring.renew(0)
    assert await ring.renew(0)
    assert source.reads == 1
    assert not await ring.renew(1)
    assert not await ring.renew(1)
    assert source.reads == 2


async def test_many_refusals_at_once_read_the_source_once() -> None:
    """Reading may take its time: whoever comes meanwhile waits for the same answer."""
    source, answers = Source(NEW), []

    async def slow(call: object) -> Secret:
        await anyio.sleep(5)
        return source()

    ring = Keyring(OLD, source, slow)  # type: ignore[arg-type]  # one call only

    async def refused() -> None:
        answers.append(await ring.renew(0))

    async with anyio.create_task_group() as group:
        for _ in range(10):
            group.start_soon(refused)

    assert answers == [True] * 10
    assert source.reads == 1


async def test_money_is_no_matter_of_the_key() -> None:
    """An account without credits is told as the API tells it, without a credential."""
    error = RowError(ErrorKind.OUT_OF_CREDITS, "insufficient_credits")
    stop = Keyring(OLD).stop(Halt(error, StopReason.OUT_OF_CREDITS, 17.0))

    assert (stop.message, stop.resume_at) == ("insufficient_credits", 17.0)
