"""deAPI's calls: only what is proved to be its own is believed, and any bytes can be read."""

from __future__ import annotations

import hashlib
import hmac
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batcher.core.model import LocalFile
from batcher.core.secret import Secret
from batcher.core.verdict import BadCall, CallVerdict, JobEvent
from batcher.providers.base import Callback
from batcher.providers.deapi.calls import DeApiCalls
from batcher.providers.deapi.dialect import DeApi
from tests.providers.conformance import as_data, part_of, recorded
from tests.providers.strategies import BODIES

KEY = "a1b2c3d4e5f60708091a2b3c4d5e6f70"
NOW = 1_786_102_994.0
CALLS = list(recorded("calls"))

# Signed by `openssl dgst -sha256 -hmac`, not by anything of ours.
BODY = (
    b'{"event":"job.completed","data":{"job_request_id":"868543c4",'
    rb'"result_url":"https:\/\/results.deapi.ai\/a.png"}}'
)
HEADERS = {
    "x-deapi-timestamp": "1786102994",
    "x-deapi-signature": "sha256=a5932f060bf8883ff02fa8f570444a3208b20c694383c62c871548a878b11a86",
}


def read(headers: dict[str, str], body: bytes, *, key: str = KEY, now: float = NOW) -> CallVerdict:
    """Read a call with a secret."""
    return DeApiCalls().read(headers, body, secret=Secret(key, "a test"), now=now)


def signature_of(key: str, timestamp: str, body: bytes) -> str:
    """Return the signature as the docs describe it."""
    digest = hmac.new(key.encode(), timestamp.encode() + b"." + body, hashlib.sha256)
    return f"sha256={digest.hexdigest()}"


@pytest.mark.parametrize(
    "record",
    [record for _api, _file, _case, record in CALLS],
    ids=[case for _api, _file, case, _record in CALLS],
)
def test_recorded_call(record: dict[str, Any]) -> None:
    """A recorded call reads as it says beside it; it is signed here unless it says otherwise."""
    body, timestamp = record["text"].encode(), record["timestamp"]
    headers = {
        "x-deapi-timestamp": timestamp,
        "x-deapi-signature": record.get("signature", signature_of(KEY, timestamp, body)),
        **record.get("headers", {}),
    }
    found = as_data(read(headers, body, now=record["now"]))
    assert part_of(record["reads"], found), found


def test_signature_is_the_documented_one() -> None:
    """A call that another tool signed is believed: the scheme is the API's and not our own."""
    assert isinstance(read(HEADERS, BODY), JobEvent)


@given(data=st.data())
def test_any_changed_byte_is_refused(data: st.DataObject) -> None:
    """One other byte in body, time, signature or secret, and the call is nobody's."""
    what = data.draw(st.sampled_from(["body", "timestamp", "signature", "secret"]))
    text = {
        "body": BODY.decode(),
        "timestamp": HEADERS["x-deapi-timestamp"],
        "signature": HEADERS["x-deapi-signature"],
        "secret": KEY,
    }
    old = text[what]
    at = data.draw(st.integers(0, len(old) - 1))
    new = data.draw(st.characters(min_codepoint=33, max_codepoint=126).filter(old[at].__ne__))
    text[what] = data.draw(
        st.sampled_from([old[:at] + new + old[at + 1 :], old[:at] + old[at + 1 :], old + new])
    )
    headers = {"x-deapi-timestamp": text["timestamp"], "x-deapi-signature": text["signature"]}
    assert isinstance(read(headers, text["body"].encode(), key=text["secret"]), BadCall)


@pytest.mark.parametrize("left_out", HEADERS)
def test_missing_header_is_refused(left_out: str) -> None:
    """Without its time or its signature nothing is proved."""
    headers = {name: value for name, value in HEADERS.items() if name != left_out}
    assert isinstance(read(headers, BODY), BadCall)


def test_dumped_anew_is_refused() -> None:
    """The same content in other bytes is not what was signed."""
    assert isinstance(read(HEADERS, json.dumps(json.loads(BODY)).encode()), BadCall)


def test_empty_secret_proves_nothing() -> None:
    """Anybody can sign with no secret, so such a signature is refused."""
    forged = {**HEADERS, "x-deapi-signature": signature_of("", "1786102994", BODY)}
    assert isinstance(read(forged, BODY, key=""), BadCall)


