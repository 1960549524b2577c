"""Whatever a server answers, on real sockets: the verdict is never wrong about money.

Each kind of `tests/proofs/malformed` is sent to each question that a dialect asks, through the real
transport, and to downloads. Every test run takes all kinds for submits and some of them for the
rest; `BATCHER_MALFORMED=all` takes all, with more noise; `make soak` does.
"""

from __future__ import annotations

import json
import os
import threading
import tracemalloc
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import anyio
import pytest

from batcher.adapters.download.downloader import Downloader, DownloadFailed, Place
from batcher.core.errors import Lost, NotSent
from batcher.core.exchange import Request, Response
from batcher.core.model import LocalFile
from batcher.core.settings import STATUS_BYTES_MAX
from batcher.core.verdict import (
    Accepted,
    Balance,
    Done,
    Doubt,
    Halt,
    JobFailed,
    Later,
    Missing,
    ModelsPage,
    Price,
    Refused,
    Unreadable,
)
from batcher.engine.sending import unknown
from batcher.providers import Provider, provider_named
from tests.adapters.test_http import transport_to
from tests.proofs.malformed import Kind, Says, early_kinds, kinds_of
from tests.support import pictures
from tests.support.hostile import PATIENCE_S, Peer, hostile

ALL = os.environ.get("BATCHER_MALFORMED") == "all"
NOISE = 400 if ALL else 20
SHARE = 1 if ALL else 8  # every so-manieth kind, where not all are tried
NEVER_S = 0.15  # time-out of what is never answered: no test depends on its length
AT_ONCE = 8
MEMORY_BYTES = 16_000_000  # a body of 1 MiB, some copies of it, and what the test itself holds

JOB = "job-4711"
HONEST = b'{"honest":1}'
NEXT = Request("GET", "/honest")
PNG = pictures.png()
URL = "https://files.invalid/a.png"


@dataclass(frozen=True)
class Endpoint:
    """One question of a dialect: its request, its right answer, and what may be made of it."""

    provider: Provider
    request: Request
    good: bytes
    read: Callable[[Response], object]
    complaint: Callable[[Kind, object, bytes | None], str | None]


def endpoint(name: str) -> Endpoint:
    """Return an endpoint by its name, such as `deapi v1 submit`."""
    api, *version, asked = name.split()
    params: dict[str, object] = {"task": "generations", "model": "Flux1schnell"}
    provider = provider_named(api, params if api == "deapi" else {})
    if version:
        provider = provider_named(api, params | {"api": version[0]})

    row: dict[str, object] = {"file_url": "https://shop.example/a.jpg"}
    if api == "deapi":
        row = {"prompt": "a cat", "seed": 1, "width": 512, "height": 512, "steps": 4, "guidance": 0}

    match asked:
        case "submit":
            body = {"job_id": JOB, "status": "queued"}
            good = body if api == "removit" else {"data": {"request_id": JOB}, "message": "ok"}
            request = provider.submit(row, ())
            return Endpoint(provider, request, _json(good), provider.read_submit, of_submit)
        case "status":
            return Endpoint(
                provider, provider.status(JOB), _json(DONE[api]), provider.read_status, of_status
            )

    account = provider.account
    assert account is not None
    request, read, right = {
        "balance": (account.balance(), account.read_balance, {"data": {"balance": 19.5}}),
        "price": (account.quote(row, ()).request, account.read_quote, {"data": {"price": 0.5}}),
        "models": (account.models(1), account.read_models, MODELS),
    }[asked]
    return Endpoint(provider, request, _json(right), read, of_question)


DONE: Mapping[str, object] = {
    "removit": {"status": "done", "state": "done", "final_urls": {"clipping": URL}},
    "deapi": {"data": {"status": "done", "progress": 100, "result_url": URL}, "message": "ok"},
}
MODELS = {
    "data": [{"slug": "Ben2", "inference_types": ["img-rmbg"], "info": {"limits": {"a": 1}}}],
    "meta": {"current_page": 1, "last_page": 1},
}


def _json(value: object) -> bytes:
    return json.dumps(value).encode()


# --- What may be made of an answer ---------------------------------------------------------------


def of_submit(kind: Kind, verdict: object, body: bytes | None) -> str | None:
    """Say what is wrong with the verdict on a submit, or None.

    A job that is named is accepted or told; only a whole answer whose code denies the job frees the
    row; all else is a doubt.
    """
    if isinstance(verdict, Accepted):
        is_named = body is not None and verdict.job_id in map(str, _ids(body))
        return None if kind.says in (Says.ALL, Says.PERHAPS) and is_named else "accepted"

    if isinstance(verdict, Refused | Later | Halt):
        return None if kind.says is Says.REFUSAL else "may be sent again, or ends as refused"

    assert isinstance(verdict, Doubt)
    if kind.says is Says.ALL:
        return "not accepted"

    is_named = body is not None and JOB in map(str, _ids(body))
    return "does not tell the job" if is_named and JOB not in verdict.error.message else None


