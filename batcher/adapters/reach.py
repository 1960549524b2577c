"""Whether a server can be reached at all, and what its clock says: one request without a key.

Rule: it asks for nothing (HEAD), follows no redirect and reads no body. Any answer will do.
"""

from __future__ import annotations

from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Final

import aiohttp
import anyio
from yarl import URL

ANSWER_S: Final = 10.0


@dataclass(frozen=True, slots=True)
class Reached:
    """What came of it. `problem` None: there was an answer."""

    problem: str | None = None
    date: float | None = None  # of its Date header (RFC 9110, 6.6.1), epoch seconds


async def reach(base_url: str, *, user_agent: str, timeout_s: float = ANSWER_S) -> Reached:
    """Send one HEAD to *base_url*."""
    try:
        with anyio.fail_after(timeout_s):
            async with (
                aiohttp.ClientSession(
                    cookie_jar=aiohttp.DummyCookieJar(), trust_env=False
                ) as session,
                session.head(
                    URL(base_url), allow_redirects=False, headers={"User-Agent": user_agent}
                ) as answer,
            ):
                return Reached(date=_epoch_s(answer.headers.get("Date")))
    except TimeoutError:
        return Reached(f"no answer within {timeout_s:g} s")
    except aiohttp.ClientConnectorDNSError:
        return Reached("its name is not known here (DNS)")
    except aiohttp.ClientConnectorCertificateError:
        return Reached("its certificate is not one that this machine trusts")
    except aiohttp.ClientSSLError:
        return Reached("TLS failed")
    except OSError as error:  # aiohttp's errors of connections are such
        return Reached(error.strerror or type(error).__name__)
    except (aiohttp.ClientError, ValueError) as error:
        return Reached(f"it does not speak HTTP ({type(error).__name__})")


def _epoch_s(text: str | None) -> float | None:
    try:
        return None if text is None else parsedate_to_datetime(text).timestamp()
    except (ValueError, TypeError, OverflowError):
        return None
