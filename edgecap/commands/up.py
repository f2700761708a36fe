"""up: ear and face for one home, as two processes that are kept running."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..console import note
from . import options
from .serve import Https, Keep, Listen, Most, Proxy, needs_extra

if TYPE_CHECKING:
    from edgecap.runtime.config.schema import Config

INTERRUPTED = 130


@options.configured(*options.PANELS)
def up(
    settings: "Config",
    listen: Listen = ":7380",
    data: options.Data = None,
    keep: Keep = 90,
    most: Most = 250,
    proxy: Proxy = None,
    https: Https = False,
    scene: Annotated[
        bool, typer.Option("--scene", help="Begin with the built-in scene; then listen to the microphone.")
    ] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print no captions.")] = False,
) -> None:
    """Caption this home and show it on a page: `run` and `serve` in one, each started again if it dies.

    Prints the page's address, and how a phone comes there. Ends by Ctrl-C.
    """
    import tempfile

    from edgecap.runtime.config.file import render
    from edgecap.serve.folder import data_folder

    needs_extra()
    folder = data_folder(data)
    face = ["serve", "--connect", _connect(settings), "--listen", listen, "--data", str(folder)]
    face += ["--keep", str(keep), "--most", str(most), *(f"--proxy={each}" for each in proxy or ())]
    face += ["--https"] if https else []
    invites = sys.stdout.isatty() and not _is_known(folder)
    with tempfile.NamedTemporaryFile("w", suffix=".yaml", prefix="edgecap-", encoding="utf-8") as written:
        written.write(render(settings))
        written.flush()
        silence = ["--quiet"] if quiet else []
        ears = [["run", "--config", written.name, *silence]]
        if scene:
            ears.insert(0, ["demo", "--config", written.name, *silence])
        raise typer.Exit(_keep(settings, face, ears, invites))


def _keep(settings: "Config", face: list[str], ears: list[list[str]], invites: bool) -> int:
    """Both until a signal ends them, or one can't be started at all; the exit code.

    invites: the face lets a device in when it is first started.
    """
    import signal
    import threading

    from edgecap.supervise import Kept

    over = threading.Event()
    code = 0

    def end(exit_code: int) -> None:
        nonlocal code
        code = exit_code
        over.set()

    def command(arguments: list[str]) -> list[str]:
        return [sys.executable, "-m", "edgecap", *arguments]

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda got, _: end(INTERRUPTED if got == signal.SIGINT else 0))
    first = [*face, "--pair"] if invites else face
    kept = [Kept("the page", [command(first)], _say, end, again=command(face))]
    if _is_taken(settings.publish):
        _say(f"an ear runs already at {settings.publish}: its captions are shown.")
    else:
        kept.append(Kept("the ear", [command(each) for each in ears], _say, end))
    for each in kept:
        each.start()
    try:
        over.wait()
    finally:
        for each in kept:
            each.end()
        for each in kept:
            each.join()
    return code


def _connect(settings: "Config") -> str:
    """The ear's addresses as its face on the same machine connects to them."""
    from edgecap.runtime.errors import UsageError

    if settings.keys.secret:
        raise UsageError(
            "`edgecap up` hears its ear without keys",
            why="they are for readers on other machines",
            fix="start `edgecap run`, and `edgecap serve` with --secret and --server",
        )
    for endpoint in (settings.publish, settings.replay):
        if endpoint.endswith(":*"):
            raise UsageError(f"{endpoint} is another port each time", fix="name a port")
    return f"{_here(settings.publish)},{_here(settings.replay)}"


def _here(endpoint: str) -> str:
    """An endpoint that is bound everywhere, as it is reached from here."""
    everywhere = {"//0.0.0.0:": "//127.0.0.1:", "//*:": "//127.0.0.1:", "//[::]:": "//[::1]:"}
    for bound, reached in everywhere.items():
        endpoint = endpoint.replace(bound, reached)
    return endpoint


def _is_taken(endpoint: str) -> bool:
    """Whether somebody publishes there already, as far as a connection tells."""
    import socket

    host, _, port = _here(endpoint).removeprefix("tcp://").rpartition(":")
    if not (endpoint.startswith("tcp://") and port.isdigit()):
        return False
    try:
        with socket.create_connection((host.strip("[]"), int(port)), 1.0):
            return True
    except OSError:
        return False


def _is_known(folder: Path) -> bool:
    """Whether other devices read along already."""
    from edgecap.serve.access import Access

    return bool(Access(folder).named())


def _say(sentence: str) -> None:
    note(sentence)
