"""How deAPI's answers are read: its error envelopes, its differences from the table, its jobs.

Rule: every era of the error envelope is read (the docs declare the older one wrong, but it is still
in their specification); codes and field names decide, message texts never do.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from batcher.core.exchange import Response
from batcher.core.model import ErrorKind, Refund, Result, RowError
from batcher.core.settings import RAW_CHARS_MAX
from batcher.core.verdict import Done, Halt, JobFailed, Later, Pending, StatusVerdict
from batcher.providers import answers, reading, waiting
from batcher.providers.answers import Said

PENDING = frozenset({"pending", "processing", "in_progress", "queued", "in_queue", "waiting"})
DONE = frozenset({"done", "completed"})
FAILED = frozenset({"error", "failed"})

REASONS = frozenset(  # an open list: another one is acted on all the same, and told
    {
        *("SOURCE_PRIVATE", "SOURCE_RESTRICTED", "SOURCE_UNPROCESSABLE", "SOURCE_DOWNLOAD_FAILED"),
        *("INPUT_TOO_LARGE", "TIMEOUT", "CAPACITY_UNAVAILABLE", "PROCESSING_FAILED"),
    }
)
OUT_OF_CREDITS = frozenset({"insufficient_balance", "key_limit_exceeded"})
FORBIDDEN = {  # https://docs.deapi.ai/api-keys; a suspended account has a message and no code
    "ip_not_allowed": "the key does not allow this machine's IP address",
    "insufficient_permissions": "the key's role does not allow this call",
}
MINUTE_WAIT_S = 60.0  # what the docs give as Retry-After of a minute limit
WHY_CHARS_MAX = 180  # of a failed job's message: the reason and the time stand beside it
DAILY_WAIT_S = 3_600.0  # of a day limit that says nothing: its end is unknown, minutes are wrong


def said(body: Mapping[str, Any]) -> Said:
    """Read an error body of any era.

    E4 and E5: `message`, `errors` as an object, `code`. E2: `errors` as a list, `statusCode`. Met
    beside them: `error` as a word, as a phrase, or as an object with `message` and `code`.
    """
    error = body.get("error")
    nested = reading.as_object(error)
    messages = (body.get("message"), nested.get("message"), error)
    code = body.get("code") or nested.get("code")
    return Said(
        message=next((text for text in map(reading.text_of, messages) if text), ""),
        code=reading.text_of(code, reading.WORD_CHARS_MAX) or None,
        fields=reading.fields_of(body.get("errors")),
        request_id=reading.text_of(body.get("request_id"), reading.WORD_CHARS_MAX) or None,
    )


def refusal(response: Response, body: Mapping[str, Any], heard: Said) -> Halt | Later | None:
    """Return what deAPI means by a refused submit where that is not in the common table."""
    status = response.status
    if status == 402 or (400 <= status < 500 and status != 429 and is_out_of_credits(heard)):
        return _out_of_credits(response, body, heard)

    if status == 500 and _is_own_error(body):
        error = answers.row_error(ErrorKind.UNAVAILABLE, response, heard)
        return Later(error, waiting.retry_after_s(response), resubmission=True)

    return _on_every_lane(response, body, heard)


def _on_every_lane(response: Response, body: Mapping[str, Any], heard: Said) -> Halt | Later | None:
    """Return what submits and status reads have in common: 403 and 429."""
    match response.status:
        case 403:
            return answers.halt(response, heard, 403, forbidden_message(response, heard))
        case 429:
            return throttled(response, body, heard)
        case _:
            return None


def is_out_of_credits(heard: Said) -> bool:
    """Tell a low balance or a spent key limit by either of its signs."""
    return heard.code in OUT_OF_CREDITS or "balance" in (heard.fields or {})


def _out_of_credits(response: Response, body: Mapping[str, Any], heard: Said) -> Halt:
    """Read a low balance, or a key's spend limit with the time at which it opens again."""
    resets_at = reading.text_of(body.get("resets_at"), reading.WORD_CHARS_MAX)
    message = f"{heard.text} (resets at {resets_at})".lstrip() if resets_at else heard.text
    opens_at = waiting.moment_of(body.get("resets_at"), response.received_at)
    return answers.halt(response, heard, 402, message, opens_at)


def forbidden_message(response: Response, heard: Said) -> str:
    """Say which of the known reasons for a 403 it is."""
    if reading.is_page(response):
        page = reading.readable(response)
        return f"blocked before the API (its edge refused this client or address): {page}"

    reason = FORBIDDEN.get(heard.code or "")
    return f"{reason}: {heard.text}" if reason else heard.text


