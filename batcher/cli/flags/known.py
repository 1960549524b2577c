"""Which providers there are: batcher's own, those that a program registered, and installed ones.

A package makes its dialect known by an entry point of the group `batcher.providers`. Looking
through all that is installed takes a while, so that is done for a name that nobody else knows.
"""

from __future__ import annotations

from typing import Any

import click
from click.shell_completion import CompletionItem

from batcher.core.errors import UsageError
from batcher.providers import PROVIDERS

GROUP = "batcher.providers"


def find_provider(name: str) -> bool:
    """Whether there is a provider of that name; an installed one is made known.

    Raises `UsageError` if a package has it and it cannot be loaded.
    """
    if name in PROVIDERS:
        return True

    from importlib.metadata import entry_points

    for found in entry_points(group=GROUP, name=name):
        try:
            PROVIDERS[name] = found.load()
        except Exception as error:
            raise UsageError(
                f"provider {name!r}: {found.value} cannot be loaded: {error}"
            ) from error

    return name in PROVIDERS


class ProviderName(click.ParamType):  # type: ignore[type-arg]  # generic from click 8.4 on
    """The name of a provider."""

    name = "provider"

    def get_metavar(self, param: click.Parameter, ctx: click.Context) -> str:
        """Return the names as `--help` shows them."""
        return f"[{'|'.join(PROVIDERS)}]"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Return a name that is known."""
        if not find_provider(str(value)):
            names = ", ".join(repr(name) for name in PROVIDERS)
            self.fail(f"{value!r} is not one of {names}.", param, ctx)

        return str(value)

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        """Return the names that begin so."""
        return [CompletionItem(name) for name in PROVIDERS if name.startswith(incomplete)]
