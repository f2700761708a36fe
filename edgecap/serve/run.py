"""The face from its start to its end: history, ears, doors, signals."""

import asyncio
import logging
import os
import resource
import signal
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING

from . import net
from .access import Access
from .app import build
from .door import Doors, Place
from .ear import Address
from .face import Face
from .guards import Guards
from .history import History
from .hub import Hub
from .names import Names
from .reached import Reached

if TYPE_CHECKING:
    from .tls import Tls

INTERRUPTED = 130
FILES = 4096
"""Open files for many browsers; the usual limit is 1024."""
LOOK_S = 1.0
"""Between two looks at what `edgecap access` changed, and at the network's addresses."""

RENEWAL = 60
"""Looks between two at whether the certificate still holds."""

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Settings:
    """What the command line says."""

    ears: Sequence[Address]
    at: Place
    folder: Path
    keep_days: int
    most_mb: int
    hosts: Sequence[str] = ()
    is_https: bool = False


Told = Callable[[Face, Doors], None]


def run(settings: Settings, told: Told) -> int:
    """The face until a signal ends it; the exit code. told: called as soon as the page can be opened."""
    return asyncio.run(_until_signal(settings, told))


async def _until_signal(settings: Settings, told: Told) -> int:
    code = 0
    over = asyncio.Event()
    loop = asyncio.get_running_loop()

    def end(number: int) -> None:
        nonlocal code
        code = INTERRUPTED if number == signal.SIGINT else 0
        over.set()
        loop.remove_signal_handler(number)  # a second one is for the impatient

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(number, end, number)
    _allow_files()
    await serve(settings, told, over)
    return code


async def serve(settings: Settings, told: Told, over: asyncio.Event) -> None:
    """The face until it is over."""
    access = Access(settings.folder)
    guards = Guards(access, frozenset([*net.names(), *settings.hosts]), is_proxied=bool(settings.hosts))
    tls = _tls(settings) if settings.is_https else None
    async with AsyncExitStack() as stack:
        history = History.open(settings.folder, settings.keep_days, settings.most_mb)
        stack.push_async_callback(asyncio.to_thread, history.close)
        hub = Hub(settings.ears, history, Names(settings.folder, settings.ears))
        stack.callback(hub.close)
        face = Face(
            hub,
            history,
            guards,
            base=lambda: doors.outer,
            open_doors=lambda: doors.look(),
            authority=tls.authority_pem if tls else b"",
            secure_port=lambda: doors.at.port,
        )
        doors = Doors(build(face), settings.at, tls.context if tls else None, lambda: access.is_guarded)
        Reached(doors.own, doors.outer, os.getpid()).write(settings.folder)
        await _until_over(face, doors, tls, told, over)


async def _until_over(face: Face, doors: Doors, tls: "Tls | None", told: Told, over: asyncio.Event) -> None:
    serving = asyncio.create_task(doors.serve_here())
    others = [asyncio.create_task(each) for each in (face.hub.run(), _look(face, doors, tls), over.wait())]
    try:
        await asyncio.sleep(0)
        told(face, doors)
        done, _ = await asyncio.wait((serving, *others), return_when=asyncio.FIRST_COMPLETED)
        for each in done:
            each.result()  # what ended but by our will raises here
    finally:
        doors.should_exit = True
        for listener in tuple(face.hub.listeners):
            listener.end()
        await serving
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)


async def _look(face: Face, doors: Doors, tls: "Tls | None") -> None:
    for look in count():
        await doors.look()
        face.end_strangers()
        if tls and look % RENEWAL == 0 and await asyncio.to_thread(tls.renew):
            log.info("The certificate was renewed.")
        await asyncio.sleep(LOOK_S)


def _tls(settings: Settings) -> "Tls":
    from .tls import Tls  # brings cryptography, which nobody else needs

    return Tls(settings.folder, settings.hosts)


def _allow_files() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = FILES if hard == resource.RLIM_INFINITY else min(FILES, hard)
    if soft != resource.RLIM_INFINITY and soft < most:
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
