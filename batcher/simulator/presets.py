"""Named fault plans, written as anybody would type them. `FaultPlan.parse` takes the names.

Rule: `calm` is an API on a good day, `flaky` what a long night brings, `nightly` the same for a
paying deAPI account with webhooks, `hostile` every fault of calls and jobs at once.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

PRESETS: Final[Mapping[str, str]] = {
    "calm": "duration=lognormal:2:0.4",
    "flaky": (
        "duration=lognormal:2:0.6,latency=lognormal:0.05:0.5,lag=0.5,"
        "drop_before=0.02,drop_after=0.02,429=0.03,retry_after_s=2,503=0.02,"
        "status_error=0.03,status_drop=0.02,unknown_word=0.05,"
        "rejected=0.03,refund_unconfirmed=0.2,partial=0.05"
    ),
    "nightly": (
        "duration=lognormal:6:0.6,latency=lognormal:0.1:0.5,lag=0.5,"
        "tier=premium,era=e5,hide_daily=0.2,"
        "drop_after=0.01,503=0.01,error_before=0.005,html=0.3,status_error=0.02,status_drop=0.01,"
        "rejected=0.03,retryable=0.5,refund_unconfirmed=0.1,refund_none=0.1,bare_job=0.05,"
        "hollow=0.01,url_expires_s=3600,file_error=0.02,file_cut=0.01,"
        "hook_lost=0.02,hook_duplicate=0.05,hook_delay=lognormal:0.5:1,hook_stale=0.01"
    ),
    "hostile": (
        "duration=bimodal:1:20:0.1,latency=lognormal:0.1:1,lag=1,missing_s=0.5,"
        "no_connect=0.02,drop_before=0.05,drop_after=0.05,garbled=0.02,hang=0.01,"
        "429=0.1,retry_after_s=3,bare_429=0.2,503=0.05,500=0.02,html=0.5,"
        "status_error=0.1,status_drop=0.05,status_garbled=0.02,status_throttle=0.05,unknown_word=0.1,"
        "rejected=0.1,rejected_503=0.5,refund_already=0.2,refund_unconfirmed=0.2,"
        "refund_none=0.2,retryable=0.5,stuck=0.01,forgotten=0.01,"
        "partial=0.1,hollow=0.1,hollow_reads=2,"
        "url_expires_s=60,file_error=0.05,file_cut=0.05,"
        "hook_lost=0.1,hook_duplicate=0.1,hook_delay=lognormal:1:1.5,hook_bad_signature=0.05,"
        "hook_unsigned=0.05,hook_stale=0.05,hook_garbled=0.05"
    ),
}
