"""The live view on a real terminal: nothing wraps, nothing tears, the last frame stays."""

from __future__ import annotations

import json
import re
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli.processes import Shell, simulated
from tests.cli.terminal import Screen, run_in_terminal

pytestmark = pytest.mark.e2e

DEMO = ["demo", "--rows", "40", "--speed", "8", "--dir", "d"]


@pytest.mark.parametrize("columns", [80, 200])
def test_the_demo_shows_itself_and_keeps_its_promise(tmp_path: Path, columns: int) -> None:
    """One frame stands there at the end, of the terminal's width; the verdict is on stdout."""
    code, came, out = run_in_terminal(
        DEMO, columns=columns, cwd=tmp_path, environ=Shell(tmp_path).environ
    )
    screen = Screen(columns)
    screen.feed(came)

    assert code == 0, came
    assert screen.text.count("manifest.jsonl, removit") == 1
    assert "40 of 40 rows, 100 %" in screen.text
    assert max(map(len, screen.lines)) <= columns
    assert "0 rows paid twice" in out
    summary = json.loads((tmp_path / "d/run/summary.json").read_text())
    assert (summary["rows"], summary["pending"], summary["state"]) == (40, 0, "finished")
    assert (tmp_path / "d/run/downloads").is_dir()


def test_it_can_be_played_twice_in_one_folder(tmp_path: Path) -> None:
    """A second demo makes a run of its own."""
    shell = Shell(tmp_path)
    for _ in range(2):
        assert shell.do("demo", "--rows", "3", "--speed", "20", "--dir", "d").returncode == 0

    assert {path.name for path in (tmp_path / "d").iterdir()} == {"manifest.jsonl", "run", "run-2"}


def test_a_resize_and_a_ctrl_c_in_the_middle(tmp_path: Path) -> None:
    """The view goes on in the new width, says that it stops, and leaves a readable frame."""
    seen: list[int] = []

    def interfere(came: str, resize: Callable[[int], None], child: subprocess.Popen[bytes]) -> None:
        frames = came.count("manifest.jsonl, removit")
        if frames and not seen:  # several may come at once
            seen.append(frames)
            resize(70)
        elif seen and len(seen) == 1 and frames >= seen[0] + 2:
            seen.append(frames)
            child.send_signal(signal.SIGINT)

    code, came, out = run_in_terminal(
        ["demo", "--rows", "400", "--dir", "d"],
        columns=100,
        cwd=tmp_path,
        environ=Shell(tmp_path).environ,
        on_output=interfere,
    )
    screen = Screen(100)
    screen.feed(came)

    assert code == 130
    assert 1 <= screen.text.count("manifest.jsonl, removit") <= 2  # at most one of each width
    assert re.search(r"^finishing \d+ running submits? \(up to 30 s\)", screen.text, re.MULTILINE)
    assert "stopping: interrupted by SIGINT" in screen.text
    assert "Traceback" not in screen.text
    assert "0 rows paid twice" in out


def test_a_terminal_that_cannot_paint_gets_lines(tmp_path: Path) -> None:
    """TERM=dumb, and anything that is no terminal: no control sequence at all."""
    done = Shell(tmp_path).do("demo", "--rows", "3", "--speed", "20", "--dir", "d")

    assert "\x1b" not in done.stderr + done.stdout
    assert done.stderr.startswith("batcher: 0 s · ")


def test_a_run_is_shown_as_wished(tmp_path: Path) -> None:
    """`--progress`: JSON alone, nothing but the end, or painted; piped, a bar becomes lines."""
    shell, told = Shell(tmp_path), {}
    shell.write_manifest(3)
    with simulated("duration=0") as api:
        shell.base_url = api.base_url
        for form in ("json", "none", "bar"):
            done = shell.do(*shell.run_words("--progress", form, "--run-dir", form))
            told[form] = done.stderr.splitlines()
            assert done.returncode == 0, done.stderr
            assert not (tmp_path / form / ".progress").exists()

    kinds = [json.loads(line)["kind"] for line in told["json"]]
    assert (set(kinds), kinds[-1]) == ({"progress", "end"}, "end")
    assert json.loads(told["json"][-2])["succeeded"] == 3
    assert told["none"][0].startswith("m.jsonl, removit: finished")
    assert told["bar"][0].startswith("batcher: 0 s · ")
    for form in ("none", "bar"):
        assert f"  succeeded  3  {form}/succeeded.jsonl" in told[form]
        assert "\x1b" not in "".join(told[form])
