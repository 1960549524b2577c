"""Every dialect keeps the promises that money hangs on."""

from __future__ import annotations

from typing import Any
from urllib.parse import unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batcher.core.errors import UsageError
from batcher.core.exchange import Response
from batcher.core.model import LocalFile
from batcher.core.settings import JOB_ID_CHARS_MAX
from batcher.core.verdict import (
    Accepted,
    Doubt,
    Halt,
    Later,
    Unreadable,
)
from batcher.providers import provider_named
from tests.providers.conformance import (
    PROFILES,
    SILENT_BODIES,
    Profile,
    as_data,
    asked,
    local_files,
    params_of,
    part_of,
    profile_id,
    read,
    recorded,
    request_data,
    response_of,
)
from tests.providers.strategies import OBJECTS

ANSWERS = list(recorded("answers"))
REQUESTS = list(recorded("requests"))
every_api = pytest.mark.parametrize("profile", PROFILES, ids=profile_id)


# --- Recorded payloads -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("api", "record"),
    [(api, record) for api, _file, _case, record in ANSWERS],
    ids=[f"{api}-{file}-{case}" for api, file, case, _record in ANSWERS],
)
def test_recorded_answer(api: str, record: dict[str, Any]) -> None:
    """A recorded answer reads as it says beside it."""
    provider = provider_named(api, params_of(api, record))
    found = as_data(read(provider, record["lane"], response_of(record)))
    assert part_of(record["reads"], found), found


@pytest.mark.parametrize(
    ("api", "record"),
    [(api, record) for api, _file, _case, record in REQUESTS],
    ids=[f"{api}-{case}" for api, _file, case, _record in REQUESTS],
)
def test_recorded_request(api: str, record: dict[str, Any]) -> None:
    """A row without problems becomes exactly this request, also when it was merged before."""
    provider = provider_named(api, record["params"])
    row, files = record.get("row", {}), local_files(record.get("file"))
    if row:
        problems = [each for each in provider.problems(row, files) if not each.warning]
        assert problems == []

    assert request_data(asked(provider, record)) == record["request"]
    assert asked(provider, {**record, "row": provider.merged(row)}) == asked(provider, record)


# --- What is sent ----------------------------------------------------------------------------


@every_api
def test_facts_are_complete(profile: Profile) -> None:
    """A dialect says how to reach the API, how to authenticate, and what a lost answer means."""
    facts = profile.provider().facts
    assert facts.name == profile.name
    assert facts.base_url.startswith("https://")
    assert not facts.base_url.endswith("/")
    assert facts.key_env.endswith("_API_KEY")
    assert facts.auth_header
    assert facts.no_idempotency
    assert facts.cautious_rate
    assert 0 < facts.first_look_s < facts.look_cap_s


@every_api
def test_unknown_columns_are_never_sent(profile: Profile) -> None:
    """Columns of the user's own, a stray key among them, are in no request and no merged row."""
    own = {"sku": "sku-S3CRET", "api_key": "key-S3CRET", "Authorization": "S3CRET", "job_id": "S3"}
    provider = profile.provider()
    row = {**profile.row, **own}
    assert provider.submit(row, profile.files) == provider.submit(profile.row, profile.files)
    assert not own.keys() & provider.merged(row).keys()


@every_api
def test_request_is_below_the_base_url(profile: Profile) -> None:
    """A request names a path, and neither a key nor a place for one is in it."""
    provider = profile.provider()
    for request in (provider.submit(profile.row, profile.files), provider.status("id-1")):
        assert request.path.startswith("/")
        assert provider.facts.auth_header.lower() not in repr(request).lower()


@every_api
@given(job_id=st.text(min_size=1, max_size=40))
def test_job_id_is_one_encoded_piece(profile: Profile, job_id: str) -> None:
    """Whatever an accepted id looks like, it stays one piece of the URL and comes back whole."""
    provider = profile.provider()
    verdict = provider.read_submit(Response(profile.accepted_status, profile.naming(job_id)))
    if not isinstance(verdict, Accepted):
        assert not job_id.isprintable() or not job_id.strip() or job_id in {".", ".."}
        return

    path = provider.status(verdict.job_id).path
    piece = path.removeprefix(provider.status("X").path.removesuffix("X"))
    assert not set(piece) & set("/?#&=+ \\")
    assert unquote(piece, errors="strict") == job_id


@every_api
def test_id_with_every_trick_is_encoded(profile: Profile) -> None:
    """A path, a query, a fragment and a percent sign in an id do not leave their place."""
    path = profile.provider().status("../a?b=c#d%2e/&é").path
    assert path.endswith("..%2Fa%3Fb%3Dc%23d%252e%2F%26%C3%A9")


