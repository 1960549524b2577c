"""The log: whole lines of JSON, in order, without a secret."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from batcher.adapters.logs import open_log
from batcher.adapters.logs_redaction import MARGIN_CHARS, TEXT_CHARS_MAX, Redaction
from batcher.core.errors import StorageError, UsageError
from batcher.core.log import Log
from batcher.core.secret import Secret

CANARY = '42|ca"na\\ry/+key'


def lines(path: Path) -> list[dict[str, Any]]:
    """Return the events in a log file."""
    return [orjson.loads(line) for line in path.read_bytes().splitlines()]


def test_an_event_is_one_line_with_time_level_and_name(tmp_path: Path) -> None:
    """Time is UTC, a value cannot take the place of our own keys, and nothing is left out."""
    path = tmp_path / "log.jsonl"
    log = open_log(path, clock=lambda: 1_800_000_000.5)
    port: Log = log
    port.info("job.accepted", id="sku-1", n=3, time="mine", nested={"a": [1, None]})
    log.close()
    assert lines(path) == [
        {
            "time": "2027-01-15T08:00:00.500Z",
            "level": "info",
            "event": "job.accepted",
            "id": "sku-1",
            "n": 3,
            "nested": {"a": [1, None]},
        }
    ]
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_secret_that_comes_later_is_hidden_too(tmp_path: Path) -> None:
    """A key that replaces another is taken out from then on, and so is the first one still."""
    path = tmp_path / "log.jsonl"
    log = open_log(path, secrets=[Secret(CANARY, "A_KEY")])
    log.redaction.hide(Secret("second-canary", "A_KEY"))
    log.info("event", first=f"has {CANARY} in it", second="has second-canary in it")
    log.close()

    assert [lines(path)[0][name] for name in ("first", "second")] == ["has *** in it"] * 2
    assert log.redaction.text("second-canary") == "***"


def test_levels_below_the_chosen_one_are_not_written(tmp_path: Path) -> None:
    """`--log-level warning` keeps warnings and errors; an unknown level is refused."""
    path = tmp_path / "log.jsonl"
    log = open_log(path, level="warning")
    for write in (log.debug, log.info, log.warning, log.error):
        write("event")

    log.close()
    assert [line["level"] for line in lines(path)] == ["warning", "error"]
    with pytest.raises(UsageError, match="--log-level"):
        open_log(path, level="loud")


def test_a_warning_is_on_disk_when_it_returns(tmp_path: Path) -> None:
    """What a person may need after a crash does not wait in a buffer; information does."""
    path = tmp_path / "log.jsonl"
    log = open_log(path)
    log.info("first")
    assert path.read_bytes() == b""
    log.warning("second")
    assert [line["event"] for line in lines(path)] == ["first", "second"]
    log.info("third")
    log.flush()
    assert len(lines(path)) == 3
    log.close()
    log.close()


def test_a_log_goes_on_behind_a_torn_line(tmp_path: Path) -> None:
    """What a crash left unfinished is ended, so that it spoils no line but its own."""
    path = tmp_path / "log.jsonl"
    path.write_bytes(b'{"event":"whole"}\n{"event":"to')
    log = open_log(path)
    log.info("next")
    log.close()
    found = path.read_bytes().splitlines()
    assert found[1] == b'{"event":"to'
    assert orjson.loads(found[2])["event"] == "next"


def test_a_full_disk_stops_no_run(tmp_path: Path) -> None:
    """Lines without room are dropped and counted, and the log says so when there is room again."""
    code = f"""
import resource
from batcher.adapters.logs import open_log
from pathlib import Path
log = open_log(Path({str(tmp_path / "log.jsonl")!r}))
log.warning("first")
resource.setrlimit(resource.RLIMIT_FSIZE, (150, resource.RLIM_INFINITY))
for n in range(5): log.warning("lost", n=n)
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
log.warning("last")
log.close()
"""
    subprocess.run([sys.executable, "-c", code], check=True, timeout=30)
    whole = [
        line for line in (tmp_path / "log.jsonl").read_bytes().splitlines() if line[-1:] == b"}"
    ]
    events = [orjson.loads(line)["event"] for line in whole]
    assert events[0] == "first"
    assert events[-2:] == ["log.lost", "last"]


def test_the_file_must_be_openable(tmp_path: Path) -> None:
    """A log that cannot even begin is the machine's fault and said at once."""
    with pytest.raises(StorageError, match="no-such-folder"):
        open_log(tmp_path / "no-such-folder" / "log.jsonl")


