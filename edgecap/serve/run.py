"""The face from its start to its end: ears, door, signals."""

import asyncio
import signal
import sys

from edgecap.runtime.telling.keys import ReaderKeys

from . import door
from .app import build
from .ear import address
from .face import Face
from .folder import data_folder
from .history import History
from .hub import Hub

INTERRUPTED = 130


def run(connect: list[str], listen: str, keys: ReaderKeys | None) -> int:
    host, _, port = listen.rpartition(":")
    return asyncio.run(_run([address(each, keys) for each in connect], host, int(port)))


async def _run(ears: list, host: str, port: int) -> int:  # type: ignore[type-arg]
    bound = door.bind(host, port)
    history = History.open(data_folder())
    face = Face(Hub(ears, history), history)
    server = door.server(build(face))
    code = 0

    def end(number: int) -> None:
        nonlocal code
        code = INTERRUPTED if number == signal.SIGINT else 0
        server.should_exit = True
        for listener in tuple(face.hub.listeners):
            listener.end()

    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, end, number)
    hub = asyncio.create_task(face.hub.run())
    print(f"edgecap: the page is at http://{host}:{bound.getsockname()[1]}", file=sys.stderr, flush=True)
    try:
        await server.serve([bound])
    finally:
        hub.cancel()
        history.close()
    return code
