"""Every setting of a run in one frozen value: each limit with its unit, default and reason.

Rule: the command line builds it, nothing else reads flags, environment or files. `Frozen` is what a
run is about and never changes; `Settings` may change with every resume.
"""

from __future__ import annotations

from typing import Literal

import msgspec


class Frozen(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a run is: written to `run.toml` at its start and compared at every resume."""

    provider: str
    base_url: str
    manifest: str  # absolute path, or "-" for standard input
    params: dict[str, object] = {}  # --set
    download: str | None = None  # absolute path
    shards: int | None = None  # --workers: parts of the manifest; None = one process does it all
    shard: int | None = None  # of these, from 0, in the directory of a part


class Settings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How a run goes about it. Durations end in `_s`; None = no such limit."""

    # Pace: `None` takes the provider's published limit, or our cautious one; "auto" finds it.
    rate: str | None = None
    status_rate: str | None = None
    in_flight: int = 200  # remote jobs open at once: enough to fill any limit we know of
    connections: int | Literal["auto"] = 32  # requests open at once: more sockets bring little

    # One request
    submit_timeout_s: float = 120.0  # a 10 MB upload on a slow line
    status_timeout_s: float = 30.0
    download_stall_s: float = 60.0  # a download may take long, but not stand still
    download_bytes_max: int = 200_000_000  # deAPI caps results at 100 MB; twice that is an error
    variants: tuple[str, ...] = ()  # of several results only these are fetched; () = all

    # One row
    max_attempts: int = 5
    job_timeout_s: float = 900.0
    on_doubt: Literal["hold", "resubmit"] = "hold"
    max_duplicates: int = 0  # with on_doubt="resubmit": rows that may be paid twice
    on_500: Literal["retry", "hold"] = "retry"  # deAPI: its own advice, or doubt
    allow_changed: bool = False
    allow_private: bool = False
    new_key: bool = False  # the API key was replaced by another one of the same account

    # The whole run
    limit: int | None = None  # the run is the first N rows
    max_jobs: int | None = None  # over the whole run
    max_cost: float | None = None  # in the provider's currency, over the whole run, less refunds
    cost_per_job: float | None = None  # what a job costs where the API quotes no price
    quote: bool = False  # ask the API for the price of each row before it is submitted
    max_failures: str | None = None  # "100" or "5%"
    # Bytes: with less left on a disk that is written to, nothing new is begun. 64 MiB may stand in
    # the journal's log, and 200 jobs in flight have results of about 1 MB to be fetched. 0 = off.
    min_free: int = 256_000_000
    max_wait_s: float = 900.0  # a longer wait ends the run instead
    max_outage_s: float = 900.0
    max_duration_s: float | None = None  # per process
    finish_by: float | None = None  # epoch seconds
    wait_for_credits: bool = False

    # Webhooks, where the API has them: both or none
    webhook_listen: str | None = None  # HOST:PORT to receive at
    webhook_url: str | None = None  # the https address by which the API reaches that
    claim_wait_s: float = 120.0  # for the call of a job whose submit was not answered
    grace_s: float = 30.0  # after the first SIGINT: time for running submits to be answered

    @property
    def connections_max(self) -> int:
        """How many requests may be open at once, whatever is found out."""
        return CONNECTIONS_AUTO_MAX if self.connections == "auto" else self.connections


CONNECTIONS_AUTO_MAX = 256  # sockets: far below the files that a process may have open
LINE_BYTES_MAX = 4_194_304  # of a manifest: a row is a few hundred bytes; 4 MiB is a broken file
RAW_CHARS_MAX = 2_000  # of an unreadable line, kept in its record
ID_CHARS_MAX = 512
JOB_ID_CHARS_MAX = 512
STATUS_BYTES_MAX = 1_048_576  # an API's answer: ids and URLs; 1 MiB is a hundred times more
ADMIT_ROWS = 1_000  # rows that are read, checked and admitted at a time