def of_status(kind: Kind, verdict: object, body: bytes | None) -> str | None:
    """Say what is wrong with the verdict on a job: it is done, or there is no news of it."""
    if isinstance(verdict, JobFailed):
        return "failed"

    if isinstance(verdict, Done):
        is_right = kind.says is not Says.ALL or URL in verdict.result.urls.values()
        return None if kind.says in (Says.ALL, Says.PERHAPS) and is_right else "done"

    if isinstance(verdict, Missing) and kind.status not in (404, 410):
        return "missing"

    if isinstance(verdict, Halt) and kind.status not in (401, 403):
        return "a halt"

    return "not done" if kind.says is Says.ALL else None


def of_question(kind: Kind, verdict: object, body: bytes | None) -> str | None:
    """Say what is wrong with the verdict on a question: its answer, or none."""
    if isinstance(verdict, Balance | Price | ModelsPage):
        return None if kind.says in (Says.ALL, Says.PERHAPS) else "an answer"

    if isinstance(verdict, Refused):
        return None if kind.status in (413, 422) else "refused"

    assert isinstance(verdict, Later | Unreadable)
    return "no answer" if kind.says is Says.ALL else None


def _ids(body: bytes) -> list[Any]:
    """Return what stands where either API names a job, by another reader of JSON."""
    try:
        value = json.loads(body.removeprefix(b"\xef\xbb\xbf"))
    except (ValueError, RecursionError):
        return []

    places = [value.get("job_id"), value.get("data")] if isinstance(value, dict) else []
    found = [place.get("request_id") if isinstance(place, dict) else place for place in places]
    return [value for value in found if isinstance(value, str | int)]


# --- The server ----------------------------------------------------------------------------------


class Stage:
    """A server that answers each request with the kind whose number its client names."""

    def __init__(self, kinds: Sequence[Kind], good: bytes) -> None:
        self.kinds = kinds
        self.asked: Counter[int] = Counter()
        self._good = good
        self._lock = threading.Lock()

    def __call__(self, peer: Peer) -> None:
        """Serve one connection."""
        head = peer.head()
        while head.line.split()[1] == NEXT.path:
            peer.answer(200, HONEST)
            head = peer.head()

        number = int(head.headers["user-agent"])
        kind = self.kinds[number]
        with self._lock:
            self.asked[number] += 1

        if not kind.early:
            for _ in peer.body(int(head.headers.get("content-length", "0"))):
                pass

        kind.send(peer, self._good)
        while kind.keeps:
            peer.head()
            peer.answer(200, HONEST)


def chosen(kinds: Sequence[Kind], which: int) -> list[Kind]:
    """Return every so-manieth kind; another *which*, others."""
    return [kind for n, kind in enumerate(kinds) if n % SHARE == which % SHARE]


async def complaints(point: Endpoint, kinds: Sequence[Kind]) -> list[str]:
    """Ask the question once for each kind, and return what went wrong."""
    found: list[str] = []
    stage = Stage(kinds, point.good)
    room, quiet = anyio.CapacityLimiter(AT_ONCE), anyio.CapacityLimiter(1)

    async def ask(url: str, number: int) -> None:
        kind = kinds[number]
        async with quiet if kind.heavy else room:
            told = await one(url, point, kind, number)

        if told is not None:
            found.append(f"{kind.name}: {told}")

    with hostile(stage) as server:
        async with anyio.create_task_group() as group:
            for number in range(len(kinds)):
                group.start_soon(ask, server.url, number)

    found += [
        f"{kinds[n].name}: sent {count} times" for n, count in stage.asked.items() if count > 1
    ]
    return found


