"""`--max-duration` and `--finish-by`: the run ends by the clock.

Rule: at its time the run is interrupted like by a signal: running submits are answered, jobs that
were accepted are kept for `resume`. The wall clock is read again every minute, because it may be
set, and because a machine may sleep.
"""

from __future__ import annotations

import time

import anyio

from batcher.core.model import Stop, StopReason
from batcher.core.settings import Settings
from batcher.engine.run import Run
from batcher.report.text import duration_text

LOOK_EVERY_S = 60.0


def time_left_s(settings: Settings, elapsed_s: float, now: float) -> float | None:
    """Return how long the run may still go on; None = as long as it likes."""
    left = []
    if settings.max_duration_s is not None:
        left.append(settings.max_duration_s - elapsed_s)

    if settings.finish_by is not None:
        left.append(settings.finish_by - now)

    return max(0.0, min(left)) if left else None


async def stop_in_time(run: Run, settings: Settings) -> None:
    """Stop *run* when its time is up."""
    began = time.monotonic()
    while (left_s := time_left_s(settings, time.monotonic() - began, time.time())) is not None:
        if not left_s:
            ran = duration_text(time.monotonic() - began)
            message = f"its time was up after {ran}; accepted jobs go on and `resume` collects them"
            run.control.interrupt(Stop(StopReason.DEADLINE, message))
            return

        await anyio.sleep(min(left_s, LOOK_EVERY_S))
