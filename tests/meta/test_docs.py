"""What the documents say of the command line is so, and all of it is said."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import click
import pytest

from tests.meta.source import ROOT, command_line

PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("*/README.md")])


class Usage(NamedTuple):
    """One call of `batcher` that a page shows."""

    page: str
    words: tuple[str, ...]


def commands() -> dict[str, click.Command]:
    """Return every command by the words that call it: `doubt list`; "" is batcher itself."""
    main = command_line()
    found: dict[str, click.Command] = {}
    rest: list[tuple[str, click.Command]] = [("", main)]
    while rest:
        words, command = rest.pop()
        found[words] = command
        if isinstance(command, click.Group):
            context = click.Context(command)
            for name in command.list_commands(context):
                below = command.get_command(context, name)
                assert below is not None, f"batcher {words} lists {name}, which is not there"
                rest.append((f"{words} {name}".strip(), below))

    assert len(found) > 1, "batcher has no commands"
    return found


def flags(command: click.Command) -> set[str]:
    """Return the long flags that `--help` shows, and itself."""
    options = [p for p in command.params if isinstance(p, click.Option) and not p.hidden]
    spelled = [flag for option in options for flag in (*option.opts, *option.secondary_opts)]
    return {flag for flag in spelled if flag.startswith("--")} | {"--help"}


def reference() -> str:
    """Return the pages that describe the command line."""
    pages = [ROOT / "docs" / "cli.md", ROOT / "docs" / "simulator.md", ROOT / "README.md"]
    missing = [page.name for page in pages if not page.exists()]
    assert not missing, f"there is no {' and no '.join(missing)}"
    return "\n".join(page.read_text(encoding="utf-8") for page in pages)


def usages(page: str, text: str) -> Iterator[Usage]:
    """Yield every call of `batcher` in a page's code blocks and code spans."""
    blocks = re.findall(r"^```[a-z]*\n(.*?)^```", text, flags=re.MULTILINE | re.DOTALL)
    spans = re.findall(r"(?<!`)`([^`\n]+)`(?!`)", text)
    lines = [line for block in blocks for line in block.replace("\\\n", " ").splitlines()]
    for line in [*lines, *spans]:
        called = re.match(r"\s*(?:\$ )?(?:\S*/)?(?:python\S* -m )?batcher\s+(.*)", line)
        if called:
            yield Usage(page, tuple(_words(called[1])))


def _words(text: str) -> list[str]:
    """Split like a shell; what follows the command proper (a pipe, a comment) is left out."""
    lexer = shlex.shlex(text, posix=True, punctuation_chars="|;&<>")
    lexer.whitespace_split = True
    try:
        words = list(lexer)
    except ValueError:  # an apostrophe in prose beside the command
        words = text.split()

    end = next((i for i, word in enumerate(words) if word[0] in "|;&<>" and word != "<"), None)
    return words[:end]


def faults(usage: Usage, known: dict[str, click.Command]) -> Iterator[str]:
    """Yield what is wrong with a call: a command or a flag that is not there."""
    path, rest = "", list(usage.words)
    while rest and f"{path} {rest[0]}".strip() in known:
        path = f"{path} {rest.pop(0)}".strip()

    shown = f"{usage.page}: `batcher {' '.join(usage.words)}`"
    if rest and isinstance(known[path], click.Group) and re.fullmatch(r"[a-z]+", rest[0]):
        yield f"{shown}: there is no command {rest[0]!r}"

    spelled = [re.split(r"[=\]|]", word.lstrip("["))[0] for word in rest]
    unknown = [w for w in spelled if w.startswith("--") and w not in {*flags(known[path]), "--"}]
    yield from (f"{shown}: there is no flag {word}" for word in unknown)


# --- The project ---------------------------------------------------------------------------------


def test_every_command_is_described() -> None:
    """Each command stands in docs/cli.md or README.md as `batcher NAME`."""
    text = reference()
    missing = [words for words in commands() if f"batcher {words}".strip() not in text]
    assert not missing, f"not in docs/cli.md: {', '.join(missing)}"


def test_every_flag_is_described() -> None:
    """Each flag that `--help` shows stands in docs/cli.md or README.md."""
    text = reference()
    missing = [
        f"batcher {words} {flag}"
        for words, command in commands().items()
        for flag in sorted(flags(command))
        if not re.search(rf"(?<![\w-]){re.escape(flag)}(?![\w-])", text)
    ]
    assert not missing, "not in docs/cli.md:\n" + "\n".join(missing)


def test_every_command_explains_itself() -> None:
    """Each command and each of its flags has a help text."""
    silent = [
        f"batcher {words} {option.name}"
        for words, command in commands().items()
        for option in command.params
        if isinstance(option, click.Option) and not (option.hidden or option.help)
    ]
    silent += [f"batcher {words}" for words, command in commands().items() if not command.help]
    assert not silent, "without a help text:\n" + "\n".join(silent)


def test_every_call_in_the_pages_is_possible() -> None:
    """No page shows a command or a flag that does not exist."""
    known = commands()
    shown = [
        usage
        for page in PAGES
        if page.name != "CHANGELOG.md"  # it may speak of what is gone
        for usage in usages(page.name, page.read_text(encoding="utf-8"))
    ]
    wrong = [fault for usage in shown for fault in faults(usage, known)]
    assert shown, "no page shows how batcher is called"
    assert not wrong, "\n" + "\n".join(wrong)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_links_within_the_project_lead_somewhere(page: Path) -> None:
    """Each relative link of a page names a file that is there."""
    text = page.read_text(encoding="utf-8")
    links = re.findall(r"\]\((?!https?://|#|mailto:)([^)\s#]+)", text)
    broken = [link for link in links if not (page.parent / link).exists()]
    assert not broken, f"{page.name} links to what is not there: {', '.join(broken)}"


# --- The checker ---------------------------------------------------------------------------------


def toy() -> dict[str, click.Command]:
    """Return a command line with `run --rate` and `doubt list`."""
    run = click.Command("run", params=[click.Option(["--rate"]), click.Argument(["manifest"])])
    doubt = click.Group("doubt", commands={"list": click.Command("list")})
    main = click.Group("batcher", commands={"run": run, "doubt": doubt})
    return {"": main, "run": run, "doubt": doubt, "doubt list": doubt.commands["list"]}


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("`batcher runn x`", "no command 'runn'"),
        ("`batcher doubt lst RUN`", "no command 'lst'"),
        ("`batcher run x --rat 5/s`", "no flag --rat"),
        ("```sh\n$ batcher run x \\\n    --speed=5\n```", "no flag --speed"),
        ("```\n.venv/bin/python -m batcher doubt list --all | jq .\n```", "no flag --all"),
    ],
)
def test_the_checker_catches(text: str, told: str) -> None:
    """A call that cannot be made is told, wherever a page shows it."""
    assert any(told in f for usage in usages("x.md", text) for f in faults(usage, toy()))


@pytest.mark.parametrize(
    "text",
    [
        "`batcher run MANIFEST --rate 300/m`, and `batcher doubt list RUN`",
        "```\nbatcher run rows.jsonl [--rate R] > log  # that's all --really\n```",
        "`batcher --help`",
        "`--speed` of another tool, and `pip install --user batcher`",
    ],
)
def test_the_checker_lets_pass(text: str) -> None:
    """A call that can be made is not told."""
    assert [f for usage in usages("x.md", text) for f in faults(usage, toy())] == []
