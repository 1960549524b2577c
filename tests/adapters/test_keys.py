"""API keys: from a private file or the environment, and never shown."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from batcher.adapters.keys import read_key
from batcher.core.errors import UsageError

CANARY = "canary-1234|abcDEF"


def key_file(folder: Path, content: bytes, mode: int = 0o600) -> str:
    """Write a key file and return its name."""
    path = folder / "key"
    path.write_bytes(content)
    path.chmod(mode)
    return str(path)


def test_the_file_wins_and_its_newline_goes(tmp_path: Path) -> None:
    """A flag is stronger than the environment; editors end files with a newline."""
    name = key_file(tmp_path, CANARY.encode() + b"\r\n")
    key = read_key("DEAPI_API_KEY", name, {"DEAPI_API_KEY": "other"})
    assert key.reveal() == CANARY
    assert key.source == name


def test_the_environment_serves_without_a_file() -> None:
    """The provider's own variable holds the key."""
    key = read_key("DEAPI_API_KEY", None, {"DEAPI_API_KEY": CANARY})
    assert (key.reveal(), key.source) == (CANARY, "DEAPI_API_KEY")


@pytest.mark.parametrize("environ", [{}, {"REMOVIT_API_KEY": ""}, {"REMOVIT_API_KEY": " \n"}])
def test_a_missing_key_names_both_ways(environ: dict[str, str]) -> None:
    """The one line says how to give a key."""
    with pytest.raises(UsageError, match=r"REMOVIT_API_KEY.*--api-key-file"):
        read_key("REMOVIT_API_KEY", None, environ)


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o622, 0o610, 0o601])
def test_a_file_that_others_can_reach_is_refused(tmp_path: Path, mode: int) -> None:
    """Any right of group or others refuses the key, and says how to mend it."""
    with pytest.raises(UsageError, match="chmod 600") as caught:
        read_key("X", key_file(tmp_path, CANARY.encode(), mode), {})

    assert CANARY not in str(caught.value)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\n",
        b"two words",
        b"first\nsecond",
        b"inner\r\nX-Header: 1",
        b"tab\there",
        b"nul\0",
        "ключ".encode(),
        b"\xff\xfe",
        b" leading",
        b"k" * 4_097,
    ],
)
def test_what_would_break_a_header_is_refused(tmp_path: Path, content: bytes) -> None:
    """Empty, too long, blanks, control characters, other alphabets: no key, and no word of it."""
    environ = {"X": "x " + content.decode("utf-8", "replace")}
    for name in (key_file(tmp_path, content), None):
        with pytest.raises(UsageError) as caught:
            read_key("X", name, environ)

        assert "words" not in str(caught.value)
        assert "second" not in str(caught.value)


@pytest.mark.parametrize("name", ["no-such-file", ".", "nul\0"])
def test_a_file_that_cannot_be_read_is_a_usage_error(tmp_path: Path, name: str) -> None:
    """A missing file, a folder and an impossible name are the user's to mend."""
    with pytest.raises(UsageError, match="cannot be read"):
        read_key("X", f"{tmp_path}/{name}", {})


def test_a_key_as_long_as_allowed_passes(tmp_path: Path) -> None:
    """4 KiB are still a key."""
    assert len(read_key("X", key_file(tmp_path, b"k" * 4_096), {}).reveal()) == 4_096


def test_a_pipe_is_not_waited_for_twice(tmp_path: Path) -> None:
    """Nobody writes to it any more: it is refused unopened, a file is read as before."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe, 0o600)
    with pytest.raises(UsageError, match="cannot be read from it twice"):
        read_key("X", str(pipe), {}, again=True)

    name = key_file(tmp_path, CANARY.encode())
    assert read_key("X", name, {}, again=True).reveal() == CANARY
