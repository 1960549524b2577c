"""A manifest that changes between two processes: what is sent, what is refused, what is told.

Of six rows the first three were sent and have ended; the other three are pending. Then somebody
does something to the file, and the same command is given again. The API's ledger says what was
sent; the message is compared to the letter.
"""

from __future__ import annotations

import gzip
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import orjson
import pytest

from batcher.core.errors import UsageError
from tests.engine.harness import Night
from tests.support import pictures
from tests.support.figures import Figures

pytestmark = pytest.mark.virtual

SENT = 3  # rows that the first process submits, of
ROWS = 6
Edit = Callable[[Path, list[bytes]], None]


def line(n: int, **values: object) -> bytes:
    """Return a row as a line of the manifest."""
    row: dict[str, object] = {"id": f"sku-{n}", "file_url": f"https://shop.example/{n}.jpg"}
    return orjson.dumps({**row, **values}) + b"\n"


def lines(change: Callable[[list[bytes]], Sequence[bytes]]) -> Edit:
    """Return an edit that makes other lines of the lines."""

    def edit(path: Path, old: list[bytes]) -> None:
        path.write_bytes(b"".join(change(old)))

    return edit


def put(n: int, new: bytes) -> Edit:
    """Return an edit that puts another line, or none, in the place of the n-th."""
    return lines(lambda old: [*old[:n], new, *old[n + 1 :]])


def folder(path: Path, _: list[bytes]) -> None:
    """Put a folder where the file was."""
    path.unlink()
    path.mkdir()


def picture(path: Path, _: list[bytes]) -> None:
    """Put a picture where the file was."""
    path.write_bytes(pictures.png())


def link(path: Path, old: list[bytes]) -> None:
    """Move the file and leave a link to it."""
    path.rename(path.with_name("moved.jsonl"))
    path.symlink_to("moved.jsonl")


OTHER = {"file_url": "https://shop.example/other.jpg"}
PENDING = {f"{n}": 1 for n in range(SENT, ROWS)}
GONE = "rows that are no longer in the manifest are not sent; they stay pending: "
LATE = (
    "changed after it was sent; it stays as sent, and so does any other like it (see log.jsonl). A "
    "new id makes it a new row"
)
CHANGED = (
    "has changed since the run began and waits to be submitted; put it back, or pass "
    "--allow-changed to send it as it is now"
)
REPEATED = "another row before it has the id"


@dataclass(frozen=True)
class Case:
    """One thing that somebody does to the file, and what must come of it."""

    name: str
    edit: Edit
    sent: dict[str, int]  # submits of this process, by the name of the picture
    refused: str = ""  # the error of the command, whole; PATH stands for the manifest
    told: str = ""  # the notice
    failed: tuple[str, ...] = ()  # the errors of rows that cannot be used
    allow: bool = False  # --allow-changed
    at_most: bool = False  # rows before the refused line may have been sent already


