"""deAPI's routes, of version 2 and of version 1: one table, and what a path stands for.

Rule: both versions serve the same jobs, models and account; only paths differ, and the fields that
version 1 lacks. Sources: https://docs.deapi.ai/openapi-v2.json and https://docs.deapi.ai/openapi.json.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Final

from batcher.simulator.deapi.catalogue import TASKS, Task


class Kind(Enum):
    """What a route is for."""

    SUBMIT = "submit"
    PRICE = "price"
    JOB = "job"
    BALANCE = "balance"
    MODELS = "models"

    @property
    def method(self) -> str:
        """Return the one method that such routes take."""
        return "POST" if self in (Kind.SUBMIT, Kind.PRICE) else "GET"


@dataclass(frozen=True, slots=True)
class Route:
    """What a path stands for. `task` is that of submits and prices."""

    kind: Kind
    version: int
    task: Task | None = None
    job_id: str = ""


_JOBS: Final = {"/api/v2/jobs/": 2, "/api/v1/client/request-status/": 1}


def route_of(path: str) -> Route | None:
    """Return the route of a path, or None."""
    found = _ROUTES.get(path)
    if found is not None:
        return found

    for prefix, version in _JOBS.items():
        job_id = path.removeprefix(prefix)
        if job_id and job_id != path and "/" not in job_id:
            return Route(Kind.JOB, version, job_id=job_id)

    return None


def _routes() -> Mapping[str, Route]:
    routes = {
        "/api/v2/account/balance": Route(Kind.BALANCE, 2),
        "/api/v2/models": Route(Kind.MODELS, 2),
        "/api/v1/client/balance": Route(Kind.BALANCE, 1),
        "/api/v1/client/models": Route(Kind.MODELS, 1),
    }
    for task in TASKS.values():
        second, first = f"/api/v2/images/{task.word}", f"/api/v1/client/{task.slug}"
        routes[second] = Route(Kind.SUBMIT, 2, task)
        routes[f"{second}/price"] = Route(Kind.PRICE, 2, task)
        routes[first] = Route(Kind.SUBMIT, 1, task)
        routes[f"{first}/price-calculation"] = Route(Kind.PRICE, 1, task)

    return routes


_ROUTES: Final = _routes()
