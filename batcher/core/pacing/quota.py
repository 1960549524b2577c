"""How many retries there may be: a bucket of tokens beside the attempts of each row.

    a first try     +SHARE        so retries are a tenth of the first tries, whatever happens
    a retry         -1
    a retry that went well  +1    then it was worth its token, and the next one may go

Rule: a service that is down meets at most a tenth more than it would without any retry, and one
that stumbles meets all that help. No row is lost by that: with an empty bucket retries wait, and
one goes every `every_s` seconds, so that whoever comes back is noticed.

The idea is that of Finagle's retry budgets (Twitter; a share of the requests) and of the token
bucket of the AWS SDKs (a retry that succeeds gives its token back). Pure: times come in.
"""

from __future__ import annotations

SHARE = 0.1  # tokens for each first try
RESERVE = 10.0  # tokens at the start: a small run may retry too
TOKENS_MAX = 100.0  # a good day does not pay for a storm
EVERY_S = 5.0  # with no token left


class RetryQuota:
    """The retries of one lane. A retry is known by the item that it carries."""

    def __init__(self, every_s: float = EVERY_S) -> None:
        self.tokens = RESERVE
        self._every_s = every_s
        self._free_at = 0.0  # when the next one may go without a token
        self._out: set[int] = set()

    def wait_s(self, now: float) -> float:
        """Return how long until a retry may go; 0 = now."""
        return 0.0 if self.tokens >= 1.0 else max(0.0, self._free_at - now)

    def first(self) -> None:
        """Note a first try."""
        self.tokens = min(self.tokens + SHARE, TOKENS_MAX)

    def retry(self, item: object, now: float) -> None:
        """Note a retry."""
        self._out.add(id(item))
        self._free_at = now + self._every_s
        if self.tokens >= 1.0:
            self.tokens -= 1.0

    def succeeded(self, item: object) -> None:
        """Note that the service did what *item* asked for: a retry's token comes back."""
        if id(item) in self._out:
            self._out.discard(id(item))
            self.tokens = min(self.tokens + 1.0 + SHARE, TOKENS_MAX)

    def ended(self, item: object) -> None:
        """Note that nothing more is to be learned of *item*."""
        self._out.discard(id(item))
