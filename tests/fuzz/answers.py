"""Harnesses for what a server says: answers of an API, their headers, its own calls.

Rule: an answer is written as `STATUS`, lines of `name: value`, a blank line and the body, so that a
seed can be read and a mutation hits every part. Nothing here may raise: a dialect never does.
"""

from __future__ import annotations

from msgspec import to_builtins

from batcher.core.exchange import Response
from batcher.core.model import ErrorKind
from batcher.core.secret import Secret
from batcher.core.settings import JOB_ID_CHARS_MAX
from batcher.core.verdict import Accepted, BadCall, Doubt, JobFailed
from batcher.engine.keyring import Keyring
from batcher.engine.webhooks.addresses import Addresses
from batcher.providers import provider_named
from batcher.providers.base import Account
from batcher.providers.deapi.calls import DeApiCalls, signed
from batcher.providers.limit_headers import windows
from batcher.providers.reading import TEXT_CHARS_MAX
from batcher.providers.waiting import WAIT_S_MAX, retry_after_s

NOW = 1_790_000_000.0
SHOWN_CHARS_MAX = TEXT_CHARS_MAX + 100  # theirs, with words of our own before it
SECRET = Secret("0f" * 32, "a harness")
DIALECTS = {
    "removit": provider_named("removit", {}),
    "deapi": provider_named("deapi", {"task": "background-removals"}),
    "deapi_v1": provider_named("deapi", {"task": "background-removals", "api": "v1"}),
}
ADDRESSES = Addresses("https://hooks.example/b", Keyring(Secret("key", "a harness")), "run-1")


def response_of(data: bytes) -> Response:
    """Read an answer as a harness writes it; whatever the bytes are, it is one."""
    head, _, body = data.partition(b"\n\n")
    status, *lines = head.decode("utf-8", "replace").split("\n")
    pairs = (line.partition(":") for line in lines)
    headers = {name.strip().lower(): value.strip() for name, _, value in pairs}
    number = int(status) if status.isascii() and status.isdigit() and len(status) < 5 else 200
    return Response(number, body, headers, NOW)


def removit(data: bytes) -> None:
    """Read an answer of remove.it: of the submit, of a status read."""
    _read("removit", data)


def deapi(data: bytes) -> None:
    """Read an answer of deAPI, of either version, also to questions about money and models."""
    _read("deapi", data)
    _read("deapi_v1", data)


def limits(data: bytes) -> None:
    """Read the headers that tell limits and waits."""
    response = response_of(data)
    wait_s = retry_after_s(response)
    assert wait_s is None or 0 <= wait_s <= WAIT_S_MAX
    for seen in windows(response, 60.0):
        assert seen.period_s > 0
        assert seen.opens_at is None or seen.opens_at <= NOW + seen.period_s
        assert seen.left is None or seen.left >= 0


def call(data: bytes) -> None:
    """Read a call: as it came it is not believed; signed with our secret it is read."""
    came = response_of(data)
    ADDRESSES.read(data.decode("utf-8", "replace"))
    calls = DeApiCalls()
    assert isinstance(calls.read(came.headers, came.body, secret=SECRET, now=NOW), BadCall)
    stamp = str(int(NOW))
    proof = signed(SECRET.reveal(), stamp, came.body).decode()
    headers = {**came.headers, "x-deapi-timestamp": stamp, "x-deapi-signature": proof}
    event = calls.read(headers, came.body, secret=SECRET, now=NOW)
    if not isinstance(event, BadCall):
        _assert_job_id(event.job_id)
        _assert_shown(event.word, event.delivery_id)


def _read(dialect: str, data: bytes) -> None:
    provider, response = DIALECTS[dialect], response_of(data)
    provider.windows(response)
    submit, status = provider.read_submit(response), provider.read_status(response)
    if isinstance(submit, Accepted):
        assert 200 <= response.status < 300
        _assert_job_id(submit.job_id)
        provider.status(submit.job_id)
    elif 200 <= response.status < 300:
        assert isinstance(submit, Doubt), "a job may exist, but the row would go again"

    if isinstance(status, JobFailed):
        assert status.error.kind is ErrorKind.REJECTED

    for verdict in (submit, status):
        _assert_verdict(to_builtins(verdict), is_doubt=isinstance(verdict, Doubt))

    if provider.account is not None:
        _ask(provider.account, response)


def _ask(account: Account, response: Response) -> None:
    account.read_balance(response)
    account.read_quote(response)
    account.read_models(response)


def _assert_verdict(values: dict[str, object], *, is_doubt: bool) -> None:
    error = values.get("error")
    texts = [values.get(name) for name in ("refund_raw", "word", "request_id")]
    if isinstance(error, dict):
        assert error["message"]
        texts += [error.get("code"), error.get("request_id")]
        texts += [] if is_doubt else [error["message"]]  # a doubt names a job of 512 characters
        assert error["message"].isprintable()

    _assert_shown(*texts)
    wait_s = values.get("retry_after_s")
    assert wait_s is None or (isinstance(wait_s, float) and 0 <= wait_s <= WAIT_S_MAX)


def _assert_shown(*texts: object) -> None:
    """A stranger's text is one short line that moves no cursor."""
    for text in texts:
        assert text is None or (isinstance(text, str) and text.isprintable())
        assert text is None or len(text) <= SHOWN_CHARS_MAX


def _assert_job_id(job_id: str) -> None:
    assert 0 < len(job_id) <= JOB_ID_CHARS_MAX
    assert job_id.isprintable()
    assert job_id not in {".", ".."}