@every_api
def test_mistyped_set_is_refused(profile: Profile) -> None:
    """A `--set` name that is sent with no row is refused: the run would be paid for without it."""
    with pytest.raises(UsageError, match="no such parameter"):
        provider_named(profile.name, {**profile.params, "frobnicate": 1})

    with pytest.raises(UsageError, match="manifest's rows"):
        provider_named(profile.name, {**profile.params, "file": "a.png"})


@every_api
@given(row=OBJECTS, has_file=st.booleans())
def test_checking_a_row_never_raises(
    profile: Profile, row: dict[str, object], has_file: bool
) -> None:
    """Any row at all can be converted, merged and checked; one without problems can be sent."""
    provider = profile.provider()
    files = (LocalFile("/m/a.png", 9),) if has_file else ()
    values = provider.typed(row)
    assert values.keys() == row.keys()
    if not [problem for problem in provider.problems(values, files) if not problem.warning]:
        provider.submit(values, files)


# --- The table that money hangs on -----------------------------------------------------------


@every_api
@pytest.mark.parametrize("lane", ["submit", "status"])
@pytest.mark.parametrize("body", SILENT_BODIES)
def test_every_status_code(profile: Profile, lane: str, body: str) -> None:
    """Each code from 100 to 599 means what the table says, or what the profile declares."""
    provider = profile.provider()
    wrong = {
        status: type(verdict).__name__
        for status in range(100, 600)
        if type(verdict := read(provider, lane, Response(status, SILENT_BODIES[body]))).__name__
        != profile.expected(lane, status, body)
    }
    assert wrong == {}


@every_api
@pytest.mark.parametrize("lane", ["submit", "status"])
def test_halts_and_throttles_say_which(profile: Profile, lane: str) -> None:
    """401, 402, 403 and 429 carry the reason that the run stops for."""
    provider = profile.provider()
    for status, reason in ((401, "unauthorized"), (402, "out_of_credits"), (403, "forbidden")):
        verdict = read(provider, lane, Response(status))
        if lane == "submit" or status != 402:
            assert isinstance(verdict, Halt)
            assert (verdict.reason, verdict.error.kind) == (reason, reason)

    verdict = read(provider, lane, Response(429, headers={"retry-after": "9"}))
    assert isinstance(verdict, Later)
    assert (verdict.throttled, verdict.retry_after_s) == (True, 9.0)


@every_api
def test_only_a_throttle_spends_no_attempt(profile: Profile) -> None:
    """408, 425 and 503 come back later, but count as attempts."""
    for status in (408, 425, 503):
        verdict = profile.provider().read_submit(Response(status, headers={"retry-after": "9"}))
        assert isinstance(verdict, Later)
        assert not verdict.throttled
        assert verdict.retry_after_s == 9.0


@every_api
def test_a_503_says_how_long(profile: Profile) -> None:
    """A status read that is put off for a named time waits for it, without being a throttle."""
    provider = profile.provider()
    verdict = provider.read_status(Response(503, headers={"retry-after": "9"}))
    assert isinstance(verdict, Later)
    assert (verdict.throttled, verdict.retry_after_s) == (False, 9.0)
    assert isinstance(provider.read_status(Response(503)), Unreadable)


BAD_IDS = [None, "", " ", "\n", "a\nb", "a\x00", "\x1b[2J", "\u202eabc", ".", "..", True, 1.5]


@every_api
@pytest.mark.parametrize("job_id", [*BAD_IDS, [], {}, ["a"], "x" * (JOB_ID_CHARS_MAX + 1)])
def test_unreadable_id_is_a_doubt(profile: Profile, job_id: object) -> None:
    """An id by which no job could be found again is none; the row is in doubt, not refused."""
    answer = Response(profile.accepted_status, profile.naming(job_id))
    assert isinstance(profile.provider().read_submit(answer), Doubt)


@every_api
@pytest.mark.parametrize(("job_id", "text"), [("x" * JOB_ID_CHARS_MAX, None), (7, "7"), (0, "0")])
def test_readable_id_is_accepted(profile: Profile, job_id: object, text: str | None) -> None:
    """A text of the greatest length and a whole number are ids."""
    answer = Response(profile.accepted_status, profile.naming(job_id))
    verdict = profile.provider().read_submit(answer)
    assert isinstance(verdict, Accepted)
    assert verdict.job_id == (text or job_id)
