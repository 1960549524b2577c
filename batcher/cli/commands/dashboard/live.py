"""`batcher run --dashboard`: the page of a run, shown by the process of the run itself.

Rule: it is one more view. It costs the run a small event a second, whoever looks, and only an
address that cannot be had stops anything, before the first submit. The token is derived from the
API key and the run directory: the same for each process of a run, so that a page that was left open
comes back to life on a resume, and kept nowhere.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Final, Protocol

from batcher.adapters.dashboard import Events, Shown, Site, showing
from batcher.adapters.logs_redaction import Redaction
from batcher.adapters.rundir import RunDirectory, absolute_path
from batcher.cli.driving.beside import Watcher
from batcher.cli.failure import hiding
from batcher.cli.flags.origin import is_loopback
from batcher.cli.flags.values import AUTO
from batcher.cli.program import program
from batcher.core.errors import UsageError
from batcher.core.secret import Secret
from batcher.core.settings import Frozen
from batcher.engine.running import Running
from batcher.report.closing import next_commands
from batcher.report.dashboard.board import Board
from batcher.report.dashboard.page import Heading, dashboard_page, dashboard_policy
from batcher.report.money import currency_of
from batcher.report.summary import Summary
from batcher.report.text import command_text, path_word
from batcher.report.views import View

USUAL: Final = "127.0.0.1:8787"
ANY_PORT: Final = "127.0.0.1:0"
TOKEN_CHARS: Final = 32  # hex digits: 128 bits
OPEN_TO_OTHERS: Final = (
    "the dashboard is open to other machines, without TLS: whoever has the token, or hears it on "
    "the way, can look"
)


class Job(Protocol):
    """What is known of the run before it goes on."""

    @property
    def directory(self) -> RunDirectory:
        """Where it lives."""
        ...

    @property
    def frozen(self) -> Frozen:
        """What it is."""
        ...

    @property
    def key(self) -> Secret:
        """The API key."""
        ...


@asynccontextmanager
async def shown_live(
    run: Running, listen: str, job: Job, redaction: Redaction, view: View
) -> AsyncIterator[Callable[[Summary], None]]:
    """Show a run until the block ends; gives what is to be told of its end.

    The address is told on *view*, once. Raises `UsageError` for one that cannot be had.
    """
    folder = job.directory.path
    token = hiding(token_of(job.key, folder))
    redaction.hide(token)

    async def hello() -> bytes:
        return board.hello()

    events = Events(hello)
    board = Board(events.send, currency_of(job.frozen))
    watcher = Watcher(board, redaction)

    def end(summary: Summary) -> None:
        watcher.show_last(run.snapshot())
        board.end(summary, _commands(summary, folder))

    run.watch(watcher.show)
    site = Site(page_of_run(folder, job.frozen), events)
    async with AsyncExitStack() as stack:
        address = await enter(stack, listen, token, site)
        tell_address(address, token, lambda text: view.say(text, is_urgent=True))
        yield end


async def enter(
    stack: AsyncExitStack, listen: str, token: Secret, site: Site, flag: str = "--dashboard"
) -> str:
    """Show *site* until *stack* is left; return the address. `auto` is the usual one, if free."""
    if listen != AUTO:
        return await stack.enter_async_context(showing(listen, token, site, flag))

    try:
        return await stack.enter_async_context(showing(USUAL, token, site, flag))
    except UsageError:
        return await stack.enter_async_context(showing(ANY_PORT, token, site, flag))


def token_of(key: Secret, folder: Path) -> Secret:
    """Return the token of a run: who knows it knows nothing of the key."""
    derived = key.derived(f"dashboard of {absolute_path(folder)}")
    return Secret(derived.reveal()[:TOKEN_CHARS], "dashboard")


def url_of(address: str, token: Secret) -> str:
    """Return what to open in a browser."""
    return f"http://{address}/{token.reveal()}/"


def tell_address(address: str, token: Secret, say: Callable[[str], None]) -> None:
    """Tell where the page is, and warn if it is not for this machine alone."""
    if not is_loopback(f"http://{address}"):
        say(OPEN_TO_OTHERS)

    say(f"dashboard: {url_of(address, token)}")


def page_of_run(folder: Path, frozen: Frozen) -> Shown:
    """Return the page of a run."""
    name = Path(frozen.manifest).name if frozen.manifest != "-" else "standard input"
    heading = Heading(absolute_path(folder).name, frozen.provider, name)
    return Shown("text/html; charset=utf-8", dashboard_page(heading), dashboard_policy())


def _commands(summary: Summary, folder: Path) -> list[str]:
    """Return what to type once this process, and its page with it, is gone."""
    run = path_word(folder)
    looks = [command_text(program(), verb, run) for verb in ("report", "dashboard")]
    return [*next_commands(summary, folder, program()), *looks]
