"""`batcher check --preflight`: the same check, with what the API says of models, prices, money.

Rule: two short conversations over the network, and between them the manifest is read without one,
so that Ctrl-C ends a long check at once. Nothing is spent.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, TypeVar

from batcher import __version__
from batcher.adapters.http import HttpTransport
from batcher.cli.commands.check.preflight_report import Report
from batcher.cli.commands.plan.pace import advice, expected_pace
from batcher.cli.failure import say
from batcher.cli.flags.origin import checked_base_url
from batcher.cli.flags.values import one_of_each
from batcher.cli.flags.wishes import key_source
from batcher.cli.loop import run_async
from batcher.core.money import nanos
from batcher.core.settings import Settings
from batcher.engine.preflight.asking import Learned, Preflight, day_cap, price_rate
from batcher.engine.preflight.kinds import Kinds
from batcher.engine.preflight.sums import Priced
from batcher.providers import Provider
from batcher.providers.base import Files
from batcher.report.text import duration_text

T = TypeVar("T")

ANSWER_BYTES_MAX = 8_388_608  # a page of models says a lot of each
SILENCE_S = 3.0  # what takes longer is announced


class Asker:
    """Asks one API about one manifest: first `learn`, then `add` each row, then `report`."""

    def __init__(self, provider: Provider, flags: Mapping[str, Any]) -> None:
        facts = provider.facts
        self._provider = provider
        self._params = one_of_each(flags["set"])
        self._base_url = checked_base_url(flags["base_url"] or facts.base_url)
        self._key = key_source(facts.key_env, flags["api_key_file"])()
        self._questions_max: int = flags["quotes"]
        self._cost_per_job: float | None = flags["cost_per_job"]
        self._learned = Learned()
        self._rows = 0
        account = provider.account
        quotes = account is not None and self._cost_per_job is None
        self._kinds = Kinds(account) if account is not None and quotes else None

    def learn(self) -> Provider:
        """Return the provider, informed of the models. Raises `UsageError` for a key refused."""
        self._learned = self._talk(Preflight.learn)
        models = self._learned.models
        return self._provider.informed(models) if models else self._provider

    def add(self, line: int, values: Mapping[str, object], files: Files) -> None:
        """Take a row that can be used."""
        self._rows += 1
        if self._kinds is not None:
            self._kinds.add(line, values, files)

    def report(self, good: int, *, with_time: bool = True) -> Report:
        """Ask for prices and return all that is known; *good* rows are left to be run."""
        pace = expected_pace(self._provider, good) if with_time else None
        return Report(
            provider=self._provider,
            base_url=self._base_url,
            key_source=self._key.source,
            learned=self._learned,
            priced=self._priced(good),
            cost_per_job=self._cost_per_job,
            pace=pace,
            advice=tuple(advice(pace, self._provider, self._params, Settings())),
        )

    def _priced(self, good: int) -> Priced | None:
        if self._cost_per_job is not None:
            total = good * nanos(self._cost_per_job)
            return Priced(good, good, 1, 1, total, is_exact=True)

        kinds = self._kinds
        if kinds is None:
            return None

        self._announce(kinds)
        return self._talk(lambda preflight: preflight.prices(kinds, self._questions_max))

    def _announce(self, kinds: Kinds) -> None:
        rate = price_rate(self._provider)
        questions = min(len(kinds), self._questions_max, day_cap(rate))
        wait_s = (questions - 1) * rate.interval_s
        if wait_s > SILENCE_S:
            say(f"asking for {questions} prices, which takes {duration_text(wait_s)}")

    def _talk(self, ask: Callable[[Preflight], Awaitable[T]]) -> T:
        facts = self._provider.facts

        async def talk() -> T:
            transport = HttpTransport(
                self._base_url,
                facts.auth_header,
                facts.auth_scheme,
                lambda: self._key,
                connections=1,
                user_agent=f"batcher/{__version__}",
                body_bytes_max=ANSWER_BYTES_MAX,
                wall=time.time,
            )
            async with transport:
                return await ask(Preflight(self._provider, transport, self._key.source))

        return run_async(talk)
