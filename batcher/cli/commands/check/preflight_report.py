"""What a preflight found, in words for people and as one JSON object for programs.

Rule: what is not known is called unknown, and an estimate is called `about`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from batcher.core.model import RowError
from batcher.core.money import amount, nanos
from batcher.engine.preflight.asking import Learned, said
from batcher.engine.preflight.sums import Priced
from batcher.providers import Provider
from batcher.report.money import money_text
from batcher.report.pace import Pace
from batcher.report.text import count_text, duration_text, plain, rows_text

REFUSED_SHOWN_MAX = 5


@dataclass(frozen=True, slots=True)
class Report:
    """All that is known before a run."""

    provider: Provider
    base_url: str
    key_source: str
    learned: Learned
    priced: Priced | None  # None: the API quotes no price, and nobody stated one
    cost_per_job: float | None
    pace: Pace | None = None  # None: no row is left
    advice: tuple[str, ...] = ()  # about the pace

    @property
    def needed(self) -> int | None:
        """What the account must hold for all rows, in nanos; None = not known.

        The last submit is refused too if less than the API's minimum is left for it.
        """
        account, priced = self.provider.account, self.priced
        if account is None or priced is None:
            return None

        if not priced.rows:
            return 0

        least = nanos(account.balance_min)
        return None if priced.total is None else priced.total + least

    @property
    def missing(self) -> int | None:
        """How much money is missing, in nanos; None = not known."""
        held, account = self.learned.balance, self.provider.account
        if held is None or account is None:
            return None

        if self.needed is not None:
            return max(0, self.needed - nanos(held))

        too_little = nanos(account.balance_min) - nanos(held)
        return too_little if too_little > 0 else None  # enough for one, but for all?

    @property
    def is_good(self) -> bool:
        """Whether nothing is known that would keep a row from being run."""
        return not self.missing and not (self.priced and self.priced.refused)

    # --- For people ---------------------------------------------------------------------------

    def lines(self) -> Iterator[str]:
        """Yield one line for each thing, its name in front."""
        yield f"key      {self._key_line()}"
        yield f"models   {self._models_line()}"
        yield f"price    {self._price_line()}"
        yield from self._refused_lines()
        yield f"balance  {self._balance_line()}"
        if self.pace is not None:
            yield f"time     {self.pace}"

        for text in self.advice:
            yield f"         {text}"

    def _key_line(self) -> str:
        source, url = plain(self.key_source), plain(self.base_url, 500)
        problem = self.learned.key_problem
        if problem is not None:
            return f"not known whether {source} works: {_told(problem)}"

        return f"{source} works at {url}"

    def _models_line(self) -> str:
        if self.provider.account is None:
            return f"{self.provider.facts.title} has none to ask for"

        problem = self.learned.models_problem
        if problem is not None:
            return f"not read, so their limits are unchecked: {_told(problem)}"

        read = len(self.learned.models)
        return f"{count_text(read)} read" + ("; all rows are checked against them" if read else "")

    def _price_line(self) -> str:
        priced, title = self.priced, self.provider.facts.title
        if priced is None:
            return f"{title} quotes none; --cost-per-job AMOUNT gives the sum"

        if not priced.rows:
            return "nothing to ask for: no row is left"

        if self.cost_per_job is not None:
            each = self._money(nanos(self.cost_per_job))
            return f"{self._money(priced.total or 0)}: {rows_text(priced.rows)} at {each}"

        if priced.total is None:
            return f"not known: {_told(priced.problem)}"

        about = "" if priced.is_exact else "about "
        shown = self._money(priced.total if priced.is_exact else rounded(priced.total))
        head = f"{about}{shown} for {rows_text(priced.rows)}"
        return f"{head}{''.join(_how_known(priced))}"

    def _refused_lines(self) -> Iterator[str]:
        refused = self.priced.refused if self.priced is not None else ()
        for kind in refused[:REFUSED_SHOWN_MAX]:
            yield (
                f"refused  line {count_text(kind.line)}"
                f"{f' and {rows_text(kind.rows - 1)} like it' if kind.rows > 1 else ''}: "
                f"{_told(kind.error)}"
            )

        if len(refused) > REFUSED_SHOWN_MAX:
            yield f"refused  … and {count_text(len(refused) - REFUSED_SHOWN_MAX)} kinds more"

    def _balance_line(self) -> str:
        account = self.provider.account
        if account is None:
            return f"{self.provider.facts.title} tells none; look at its pages"

        held, problem = self.learned.balance, self.learned.balance_problem
        if held is None:
            return f"not known: {_told(problem)}"

        have, least = self._money(nanos(held)), self._money(nanos(account.balance_min))
        if self.missing is None:
            return f"{have}; whether that is enough is not known"

        if not self.missing:
            return f"{have}: enough"

        return (
            f"{have}: not enough, {self._money(self.missing)} missing; with less than {least} "
            "the API takes no submit"
        )

    # --- For programs -------------------------------------------------------------------------

    def as_json(self) -> dict[str, object]:
        """Return the same as one object, told apart by its `kind`."""
        learned, priced, missing = self.learned, self.priced, self.missing
        account = self.provider.account
        return {
            "kind": "preflight",
            "provider": self.provider.facts.name,
            "base_url": self.base_url,
            "currency": None if account is None else account.currency,
            "key": {"source": self.key_source, "problem": _as_json(learned.key_problem)},
            "models": {"read": len(learned.models), "problem": _as_json(learned.models_problem)},
            "price": None if priced is None else _price_json(priced),
            "balance": {
                "amount": learned.balance,
                "minimum": None if account is None else account.balance_min,
                "missing": None if missing is None else amount(missing),
                "enough": None if missing is None else missing == 0,
                "problem": _as_json(learned.balance_problem),
            },
            "time": None if self.pace is None else self.pace.as_json(),
        }

    def _money(self, value: int) -> str:
        account = self.provider.account
        return money_text(value, None if account is None else account.currency)


def rounded(value: int) -> int:
    """Return an estimate, in nanos, without digits that it does not have: three of them."""
    return round(value, min(0, 3 - len(str(value))))


def _how_known(priced: Priced) -> Iterator[str]:
    """Yield how a sum came about."""
    kinds, rows = count_text(priced.kinds), rows_text(priced.rows_priced)
    unpriced = priced.rows - priced.rows_priced
    if not unpriced:
        yield f", of {kinds} kinds that were all asked for" if priced.kinds > 1 else ""
    else:
        yield f"; asked for {count_text(priced.kinds_priced)} of {kinds} kinds ({rows}), "
        yield f"the other {rows_text(unpriced)} at their mean"

    if priced.problem is not None:
        wait_s = priced.asks_to_wait_s
        back = f" (again in {duration_text(wait_s)})" if wait_s is not None else ""
        yield f"; not all was answered{back}: {_told(priced.problem)}"


def _price_json(priced: Priced) -> dict[str, object]:
    return {
        "total": None if priced.total is None else amount(priced.total),
        "exact": priced.is_exact,
        "rows": priced.rows,
        "rows_priced": priced.rows_priced,
        "kinds": priced.kinds,
        "kinds_priced": priced.kinds_priced,
        "refused": [
            {"line": kind.line, "rows": kind.rows, "error": kind.error.as_json()}
            for kind in priced.refused
        ],
        "problem": _as_json(priced.problem),
        "retry_after_s": priced.asks_to_wait_s,
    }


def _as_json(error: RowError | None) -> dict[str, object] | None:
    return None if error is None else error.as_json()


def _told(error: RowError | None) -> str:
    return "no question was asked" if error is None else plain(said(error), 300)
