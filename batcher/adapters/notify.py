"""Telling somebody elsewhere that a run is over: one POST of JSON, or a message by apprise.

Rule: the address is a secret, because it may hold a token: no message here holds any of it. The
call is bounded, follows no redirect, and is tried a few times where that may help.
"""

from __future__ import annotations

import threading
from collections.abc import Awaitable, Callable
from importlib.util import find_spec
from typing import Final

import aiohttp
import anyio
from yarl import URL

from batcher.core.errors import UsageError
from batcher.core.secret import Secret

ANSWER_S: Final = 10.0  # for one try, from the name's look-up to the status
PAUSES_S: Final = (1.0, 3.0)  # before the second try and the third
MESSAGE_S: Final = 30.0  # for apprise as a whole
AGAIN: Final = frozenset({408, 425, 429, *range(500, 600)})  # what may pass in a moment
EXTRA: Final = "apprise"


def refuse_without_apprise() -> None:
    """Raise `UsageError` if messages cannot be sent by apprise."""
    if find_spec(EXTRA) is None:
        raise UsageError(
            '--notify: an address that is not https needs the extra "notify": '
            "pip install 'batcher[notify]'"
        )


async def post(
    address: Secret,
    body: bytes,
    *,
    user_agent: str,
    sleep: Callable[[float], Awaitable[None]] = anyio.sleep,
    answer_s: float = ANSWER_S,
) -> str | None:
    """POST *body*, which is JSON; return what went wrong in the end, or None."""
    problem: str | None = None
    for pause_s in (0.0, *PAUSES_S):
        if pause_s:
            await sleep(pause_s)

        problem, may_pass = await _once(address, body, user_agent, answer_s)
        if problem is None or not may_pass:
            break

    return problem


async def _once(
    address: Secret, body: bytes, user_agent: str, answer_s: float
) -> tuple[str | None, bool]:
    """Return what went wrong with one try, and whether another may help."""
    headers = {"Content-Type": "application/json", "User-Agent": user_agent}
    try:
        with anyio.fail_after(answer_s):
            async with (
                aiohttp.ClientSession(
                    cookie_jar=aiohttp.DummyCookieJar(), trust_env=False
                ) as session,
                session.post(
                    URL(address.reveal()), data=body, headers=headers, allow_redirects=False
                ) as answer,
            ):
                status = answer.status
    except TimeoutError:
        return f"no answer within {answer_s:g} s", True
    except OSError as error:  # aiohttp's errors of connections are such
        return f"cannot be reached: {error.strerror or type(error).__name__}", True
    except (aiohttp.ClientError, ValueError) as error:  # their texts quote the address
        return f"cannot be reached: {type(error).__name__}", not isinstance(error, ValueError)

    if status // 100 == 2:
        return None, False

    moved = "; redirects are not followed" if status // 100 == 3 else ""
    return f"answered HTTP {status}{moved}", status in AGAIN


def send_message(
    address: Secret, title: str, text: str, timeout_s: float = MESSAGE_S
) -> str | None:
    """Send a message by apprise; return what went wrong, or None.

    In a thread that is left behind when it takes too long: what is behind apprise knows no end.
    """
    done: list[str | None] = []
    thread = threading.Thread(
        target=lambda: done.append(_message(address, title, text)), daemon=True
    )
    thread.start()
    thread.join(timeout_s)
    return done[0] if done else f"no answer within {timeout_s:g} s"


def _message(address: Secret, title: str, text: str) -> str | None:
    try:
        import apprise  # an extra: whoever wants it has it

        messenger = apprise.Apprise()
        if not messenger.add(address.reveal()):
            return "apprise does not know such an address"

        return None if messenger.notify(body=text, title=title) else "apprise could not send it"
    except Exception as error:  # a plug-in of apprise, of any kind; its text may quote the address
        return f"apprise failed: {type(error).__name__}"
