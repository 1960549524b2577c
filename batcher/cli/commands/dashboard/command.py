"""`batcher dashboard`: a run in the browser, live while it goes on, afterwards as a replay."""

from __future__ import annotations

import secrets
import shutil
import tempfile
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path
from signal import SIGHUP, SIGINT, SIGTERM
from typing import TYPE_CHECKING, Any

import click

from batcher.cli.failure import hiding, say
from batcher.cli.flags.values import AUTO
from batcher.cli.flags.wishes import existing_run
from batcher.cli.night.flags import dashboard_address
from batcher.core.secret import Secret

if TYPE_CHECKING:
    from anyio import CancelScope

    from batcher.adapters.rundir import RunDirectory

TOKEN_BYTES = 16
OPENER = "open.html"
EPILOG = """\b
Examples:
  batcher dashboard runs/photos-removit
  batcher dashboard runs/photos-removit --open
  batcher dashboard runs/photos-removit --listen 9000

The address, with its token, is printed on standard error. Ctrl-C ends it, with exit code 0.
"""


@click.command(epilog=EPILOG)
@click.argument("run")
@click.option(
    "--listen",
    type=dashboard_address,
    default=AUTO,
    metavar="[HOST:]PORT",
    help="Where; another host than this machine must be named. [127.0.0.1:8787, or a free port]",
)
@click.option("--open", "opens", is_flag=True, help="Open it in the browser too.")
def command(run: str, listen: Any, opens: bool) -> int:
    """Show the run in the directory RUN in a browser, from this machine.

    A run that goes on is followed; one that is over is played again in half a minute. Nothing is
    written, locked or asked of the API.
    """
    from batcher.cli.loop import run_async

    directory = existing_run(run)
    token = hiding(Secret(secrets.token_hex(TOKEN_BYTES), "dashboard"))
    run_async(lambda: _serve(directory, listen, token, opens=opens))
    return 0


async def _serve(directory: RunDirectory, listen: str, token: Secret, *, opens: bool) -> None:
    import anyio

    from batcher.adapters.dashboard import Site
    from batcher.adapters.runfile import read_run_file
    from batcher.cli.commands.dashboard.follow import Follower
    from batcher.cli.commands.dashboard.live import enter, page_of_run, tell_address, url_of
    from batcher.cli.commands.report import NAME

    frozen, _ = read_run_file(directory.run_file)
    follower = Follower(directory)
    site = Site(page_of_run(directory.path, frozen), follower.events, {NAME: follower.report})
    await follower.look()  # so that the first who comes sees how it is
    async with AsyncExitStack() as stack:
        address = await enter(stack, listen, token, site, "--listen")
        tell_address(address, token, say)
        beside = await stack.enter_async_context(anyio.create_task_group())
        beside.start_soon(_end_on_signal, beside.cancel_scope)
        if opens:
            beside.start_soon(_open, url_of(address, token))

        await follower.follow()


async def _open(url: str) -> None:
    """Open *url* in a browser by way of a private file: all may read the arguments of a process.

    The file is there until cancelled: who knows when a browser reads it.
    """
    import webbrowser

    import anyio
    import anyio.to_thread

    folder = Path(tempfile.mkdtemp(prefix="batcher-"))  # 0700
    try:
        page = folder / OPENER
        page.write_text(f'<meta http-equiv="refresh" content="0; url={url}">', "utf-8")
        ask = partial(webbrowser.open, page.as_uri())  # some browsers return when they are closed
        if not await anyio.to_thread.run_sync(ask, abandon_on_cancel=True):
            say("there is no browser here; open the address yourself")

        await anyio.sleep_forever()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


async def _end_on_signal(server: CancelScope) -> None:
    import anyio

    with anyio.open_signal_receiver(SIGINT, SIGTERM, SIGHUP) as signals:
        async for _ in signals:
            server.cancel()
            return
