"""What can go wrong with a run, as one small tree by whose fault it is.

A row that fails is data (`core.model.RowError`) and never an exception. These end the run:

    BatcherError
    ├── UsageError        the user's: flags, configuration, a manifest that cannot be used   exit 2
    ├── RunBusy           another process owns the run directory                             exit 5
    ├── StorageError      the machine's: journal or disk failed                              exit 74
    │   └── Fenced        another process took this run over
    └── IllegalMove       ours: a row was moved in a way the lifecycle forbids               exit 1

Two more never leave the engine. They say what became of a request that got no answer:

    TransportError
    ├── NotSent           proof that nothing reached the API
    └── Lost              some of it may have left; what the API did is unknown
"""

from __future__ import annotations

import errno

# What this machine, not the network, says when it has no more to give: descriptors, memory, ports.
OUR_LIMITS = frozenset(
    {errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOBUFS, errno.EADDRNOTAVAIL}
)


class BatcherError(Exception):
    """Something ended the run. `str()` is one line for a person: what, where, how to mend."""

    exit_code = 1


class UsageError(BatcherError):
    """The command, its configuration or its manifest cannot be used."""

    exit_code = 2


class RunBusy(BatcherError):
    """Another process owns the run directory."""

    exit_code = 5


class StorageError(BatcherError):
    """The journal or the disk failed; what was acknowledged before is safe."""

    exit_code = 74
    disk_full = False  # true: there was no room, nothing was written, and the call may be repeated


class Fenced(StorageError):
    """Another process has taken this run over; this one must stop writing at once."""

    exit_code = 5


class IllegalMove(BatcherError):
    """A row was moved in a way that the lifecycle forbids: a bug in batcher."""

    def __init__(self, state: object, step: object) -> None:
        super().__init__(f"a row in state {state!s} cannot {step!s}")


class TransportError(Exception):
    """A request got no answer. `reason` is a short text without secrets."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class NotSent(TransportError):
    """Nothing of the request can have reached the API.

    `local`: the reason is this machine's (a file, a limit of the system), so it says nothing of the
    network or the API.
    """

    def __init__(self, reason: str, *, local: bool = False) -> None:
        super().__init__(reason)
        self.local = local


class Lost(TransportError):
    """Some of the request may have left; nobody knows what the API did with it."""
