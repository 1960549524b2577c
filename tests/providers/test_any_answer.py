"""Whatever a server sends: no misjudgement that costs money, for every dialect and any bytes."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batcher.core.exchange import Response
from batcher.core.model import ErrorKind
from batcher.core.settings import JOB_ID_CHARS_MAX
from batcher.core.verdict import (
    Accepted,
    Done,
    Doubt,
    Halt,
    JobFailed,
    Later,
    Missing,
    Pending,
    Refused,
)
from tests.providers.conformance import NOW, PROFILES, Profile, as_data, profile_id
from tests.providers.strategies import OBJECTS, RESPONSES, STATUSES

every_api = pytest.mark.parametrize("profile", PROFILES, ids=profile_id)


@every_api
@given(response=RESPONSES)
def test_nothing_raises_and_texts_are_safe(profile: Profile, response: Response) -> None:
    """Any bytes are read, and what a person may see of them is one short printable line."""
    provider = profile.provider()
    provider.windows(response)
    for verdict in (provider.read_submit(response), provider.read_status(response)):
        data = as_data(verdict)
        error = data.get("error") or {}
        shown = [error.get("message"), error.get("code"), error.get("request_id")]
        shown += [data.get("refund_raw"), data.get("word"), data.get("request_id")]
        for text in filter(None, shown):
            assert text.isprintable()
            assert len(text) <= 300 or isinstance(verdict, Doubt)

        wait_s = data.get("retry_after_s")
        assert wait_s is None or 0 <= wait_s <= 32 * 86_400
        resume_at = data.get("resume_at")
        assert resume_at is None or resume_at > response.received_at
        if error:
            assert error["message"]


@every_api
@given(response=RESPONSES)
def test_accepted_needs_an_id_under_2xx(profile: Profile, response: Response) -> None:
    """A job is accepted only by an id that stands in the body, where this API puts it."""
    verdict = profile.provider().read_submit(response)
    if isinstance(verdict, Accepted):
        assert 200 <= response.status < 300
        assert str(profile.named(response.body)) == verdict.job_id


@every_api
@given(response=RESPONSES)
def test_2xx_is_never_a_refusal(profile: Profile, response: Response) -> None:
    """Under 2xx a job may exist: the row is accepted or in doubt, never free to go again."""
    verdict = profile.provider().read_submit(response)
    if 200 <= response.status < 300:
        assert isinstance(verdict, Accepted | Doubt)


@every_api
@given(response=RESPONSES)
def test_only_proof_frees_a_row(profile: Profile, response: Response) -> None:
    """A row goes again, or ends as refused, only under codes that deny a job or are declared."""
    verdict = profile.provider().read_submit(response)
    declared = {each["status"] for each in profile.differences if each["lane"] == "submit"}
    if isinstance(verdict, Later | Halt | Refused):
        denies = 300 <= response.status < 500 or response.status == 503
        assert denies or response.status in declared

    if isinstance(verdict, Later) and verdict.resubmission:
        assert response.status in declared


@every_api
@given(status=STATUSES, beside=OBJECTS)
def test_named_job_is_never_forgotten(
    profile: Profile, status: int, beside: dict[str, object]
) -> None:
    """A body that names a job is accepted, or a doubt that says its id, under every code."""
    answer = Response(status, profile.naming("job-4711", beside))
    verdict = profile.provider().read_submit(answer)
    if 200 <= status < 300:
        assert isinstance(verdict, Accepted)
        assert verdict.job_id == "job-4711"
    else:
        assert isinstance(verdict, Doubt)
        assert "job-4711" in verdict.error.message


@every_api
def test_longest_id_is_told_whole(profile: Profile) -> None:
    """A doubt that names a job is what a person adopts it by, so no character is cut off."""
    job_id = "x" * JOB_ID_CHARS_MAX
    verdict = profile.provider().read_submit(Response(502, profile.naming(job_id)))
    assert isinstance(verdict, Doubt)
    assert job_id in verdict.error.message


@every_api
@given(response=RESPONSES)
def test_only_its_own_word_fails_a_job(profile: Profile, response: Response) -> None:
    """A paid job is given up or rerun only on the API's own words; a guess would cost money."""
    verdict = profile.provider().read_status(response)
    text = response.body.decode("utf-8", "replace").lower()
    if isinstance(verdict, JobFailed):
        assert any(word in text for word in profile.failed_words)
        assert verdict.error.kind is ErrorKind.REJECTED

    if isinstance(verdict, JobFailed) and verdict.rerun:
        assert verdict.error.retriable
        assert verdict.refund == "done"
        assert "true" in text

    if isinstance(verdict, Done):
        assert 200 <= response.status < 300
        assert any(word in text for word in profile.done_words)

    if isinstance(verdict, Missing):
        assert response.status in (404, 410)

    if isinstance(verdict, Halt):
        assert response.status in (401, 403)


@every_api
@given(word=st.text(max_size=30))
def test_unknown_words_are_pending(profile: Profile, word: str) -> None:
    """A word that was never seen before is pending, and says so; it never ends a job."""
    bodies = [{"status": word}, {"data": {"status": word}}]
    for body in bodies:
        answer = Response(200, json.dumps(body).encode(), received_at=NOW)
        verdict = profile.provider().read_status(answer)
        plain = word.strip().lower()
        if plain not in {*profile.done_words, *profile.failed_words}:
            assert not isinstance(verdict, Done | JobFailed | Missing | Halt)

        if isinstance(verdict, Pending):
            assert verdict.unknown or verdict.word.isascii()
