"""The retry quota: a tenth over the first tries in an outage, no brake on what helps."""

from __future__ import annotations

from batcher.core.pacing.quota import EVERY_S, RESERVE, TOKENS_MAX, RetryQuota


def retries_of_an_hour(first_tries: int) -> int:
    """Return how many retries an outage of an hour lets through, each of which fails."""
    quota, now, retries = RetryQuota(), 0.0, 0
    quota.tokens = 0.0  # warmed, and used up
    for second in range(3_600):
        now = float(second)
        for _ in range(first_tries // 3_600):
            quota.first()

        while quota.wait_s(now) == 0 and retries < 10**6:
            quota.retry(object(), now)
            retries += 1

    return retries


def test_an_outage_meets_a_tenth_more() -> None:
    """Of 36,000 first tries that all fail no more than a tenth is sent again, and a trickle."""
    assert retries_of_an_hour(36_000) <= 3_600 + 3_600 / EVERY_S


def test_nobody_waits_for_ever() -> None:
    """With nothing left and no first tries one goes every few seconds."""
    assert 3_600 / EVERY_S - 1 <= retries_of_an_hour(0) <= 3_600 / EVERY_S + 1


def test_retries_that_help_are_not_held_up() -> None:
    """A service that takes each row at the second try is not slowed down."""
    quota = RetryQuota()
    for number in range(1_000):
        assert quota.wait_s(float(number)) == 0
        item = object()
        quota.first()
        quota.retry(item, float(number))
        quota.succeeded(item)

    assert quota.tokens <= TOKENS_MAX


def test_a_small_run_may_retry() -> None:
    """The first few need no first tries to their credit."""
    quota = RetryQuota()
    for _ in range(int(RESERVE)):
        assert quota.wait_s(0.0) == 0
        quota.retry(object(), 0.0)

    assert quota.wait_s(0.0) == EVERY_S


def test_a_first_try_that_goes_well_gives_no_token_back() -> None:
    """Only a retry took one."""
    quota = RetryQuota()
    quota.succeeded(object())

    assert quota.tokens == RESERVE
