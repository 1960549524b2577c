"""A simulator in a process of its own: `python -m tests.simulator.serve_process removit`.

For tests that kill clients. It prints its base URL on the first line of standard output and serves
until it is terminated.
"""

from __future__ import annotations

import argparse
import functools

import anyio

from batcher.simulator import FaultPlan, Simulation, serve
from batcher.simulator.service import TEST_KEY


def main() -> None:
    """Serve what the command line asks for."""
    parser = argparse.ArgumentParser()
    parser.add_argument("api", choices=("removit", "deapi"))
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--faults", default="")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--key", default=TEST_KEY)
    parser.add_argument("--files-port", type=int)
    parser.add_argument("--webhook-via")
    parser.add_argument("--uvloop", action="store_true")
    told = parser.parse_args()
    simulation = Simulation(told.api, FaultPlan.parse(told.faults), told.seed, keys=(told.key,))
    announce = functools.partial(print, flush=True)
    anyio.run(
        functools.partial(
            serve,
            simulation,
            port=told.port,
            on_ready=announce,
            files_port=told.files_port,
            webhook_via=told.webhook_via,
        ),
        backend_options={"use_uvloop": told.uvloop},
    )


if __name__ == "__main__":
    main()