# --- --json ----------------------------------------------------------------------------------


def test_events_go_to_the_other_output_line_by_line() -> None:
    """With --json every event is there at once, as one JSON object a line."""
    out = io.StringIO()
    log = open_log(None, also=out)
    log.info("one")
    assert orjson.loads(out.getvalue())["event"] == "one"
    log.info("two")
    log.close()
    assert out.getvalue().count("\n") == 2
    assert not out.closed


def test_a_reader_that_goes_away_stops_that_output_only(tmp_path: Path) -> None:
    """`batcher run … --json | head -1`: no traceback, exit 0, and the file has every event."""
    path = tmp_path / "log.jsonl"
    code = f"""
import sys
from pathlib import Path
from batcher.adapters.logs import open_log
log = open_log(Path({str(path)!r}), also=sys.stdout)
log.info("one")
sys.stdin.readline()
for n in range(100): log.info("more", n=n)
log.close()
"""
    with subprocess.Popen(
        [sys.executable, "-u", "-c", code],  # the last flush of all is the command's affair
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stderr is not None
        assert b'"one"' in process.stdout.readline()
        process.stdout.close()
        process.stdin.write(b"\n")
        process.stdin.close()
        assert process.stderr.read() == b""
        assert process.wait(30) == 0

    assert len(lines(path)) == 101


def test_two_logs_do_not_meet(tmp_path: Path) -> None:
    """Nothing is set for the whole process: level, outputs and secrets are each log's own."""
    first = open_log(tmp_path / "a", level="error", secrets=[Secret("shared", "X")])
    second = open_log(tmp_path / "b")
    first.info("shared")
    second.info("shared")
    first.close()
    second.close()
    assert lines(tmp_path / "a") == []
    assert lines(tmp_path / "b")[0]["event"] == "shared"


# --- Secrets ---------------------------------------------------------------------------------


class Talkative:
    """An object whose own text holds the secret."""

    def __str__(self) -> str:
        return f"<key {CANARY}>"

    def __repr__(self) -> str:
        raise RuntimeError(CANARY)


class Broken:
    """An object that cannot be shown at all."""

    def __str__(self) -> str:
        raise RuntimeError(CANARY)


def test_a_secret_passes_by_no_way(tmp_path: Path) -> None:
    """In texts, keys, bytes, nested values, objects, JSON and tracebacks: the canary is nowhere."""
    path, out = tmp_path / "log.jsonl", io.StringIO()
    log = open_log(path, also=out, secrets=[Secret(CANARY, "X"), Secret("plain-canary", "Y")])
    as_json = orjson.dumps({"sent": CANARY}).decode()
    log.info(CANARY, text=f"a{CANARY}b", raw=CANARY.encode(), as_json=as_json)
    log.warning("nested", deep={"list": [{CANARY: {"x": (CANARY, {CANARY})}}]}, **{CANARY: 1})
    log.info(
        "objects",
        a=Talkative(),
        b=Broken(),
        c=[Talkative()],
        url="https://h/?q=42%7Cca%22na%5Cry%2F%2Bkey",
    )
    try:
        raise ValueError(f"bad header {CANARY} plain-canary")
    except ValueError:
        log.error("failed", exc_info=True)  # noqa: G201 - the port has no `exception`

    log.close()
    for text in (path.read_text(), out.getvalue()):
        assert "canary" not in text
        assert "ca\\" not in text
        assert "na\\" not in text
        assert "%22na" not in text
        assert "ValueError" in text
        assert text.count("\n") == 4


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("https://user:pa:ss@host/x", "https://***@host/x"),
        ("https://user:p@ss@host/x", "https://***@host/x"),
        ("see ftp://u@h and mail a@b.c", "see ftp://***@h and mail a@b.c"),
        ("https://h/x?token=abc&n=1", "https://h/x?token=***&n=1"),
        ("https://h/x?n=1&X-Amz-Signature=ab%2Fc&y=2", "https://h/x?n=1&X-Amz-Signature=***&y=2"),
        (
            "https://h/?X-Amz-Date=1&X-Goog-Signature=ff",
            "https://h/?X-Amz-Date=***&X-Goog-Signature=***",
        ),
        ("https://h/?api_key=1#part", "https://h/?api_key=***#part"),
        (
            "https://h/?sig=a&design=b&SECRET=c&password=d",
            "https://h/?sig=***&design=b&SECRET=***&password=***",
        ),
        ('{"url":"https://h/?key=abc","at":"x@y"}', '{"url":"https://h/?key=***","at":"x@y"}'),
        ("https://h/plain?id=sku-1", "https://h/plain?id=sku-1"),
    ],
)
def test_addresses_lose_what_authorizes(text: str, shown: str) -> None:
    """User, password and signing parts of a query go; the rest of the address stays readable."""
    assert Redaction([]).text(text) == shown


