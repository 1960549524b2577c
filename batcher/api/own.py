"""Own dialects: another API, by one class."""

from __future__ import annotations

from batcher.core.errors import UsageError
from batcher.providers import PROVIDERS
from batcher.providers.base import Provider


def register(dialect: type[Provider]) -> type[Provider]:
    """Make a dialect known by its `facts.name`, in this process; usable as a decorator.

    `docs/providers.md` tells what a dialect is. Raises `UsageError` if the name is another's.
    """
    name = dialect.facts.name
    if PROVIDERS.setdefault(name, dialect) is not dialect:
        raise UsageError(f"provider {name!r}: there is one of that name")

    return dialect
