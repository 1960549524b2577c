"""What `batcher doctor` looks at beyond this machine: the key, the way to the API, its clock.

Rule: nothing is spent. The first request has no key; the second is one that costs nothing: for the
balance, or, where an API tells none, for a job that is nobody's.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping

from batcher import __version__
from batcher.adapters.http import HttpTransport
from batcher.adapters.keys import read_key
from batcher.adapters.reach import Reached, reach
from batcher.cli.commands.doctor.findings import Finding, bad, ok, warn
from batcher.cli.failure import hiding
from batcher.cli.loop import run_async
from batcher.core.errors import TransportError, UsageError
from batcher.core.exchange import Response
from batcher.core.model import RowError
from batcher.core.money import nanos
from batcher.core.secret import Secret
from batcher.core.verdict import Balance, Halt, Later, Unreadable
from batcher.engine.preflight.asking import JOB_OF_NOBODY, said
from batcher.providers import Provider
from batcher.report.money import money_text

USER_AGENT = f"batcher/{__version__}"
ANSWER_S = 10.0
SKEW_S_MAX = (
    30.0  # proofs of webhook calls are good for minutes, and a cap of a day ends at midnight
)


def api(
    provider: Provider, base_url: str, key_file: str | None, environ: Mapping[str, str]
) -> Iterator[Finding]:
    """Yield everything about one API and its key."""
    key: Secret | None = None
    try:
        key = hiding(read_key(provider.facts.key_env, key_file, environ))
        yield ok("key", f"{key.source} has one")
    except UsageError as error:
        yield bad("key", str(error), f"see {provider.facts.docs_url}")

    began = time.time()
    reached = run_async(lambda: reach(base_url, user_agent=USER_AGENT))
    yield reachable(base_url, reached, environ)
    if reached.problem is not None:
        return

    yield skew(reached, (began + time.time()) / 2)
    if key is not None:
        yield asked(provider, base_url, key)


def reachable(base_url: str, reached: Reached, environ: Mapping[str, str]) -> Finding:
    """Say whether there is a way to the API."""
    if reached.problem is None:
        return ok("API", f"{base_url} answers")

    proxies = [name for name in environ if name.lower() in ("http_proxy", "https_proxy")]
    mend = "look at the network, a firewall, --base-url"
    if proxies:
        mend += f"; {proxies[0]} is set, and batcher uses no proxy"

    return bad("API", f"{base_url} cannot be reached: {reached.problem}", mend)


def skew(reached: Reached, now: float) -> Finding:
    """Compare the two clocks; the API's is told in whole seconds."""
    if reached.date is None:
        return ok("clock skew", "not known: the API tells no time")

    off_s = now - reached.date
    text = f"{abs(off_s):.0f} s {'ahead of' if off_s > 0 else 'behind'} the API's clock"
    if abs(off_s) > SKEW_S_MAX:
        return warn("clock skew", text, "set this machine's clock (NTP)")

    return ok("clock skew", f"about {abs(off_s):.0f} s")


def asked(provider: Provider, base_url: str, key: Secret) -> Finding:
    """Ask the one question that costs nothing, and say what it shows of the key."""
    account, facts = provider.account, provider.facts
    request = provider.status(JOB_OF_NOBODY) if account is None else account.balance()
    read: Callable[[Response], object]
    read = provider.read_status if account is None else account.read_balance

    async def talk() -> Response:
        transport = HttpTransport(
            base_url,
            facts.auth_header,
            facts.auth_scheme,
            lambda: key,
            connections=1,
            user_agent=USER_AGENT,
            wall=time.time,
        )
        async with transport:
            return await transport.send(request, timeout_s=ANSWER_S)

    try:
        verdict = read(run_async(talk))
    except TransportError as failure:
        return warn("account", f"no answer: {failure.reason}", "ask again")

    return judged(provider, key, verdict)


def judged(provider: Provider, key: Secret, verdict: object) -> Finding:
    """Say what an answer shows of the key."""
    account = provider.account
    match verdict:
        case Balance() if account is not None:
            held, least = nanos(verdict.amount), nanos(account.balance_min)
            text = f"the key works; the balance is {money_text(held, account.currency)}"
            if held < least:
                mend = f"below {money_text(least, account.currency)} the API takes no submit"
                return warn("account", text, mend)

            return ok("account", text)
        case Halt() | Later() | Unreadable():
            return _refused(key, verdict.error)
        case _:
            return ok("account", "the key works")


def _refused(key: Secret, error: RowError) -> Finding:
    if error.http_status == 401:
        return bad("account", f"the API does not take the key: {said(error)}", f"mend {key.source}")

    if error.http_status == 403:
        return warn("account", f"the key may not ask: {said(error)}", "look at the key's rights")

    return warn("account", f"nothing was learned: {said(error)}", "ask again")
