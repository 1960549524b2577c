"""What docs/deploy and docs/night.md show can be used: it parses, and every flag in it exists."""

from __future__ import annotations

import ast
import json
import re
import shlex
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.meta.source import ROOT
from tests.meta.test_docs import Usage, commands, faults

FOLDER = ROOT / "docs" / "deploy"
NIGHT = (ROOT / "docs" / "night.md").read_text(encoding="utf-8")
FILES = sorted(FOLDER.iterdir())
PYTHON = re.findall(r"^```python\n(.*?)^```", NIGHT, re.MULTILINE | re.DOTALL)
SHELL = re.findall(r"^```sh\n(.*?)^```", NIGHT, re.MULTILINE | re.DOTALL)
DOCKER_WORDS = {
    "FROM", "WORKDIR", "COPY", "RUN", "USER", "VOLUME", "ENV", "STOPSIGNAL", "HEALTHCHECK",
    "ENTRYPOINT", "CMD",
}  # fmt: skip


def text_of(name: str) -> str:
    """Return a file of docs/deploy."""
    return (FOLDER / name).read_text(encoding="utf-8")


def usages() -> Iterator[Usage]:
    """Yield every call of `batcher` in the files and in the Python of the page."""
    for file in FILES:
        text = file.read_text(encoding="utf-8").replace("\\\n", " ")
        for line in text.splitlines():
            yield from _calls(file.name, line)

    for block in PYTHON:
        for node in ast.walk(ast.parse(block)):
            if isinstance(node, ast.List):
                words = [getattr(item, "value", "X") for item in node.elts]
                if words[:1] == ["batcher"]:
                    yield Usage("night.md", tuple(map(str, words[1:])))
            elif isinstance(node, ast.JoinedStr | ast.Constant):
                parts = node.values if isinstance(node, ast.JoinedStr) else [node]
                line = "".join(str(getattr(part, "value", "X")) for part in parts)
                yield from _calls("night.md", line)


def _calls(page: str, line: str) -> Iterator[Usage]:
    """Yield the calls in one line: as a shell has them, or as a JSON list of words."""
    listed = re.search(r"(?:args|command): (\[.*\])", line)
    if listed:
        yield Usage(page, tuple(json.loads(listed[1])))

    called = re.search(r"(?:^|[\s=/\"])batcher ((?:run|status|config|resume)\b[^;|&#]*)", line)
    if called and not line.lstrip().startswith("#"):
        words = shlex.split(called[1].replace('\\"', '"').split('" --json')[0].replace('"$', "$"))
        yield Usage(page, tuple(words))


def test_every_call_is_possible() -> None:
    """No file shows a command or a flag that does not exist."""
    known, shown = commands(), list(usages())
    pages = {usage.page for usage in shown}

    assert {file.name for file in FILES} - pages <= {"batcher@.timer"}
    assert "night.md" in pages
    assert [fault for usage in shown for fault in faults(usage, known)] == []
    runs = [usage for usage in shown if usage.words[0] == "run"]
    assert len(runs) >= 7
    assert all("--quiet" in usage.words for usage in runs)


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_every_file_is_told_of(file: Path) -> None:
    """The page links to it."""
    assert f"](deploy/{file.name})" in NIGHT


@pytest.mark.parametrize("number", range(len(PYTHON)))
def test_python_compiles(number: int) -> None:
    """Each snippet for a workflow tool."""
    assert len(PYTHON) == 3
    compile(PYTHON[number], f"docs/night.md, snippet {number}", "exec")


@pytest.mark.parametrize("script", [*SHELL, "crontab", "health"])
def test_shell_parses(script: str) -> None:
    """`sh -n`: the commands of the page, the line of cron as cron hands it on, the health check."""
    if script == "crontab":
        (line,) = [line for line in text_of("crontab").splitlines() if re.match(r"\d", line)]
        unescaped = line.split(None, 5)[5]
        assert not re.search(r"(?<!\\)%", unescaped), "cron would cut the line at this %"
        script = unescaped.replace("\\%", "%")
    elif script == "health":
        (script,) = re.findall(r'CMD (\["sh".*\])', text_of("Dockerfile"))
        script = json.loads(script)[2]

    done = subprocess.run(["sh", "-n", "-c", script], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_the_dockerfile() -> None:
    """Known instructions, lists that are JSON, not root, a volume for what must not be lost."""
    lines = [
        line
        for line in re.sub(r"\\\n", " ", text_of("Dockerfile")).splitlines()
        if line and not line.startswith("#")
    ]
    assert {line.split()[0] for line in lines} <= DOCKER_WORDS
    lists = [json.loads(found[0]) for line in lines if (found := re.search(r"\[.*\]$", line))]
    assert ["batcher"] in lists
    users = [line.split()[1] for line in lines if line.startswith("USER ")]
    assert users
    assert users[-1] not in ("0", "root")
    assert "VOLUME /data" in lines
    assert (ROOT / "constraints.txt").exists()


@pytest.mark.parametrize("name", ["compose.yaml", "cronjob.yaml"])
def test_yaml_parses(name: str) -> None:
    """And says what the page says of it."""
    yaml = pytest.importorskip("yaml")
    found = yaml.safe_load(text_of(name))
    if name == "compose.yaml":
        assert found["services"]["night"]["volumes"][0] == "runs:/data"
    else:
        rules = found["spec"]["jobTemplate"]["spec"]["podFailurePolicy"]["rules"]
        assert rules[0]["onExitCodes"]["values"] == [2, 3]
        assert found["spec"]["concurrencyPolicy"] == "Forbid"


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="there is no systemd here")
def test_systemd_takes_the_units(tmp_path: Path) -> None:
    """`systemd-analyze verify`, with a command that is there in the place of batcher."""
    units = []
    for name in ("batcher@.service", "batcher@.timer"):
        unit = tmp_path / name.replace("@", "@x")
        unit.write_text(text_of(name).replace("/usr/local/bin/batcher", "/bin/true"))
        units.append(str(unit))

    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", *units],
        capture_output=True,
        text=True,
        check=False,
    )
    ours = [line for line in done.stderr.splitlines() if "batcher@" in line]
    assert (done.returncode, ours) == (0, [])