@given(
    before=st.integers(0, TEXT_CHARS_MAX + MARGIN_CHARS + 50),
    times=st.integers(1, 1_200),
)
def test_a_cut_never_goes_through_a_secret(before: int, times: int) -> None:
    """However long the text and wherever the secrets stand in it, no half of one is left."""
    shown = Redaction([Secret("s3cret-value", "X")]).text("." * before + "s3cret-value" * times)
    assert "s3c" not in shown
    assert len(shown) <= TEXT_CHARS_MAX + 1


def test_long_texts_are_cut_and_short_ones_are_not() -> None:
    """8 KiB of an error body is enough; a cut is marked."""
    redaction = Redaction([])
    assert redaction.text("x" * TEXT_CHARS_MAX) == "x" * TEXT_CHARS_MAX
    for length in (TEXT_CHARS_MAX + 1, 100_000):
        assert redaction.text("x" * length) == "x" * TEXT_CHARS_MAX + "…"


@given(
    st.dictionaries(
        st.text(min_size=1).filter(lambda key: key not in ("event", "exc_info")),
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary(),
            lambda inner: st.lists(inner) | st.dictionaries(st.text() | st.integers(), inner),
            max_leaves=5,
        ),
        max_size=4,
    )
)
def test_any_value_can_be_logged(values: dict[str, Any]) -> None:
    """A log call never fails, and every event is one line of valid JSON."""
    out = io.StringIO()
    open_log(None, also=out).info("event", **values)
    assert orjson.loads(out.getvalue())["event"] == "event"
    assert out.getvalue().count("\n") == 1


def test_importing_the_command_line_imports_no_structlog() -> None:
    """structlog takes a third of a second: `--help` must not wait for it."""
    code = (
        "import sys, batcher.adapters.rundir, batcher.adapters.manifest, batcher.adapters.keys\n"
        "print('structlog' in sys.modules)"
    )
    found = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=os.environ
    )
    assert found.stdout.strip() == "False"


@given(
    st.recursive(
        st.none()
        | st.booleans()
        | st.integers()
        | st.floats()
        | st.text()
        | st.sampled_from(
            [CANARY, f"a{CANARY}", "https://u:p@h/?key=1", "x" * TEXT_CHARS_MAX, "="]
        ),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
        max_leaves=5,
    )
)
def test_a_line_that_is_passed_whole_is_the_one_that_is_taken_apart(value: Any) -> None:
    """A line is looked through as a whole first; that must never show more, or anything else."""
    out, redaction = io.StringIO(), Redaction([Secret(CANARY, "X")])
    log = open_log(None, also=out, secrets=[Secret(CANARY, "X")])
    log.info("event", value=value, **{"=": 1})  # this key has it taken apart
    log.info("event", value=value)
    apart, whole = (orjson.loads(line) for line in out.getvalue().splitlines())
    assert apart["value"] == whole["value"] == orjson.loads(orjson.dumps(redaction.value(value)))