CASES = (
    Case("nothing", lines(list), PENDING),
    Case("appended", lines(lambda old: [*old, line(6)]), PENDING | {"6": 1}),
    Case("prepended", lines(lambda old: [line(6), *old]), PENDING | {"6": 1}),
    Case(
        "edited-before-its-submit",
        put(4, line(4, **OTHER)),
        PENDING,
        refused=f"PATH, line 5: row 'sku-4' {CHANGED}",
        at_most=True,
    ),
    Case(
        "edited-before-its-submit-and-allowed",
        put(4, line(4, **OTHER)),
        {"3": 1, "other": 1, "5": 1},
        allow=True,
    ),
    Case(
        "value-added-before-its-submit",
        put(3, line(3, mode="clipping")),
        PENDING,
        refused=f"PATH, line 4: row 'sku-3' {CHANGED}",
        at_most=True,
    ),
    Case(
        "edited-after-its-submit",
        put(1, line(1, **OTHER)),
        PENDING,
        told=f"line 2, row 'sku-1': {LATE}",
    ),
    Case(
        "edited-after-its-submit-and-allowed",
        put(1, line(1, **OTHER)),
        PENDING,
        told=f"line 2, row 'sku-1': {LATE}",
        allow=True,
    ),
    Case(
        "two-pending-rows-swap-their-ids",
        lines(lambda old: [*old[:3], line(4).replace(b"4.jpg", b"3.jpg"), *old[4:]]),
        PENDING,
        refused=f"PATH, line 4: row 'sku-4' {CHANGED}",
        at_most=True,
    ),
    Case("deleted-before-its-submit", put(4, b""), {"3": 1, "5": 1}, told=f"{GONE}'sku-4'"),
    Case("deleted-after-its-submit", put(1, b""), PENDING),
    Case("emptied", lines(lambda old: []), {}, told=f"{GONE}'sku-3', 'sku-4', 'sku-5'"),
    Case("reordered", lines(lambda old: old[::-1]), PENDING),
    Case("keys-reordered", lines(lambda old: [_turned(text) for text in old]), PENDING),
    Case("blanks-in-the-lines", lines(lambda old: [_loose(text) for text in old]), PENDING),
    Case("blank-lines", lines(lambda old: [b"\n \n" + text for text in old]), PENDING),
    Case("windows-line-ends", lines(lambda old: [t[:-1] + b"\r\n" for t in old]), PENDING),
    Case("byte-order-mark", lines(lambda old: [b"\xef\xbb\xbf", *old]), PENDING),
    Case("no-last-line-end", lines(lambda old: [*old[:-1], old[-1][:-1]]), PENDING),
    Case("gzip", lines(lambda old: [gzip.compress(b"".join(old))]), PENDING),
    Case("link", link, PENDING),
    Case(
        "half-of-a-gzip",
        lines(lambda old: [gzip.compress(b"".join(old))[:40]]),
        {},
        refused="PATH: cannot be read after line 0: Compressed file ended before the "
        "end-of-stream marker was reached",
    ),
    Case(
        "repeated-before-its-submit",
        lines(lambda old: [*old, old[4]]),
        PENDING,
        failed=(f"line 7: {REPEATED} 'sku-4'",),
    ),
    Case(
        "repeated-with-other-content",
        lines(lambda old: [*old, line(4, **OTHER)]),
        PENDING,
        failed=(f"line 7: {REPEATED} 'sku-4'",),
    ),
    Case(
        "repeated-after-its-submit",
        lines(lambda old: [old[1], *old]),
        PENDING,
        failed=(f"line 3: {REPEATED} 'sku-1'",),
    ),
    Case(
        "broken-line-appended",
        lines(lambda old: [*old, b'{"id": "sku-6", \xff}\n']),
        PENDING,
        failed=("line 7 is not UTF-8; save the file as UTF-8",),
    ),
    Case(
        "still-being-written",
        lines(lambda old: [*old, line(6)[:20]]),
        PENDING,
        failed=("line 7 is incomplete",),
    ),
    Case(
        "renamed-before-its-submit",
        put(4, line(4, id="new-4")),
        PENDING,
        told=f"{GONE}'sku-4'",
    ),
    Case("renamed-after-its-submit", put(1, line(1, id="new-1")), PENDING | {"1": 1}),
    Case(
        "another-file",
        lines(lambda old: [line(n) for n in (7, 8)]),
        {"7": 1, "8": 1},
        told=f"{GONE}'sku-3', 'sku-4', 'sku-5'",
    ),
    Case(
        "a-table-under-the-name-of-json-lines",
        lines(lambda old: [b"id,file_url\n", b"sku-3,https://shop.example/3.jpg\n"]),
        {},
        told=f"{GONE}'sku-3', 'sku-4', 'sku-5'",
        failed=("line 1 is not JSON", "line 2 is not JSON"),
    ),
    Case(
        "folder",
        folder,
        {},
        refused="PATH: is a folder, but has the name of a file of rows; rename it",
    ),
    Case(
        "picture",
        picture,
        {},
        refused="PATH: is an image (png), not a manifest; name its folder, or a list of rows",
    ),
    Case(
        "deleted",
        lambda path, _: path.unlink(),
        {},
        refused="manifest 'PATH' cannot be read: No such file or directory",
    ),
)


def _turned(text: bytes) -> bytes:
    values = orjson.loads(text)
    return orjson.dumps({key: values[key] for key in reversed(values)}) + b"\n"


def _loose(text: bytes) -> bytes:
    return text.replace(b":", b" :  ").replace(b" :  //", b"://")


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
async def test_what_a_changed_manifest_leads_to(
    case: Case, tmp_path: Path, figures: Figures
) -> None:
    """Each change has its rule: what is sent, the exact words, and no row that is paid twice."""
    night = Night(tmp_path)
    night.write_urls(ROWS)
    stop = await night.process(max_jobs=SENT)
    assert stop is not None
    assert night.counts() == {"succeeded": SENT}
    before, ended = submits(night), night.records("succeeded")
    case.edit(night.manifest, night.manifest.read_bytes().splitlines(keepends=True))
    night.log.seen.clear()
    error = ""
    try:
        assert await night.process(allow_changed=case.allow) is None
    except UsageError as refused:
        error = str(refused).replace(str(night.manifest), "PATH")

    sent = {name: count - before.get(name, 0) for name, count in submits(night).items()}
    sent = {name: count for name, count in sent.items() if count}
    twice = [name for name, jobs in night.simulation.ledger.duplicates().items() if jobs > 1]
    is_renamed = case.name == "renamed-after-its-submit"  # a new id is a new row
    figures.add("changed manifests", {"changes": 1, "paid twice": len(twice) - is_renamed})
    assert error == case.refused
    assert sent == case.sent or (case.at_most and sent.items() <= case.sent.items())
    assert told(night) == ([case.told] if case.told else [])
    assert len(twice) == is_renamed
    messages = [record["error"]["message"] for record in night.records("failed")]
    assert len(messages) == len(case.failed)
    assert all(m.startswith(f) for m, f in zip(messages, case.failed, strict=True))
    assert night.records("succeeded")[:SENT] == ended


def submits(night: Night) -> dict[str, int]:
    """Return how often each picture was submitted."""
    traces = night.simulation.ledger.references.items()
    return {Path(name).stem: trace.submits for name, trace in traces}


def told(night: Night) -> list[str]:
    """Return the notices about rows."""
    about = ("rows.vanished", "rows.changed_late")
    return [str(values["message"]) for _, event, values in night.log.seen if event in about]
