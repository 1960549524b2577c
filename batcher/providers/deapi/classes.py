"""Which jobs of deAPI take about as long as each other."""

from __future__ import annotations

from collections.abc import Mapping

WORK_MAX = 10**12  # pixels times steps: more is no picture


def class_of(sent: Mapping[str, object]) -> str:
    """Return a name for the jobs that are like this one: task, model, and the size of the work."""
    names = [str(sent[name])[:80] for name in ("task", "model") if sent.get(name)]
    work = 1
    for name in ("width", "height", "steps"):
        value = sent.get(name)
        if isinstance(value, int) and value > 0:
            work *= value

    if work > 1:
        names.append(f"2^{min(work, WORK_MAX).bit_length() - 1}")

    return " ".join(names)