@pytest.mark.parametrize(
    ("off_s", "believed"), [(0, True), (300, True), (-300, True), (300.5, False), (-301, False)]
)
def test_age_counts_both_ways(off_s: float, *, believed: bool) -> None:
    """300 s to either side are allowed, as the docs say, and no more."""
    assert isinstance(read(HEADERS, BODY, now=NOW + off_s), JobEvent) is believed


ARABIC = "1786102994".translate({48 + n: 0x660 + n for n in range(10)})


@pytest.mark.parametrize(
    "time", ["", "-1", "1e9", ARABIC, "9" * 400, "1786102994.0", " 1786102994", "1_786_102_994"]
)
def test_absurd_times_are_refused(time: str) -> None:
    """A time is epoch seconds in digits; signed or not, nothing else is."""
    headers = {"x-deapi-timestamp": time, "x-deapi-signature": signature_of(KEY, time, BODY)}
    assert isinstance(read(headers, BODY), BadCall)


def test_only_the_signed_id_counts() -> None:
    """The header with the delivery's id is not signed, so a replay cannot change the id by it."""
    body = b'{"delivery_id":"signed","data":{"job_request_id":"a"}}'
    headers = {
        "x-deapi-timestamp": "1786102994",
        "x-deapi-signature": signature_of(KEY, "1786102994", body),
        "x-deapi-delivery-id": "replayed",
    }
    event = read(headers, body)
    assert isinstance(event, JobEvent)
    assert event.delivery_id == "signed"


def test_same_call_has_the_same_id() -> None:
    """A call without any delivery id is known again by its signature."""
    first, again = read(HEADERS, BODY), read(HEADERS, BODY)
    assert isinstance(first, JobEvent)
    assert first == again
    assert first.delivery_id == HEADERS["x-deapi-signature"]


@given(
    body=st.one_of(BODIES, st.binary(max_size=200)),
    time=st.one_of(st.just("1786102994"), st.text(max_size=20)),
    sign=st.one_of(st.none(), st.text(max_size=80)),
    delivery=st.text(max_size=20),
)
def test_any_call_is_read(body: bytes, time: str, sign: str | None, delivery: str) -> None:
    """Any bytes and headers, rightly signed or not, become an event or a refusal."""
    key = KEY.encode() + time.encode("utf-8", "surrogatepass")
    headers = {"x-deapi-timestamp": time, "x-deapi-delivery-id": delivery}
    headers["x-deapi-signature"] = sign if sign is not None else f"sha256={key.hex()}"
    if sign is None and time.isascii():
        headers["x-deapi-signature"] = signature_of(KEY, time, body)

    verdict = read(headers, body)
    if isinstance(verdict, JobEvent):
        assert sign is None
        assert verdict.job_id
        assert verdict.delivery_id
        assert verdict.word.isprintable()
    else:
        assert verdict.reason
        assert KEY not in verdict.reason


@pytest.mark.parametrize("name", ["x-deapi-timestamp", "x-deapi-signature"])
def test_headers_that_are_no_unicode_are_refused(name: str) -> None:
    """A server hands undecodable header bytes out as half characters; they are read as they are."""
    assert isinstance(read({**HEADERS, name: "sha256=\udcff"}, BODY), BadCall)


def test_version_1_has_no_calls() -> None:
    """Version 1 takes no secret; calls that prove nothing are not asked for."""
    assert DeApi({"api": "v1"}).callbacks is None
    assert DeApi({}).callbacks is not None


@pytest.mark.parametrize("files", [(), (LocalFile("a.png", 10),)])
def test_a_submit_says_what_must_not_be_echoed(files: tuple[LocalFile, ...]) -> None:
    """The secret and the address of one submit are known to the transport as secrets."""
    callback = Callback("https://hooks.example/b/17-1-f00d", Secret(KEY, "a test"))
    dialect = DeApi({"task": "upscales" if files else "generations"})
    request = dialect.submit({"prompt": "a cat"}, files, callback)
    assert {secret.reveal() for secret in request.secrets} == {KEY, "17-1-f00d"}
    assert dialect.submit({"prompt": "a cat"}, files).secrets == ()