async def one(url: str, point: Endpoint, kind: Kind, number: int) -> str | None:
    """Ask once, and say what is wrong, or None."""
    timeout_s = PATIENCE_S if kind.ends else NEVER_S
    told: str | None = "it did not end by its time-out"
    verdict: object = None
    async with transport_to(
        url, body_bytes_max=STATUS_BYTES_MAX, user_agent=str(number)
    ) as transport:
        with anyio.move_on_after(2 * PATIENCE_S):
            if not kind.ends:  # so that the short time-out is not spent on connecting
                await transport.send(NEXT, timeout_s=PATIENCE_S)

            try:
                answer = await transport.send(point.request, timeout_s=timeout_s)
                body, verdict = answer.body, point.read(answer)
            except Lost as failure:  # as the engine takes it
                body, error = None, unknown(failure.reason)
                verdict = Doubt(error) if point.complaint is of_submit else Unreadable(error)
            except NotSent:
                return "it was sent"

            told = point.complaint(kind, verdict, body)

        if told is None and kind.keeps:
            answer = await transport.send(NEXT, timeout_s=PATIENCE_S)
            told = None if answer.body == HONEST else f"the next request got {answer.body[:60]!r}"

    return None if told is None else f"{told}: {verdict!r}"[:300]


def assert_none(found: list[str]) -> None:
    """Fail with every complaint on a line of its own."""
    assert not found, "\n" + "\n".join(found)


# --- The proofs ----------------------------------------------------------------------------------

SUBMITS = ("removit submit", "deapi submit")
OTHERS = ("removit status", "deapi status", "deapi price", "deapi balance", "deapi models")
OLD = (
    "deapi v1 submit",
    "deapi v1 status",
    "deapi v1 price",
    "deapi v1 balance",
    "deapi v1 models",
)


@pytest.mark.parametrize("name", [*SUBMITS, *OTHERS, *(OLD if ALL else ())])
async def test_no_answer_is_misread(name: str) -> None:
    """No job is forgotten, none paid for again, each request ends, and the next one is not hurt."""
    point = endpoint(name)
    kinds = list(kinds_of(point.good, is_json=True, noise=NOISE))
    assert len(kinds) >= 200
    assert len({kind.name for kind in kinds}) == len(kinds)
    if name not in SUBMITS:
        kinds = chosen(kinds, OTHERS.index(name) if name in OTHERS else 0)

    assert_none(await complaints(point, kinds))


@pytest.mark.parametrize("api", ["removit", "deapi"])
async def test_no_early_answer_is_misread(api: str, tmp_path: Path) -> None:
    """An answer to an upload that is still on its way is that answer, or a doubt."""
    path = tmp_path / "a.png"
    path.touch()
    os.truncate(path, 4_000_000)
    point = endpoint(f"{api} submit")
    file = LocalFile(str(path), 4_000_000)
    provider = provider_named(api, {"task": "background-removals"} if api == "deapi" else {})
    request = provider.submit({"file": "a.png"}, (file,))
    assert_none(await complaints(replace(point, request=request), list(early_kinds())))


async def test_no_answer_fills_the_memory() -> None:
    """Bombs of each encoding and whatever is endless: some megabytes at most."""
    point = endpoint("deapi submit")
    kinds = [kind for kind in kinds_of(point.good, is_json=True, noise=0) if kind.heavy]
    tracemalloc.start()
    try:
        assert_none(await complaints(point, kinds))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()

    assert peak < MEMORY_BYTES


def rests(folder: Path, number: int) -> list[Path]:
    """Return what stands in a folder under a name that begins so."""
    return list(folder.glob(f"{number}[.~-]*"))


async def test_no_answer_is_taken_for_a_file(tmp_path: Path) -> None:
    """A download is the file that was sent, byte for byte, or a failure that leaves nothing."""
    kinds = chosen(list(kinds_of(PNG, is_json=False, noise=0)), 0)
    found: list[str] = []
    room = anyio.CapacityLimiter(AT_ONCE)

    def script(peer: Peer) -> None:
        number = peer.request().line.split()[1].strip("/")
        if number:
            kinds[int(number)].send(peer, PNG)
        else:
            peer.answer(404)  # a redirect led here

    async def fetch(url: str, number: int) -> None:
        kind = kinds[number]
        async with (
            room,
            Downloader(
                connections=1,
                allow_private=True,
                bytes_max=STATUS_BYTES_MAX,
                stall_s=PATIENCE_S if kind.ends else NEVER_S,
            ) as downloader,
        ):
            place = Place(tmp_path, str(number))
            try:
                fetched = await downloader.fetch(f"{url}/{number}", place, "png")
            except DownloadFailed:
                told = "not fetched" if kind.says is Says.ALL and kind.status == 200 else None
                told = "left behind" if rests(tmp_path, number) else told
            else:
                is_whole = fetched.path.read_bytes() == PNG
                may = kind.says in (Says.ALL, Says.PERHAPS)
                told = None if is_whole and may else "taken for the file"

        if told is not None:
            found.append(f"{kind.name}: {told}")

    with hostile(script) as server:
        async with anyio.create_task_group() as group:
            for number in range(len(kinds)):
                group.start_soon(fetch, server.url, number)

    assert_none(found)