def throttled(response: Response, body: Mapping[str, Any], heard: Said) -> Later:
    """Read a 429: which window it is about, and how long it stays shut."""
    daily = response.headers.get("x-ratelimit-type", "").strip().lower() == "daily"
    wait_s = waiting.retry_after_s(response)
    if wait_s is None and daily:
        wait_s = _until_daily_reset_s(response)

    if wait_s is None:
        wait_s = waiting.wait_of(body.get("retry_after"))

    if wait_s is None:
        wait_s = DAILY_WAIT_S if daily else MINUTE_WAIT_S

    return replace(answers.throttled(response, heard), retry_after_s=wait_s, daily=daily)


def _until_daily_reset_s(response: Response) -> float | None:
    """Return the seconds until the day's window opens, by its epoch-second header.

    At least a minute: two clocks may differ, and a 429 says that the window is not open yet.
    """
    reset = reading.number_of(response.headers.get("x-ratelimit-daily-reset"))
    wait_s = None if reset is None else waiting.wait_of(reset - response.received_at)
    return None if wait_s is None else max(MINUTE_WAIT_S, wait_s)


def _is_own_error(body: Mapping[str, Any]) -> bool:
    """Tell whether a 500 is the API's own word: a message, and no data of any job."""
    return isinstance(body.get("message"), str) and not body.get("data")


def read_status(response: Response, body: Mapping[str, Any]) -> StatusVerdict:
    """Say what an answer to a status read means: only a 2xx speaks of the job itself."""
    if not 200 <= response.status < 300:
        heard = said(body)
        return _on_every_lane(response, body, heard) or answers.status_verdict(response, heard)

    job = reading.as_object(body.get("data"))
    word = reading.word_of(job.get("status"))
    if word in DONE:
        return Done(_result(job))

    if word in FAILED:
        return _failed(response, job)

    if not word:
        return answers.status_verdict(response, said(body))

    progress = reading.number_of(job.get("progress"))
    return Pending(word, progress, word not in PENDING, waiting.retry_after_s(response))


def _result(job: Mapping[str, Any]) -> Result:
    """Read what a job that is done hands out. The URLs are pre-signed and expire."""
    alternates = reading.as_object(job.get("results_alt_formats"))
    named = {
        "result": job.get("result_url"),
        "jpg": alternates.get("jpg"),
        "webp": alternates.get("webp"),
    }
    urls = {name: url for name, value in named.items() if (url := reading.url_of(value))}
    return Result(urls, _text(job.get("result")), warnings=_boost(job), cost=_cost(job))


def _boost(job: Mapping[str, Any]) -> dict[str, list[str]]:
    """Return the prompts that `enhance_prompt` put in the place of the row's own.

    They stand among the warnings, because the picture is of another prompt than the row says.
    """
    boost, chars_max = reading.as_object(job.get("prompt_boost")), RAW_CHARS_MAX
    if not boost:
        return {}

    named = {
        name: reading.text_of(boost.get(name), chars_max) for name in ("prompt", "negative_prompt")
    }
    return {f"prompt_boost.{name}": [text] for name, text in named.items() if text}


def _text(value: object) -> str | None:
    """Return a text result; one that came as JSON is kept as JSON, nothing at all is None."""
    if value is None or value == "":
        return None

    return value if isinstance(value, str) else reading.json_text(value)


def _cost(job: Mapping[str, Any]) -> float | None:
    """Return what the API says that the job cost, in USD; a partner's model may be unsettled."""
    amount = reading.amount_of(reading.as_object(job.get("price")).get("amount"))
    return amount if amount is None or amount >= 0 else None


def _failed(response: Response, job: Mapping[str, Any]) -> JobFailed:
    """Read a failed job. Only the plain booleans count: a rerun on a guess would cost money.

    `refunded: false` is kept money or money that was never taken, so it needs a person.
    """
    retryable, refunded = job.get("retryable") is True, job.get("refunded")
    error = RowError(
        kind=ErrorKind.REJECTED,
        message=_why(job),
        http_status=response.status,
        code=reading.text_of(job.get("error_code"), reading.WORD_CHARS_MAX) or None,
        retriable=retryable,
        request_id=reading.request_id_of(response),
    )
    return JobFailed(
        error,
        refund=None
        if refunded is None
        else Refund.DONE
        if refunded is True
        else Refund.UNCONFIRMED,
        refund_raw=reading.raw_of(refunded),
        rerun=retryable and refunded is True,
        cost=_cost(job),
    )


def _why(job: Mapping[str, Any]) -> str:
    """Return why a job failed as one line: reason, message, when; the record has no other place."""
    reason = reading.text_of(job.get("error_reason"), reading.WORD_CHARS_MAX)
    message = reading.text_of(job.get("error_message"), WHY_CHARS_MAX)
    failed_at = reading.text_of(job.get("failed_at"), reading.WORD_CHARS_MAX)
    notes = [f"failed at {failed_at}"] if failed_at else []
    if reason and reason not in REASONS:
        notes.append("an undocumented reason")

    text = ": ".join(filter(None, (reason, message))) or "the job failed, no reason given"
    return reading.clean(f"{text} ({'; '.join(notes)})" if notes else text)
