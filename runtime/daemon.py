"""Daemon: rooms to the wire, all day, in one thread. Signals, sockets and the service manager meet here.

    room ┐
    room ┼─ messages ─► publisher (PUB), outlets (a terminal), and answers to requests
    room ┘

Nothing waits for a reader of the captions, and nothing that sounds waits for us: what a room's ring could not
hold is a counted gap.
"""

import logging
import os
import signal
import time
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from functools import partial
from threading import Event
from types import FrameType

from .config.schema import Config
from .errors import EdgecapError
from .notify import Notifier
from .paths import expanded
from .room import Room
from .session import Model, Session
from .sound.feed import Feed, open_feed
from .telling import wire
from .telling.control import Control
from .telling.keys import ServerKeys
from .telling.outlet import Outlet
from .telling.publisher import Publisher

log = logging.getLogger(__name__)

WAKE_S = 0.2
"""Between two looks at signals and requests while no sound comes; with sound, each block wakes."""
HUNG_S = 20.0
"""No call into the sound system takes so long and still returns. It can't be cancelled either."""
HUNG_EXIT = 75
"""EX_TEMPFAIL, the one exit code of the daemon's own: start me again."""

View = Outlet[wire.CaptionMessage | wire.StatusMessage]


class Daemon:
    """Captions every room of a configuration and publishes it, until all sources end or `stop`.

    model: shared by all rooms. title: the bundle's. feeds: room -> what it hears instead of its configured
    source, for scenes. realtime: files sound at their own pace. outlets: shown every caption and status.
    Raises UnavailableError for a taken port, ConfigError for an unsafe one.
    """

    def __init__(
        self,
        config: Config,
        model: Model,
        title: str,
        *,
        feeds: Mapping[str, Feed] | None = None,
        realtime: bool = False,
        outlets: Sequence[View] = (),
    ) -> None:
        run = int(datetime.now(UTC).timestamp() * 1000)
        given = feeds or {}
        self._wake = Event()
        self.rooms = {
            each.room: Room(
                each.room,
                given[each.room] if each.room in given else open_feed(each.source, realtime=realtime),
                Session(model, each.captions),
                title,
                run,
            )
            for each in config.all_rooms()
        }
        for room in self.rooms.values():
            room.feed.ring.wake = self._wake.set
        self._control = Control(self.rooms, run)
        self._outlets = outlets
        self._notifier = Notifier()
        self._exit: int | None = None
        self._error: BaseException | None = None  # what ended a source, the last of them
        self._toggles = 0  # how often the signal to mute or unmute has come
        self._toggled = 0
        self.publisher = Publisher(
            config.publish, config.replay, insecure=config.insecure, keys=_keys(config)
        )

    @property
    def publish_endpoint(self) -> str:
        return self.publisher.publish_endpoint

    @property
    def replay_endpoint(self) -> str:
        return self.publisher.replay_endpoint

    def stop(self, code: int = 0) -> None:
        """End cleanly at the next opportunity; `run` returns the code. Safe in a signal's handler."""
        self._exit = code

    def mute(self, on: bool) -> None:
        """Every microphone, as a request for each room would; files and pipes go on."""
        for room in self.rooms.values():
            try:
                room.mute(on)
            except EdgecapError as refused:
                log.warning("%s: %s", room.name, refused)

    def toggle_mute(self) -> None:
        """Mute all, or unmute if any is muted, at the next opportunity. Safe in a signal's handler, which may
        take no lock: it only counts."""
        self._toggles += 1

    def run(self) -> int:
        """Captions until the end. Returns the exit code; raises what ended a source, once all have ended.

        What ended one while others went on is logged then; of several, the last is raised.
        """
        try:
            for room in self.rooms.values():
                self._tell(room.start())
            self._notifier.ready()
            while self._exit is None and not self._are_over():
                self._wake.clear()
                if not self._step_all():
                    self._wake.wait(WAKE_S)
                self._control.poll(self.publisher)
                self._housekeep()
        finally:
            self._end()
        if self._error and self._exit is None:
            raise self._error
        return self._exit or 0

    def _step_all(self) -> bool:
        """One block of each room; whether any had one. None waits for another longer than that."""
        had_one = False
        for room in self.rooms.values():
            if not room.is_over:
                asked = partial(self.publisher.is_wanted, wire.heard_topic(room.name))
                messages, waited = room.step(asked)
                self._tell(messages)
                had_one |= waited
                if room.error:
                    self._ended_by(room.name, room.error)
        return had_one

    def _ended_by(self, name: str, error: BaseException) -> None:
        self._error = error
        if not self._are_over():  # else it is said by who called `run`
            log.warning("%s: %s", name, error, exc_info=None if isinstance(error, EdgecapError) else error)

    def _are_over(self) -> bool:
        return all(room.is_over for room in self.rooms.values())

    def _tell(self, messages: Iterable[wire.Published]) -> None:
        for message in messages:
            self.publisher.send(wire.topic(message), wire.encode(message))
            if isinstance(message, wire.HeardMessage):
                continue
            for outlet in self._outlets:
                outlet.put(message)
            if isinstance(message, wire.StatusMessage):
                self._notifier.alive()
                self._notifier.status(f"{message.room} {message.state}, {message.last} captions")

    def _housekeep(self) -> None:
        if self._toggled != self._toggles:
            self._toggled = self._toggles
            self.mute(not any(room.feed.is_muted for room in self.rooms.values()))
        now = time.monotonic()
        if any(room.feed.hung_s(now) > HUNG_S for room in self.rooms.values() if not room.is_over):
            self._abort_hung()

    def _end(self) -> None:
        """Close captions, devices and sockets, whatever ended the loop."""
        self._notifier.stopping()
        try:
            for room in self.rooms.values():
                self._tell(room.end())
        finally:
            self.publisher.close()

    def _abort_hung(self) -> None:
        log.error("The sound system does not answer. Exit %d, so that it can be started anew.", HUNG_EXIT)
        self._notifier.stopping()
        for room in self.rooms.values():
            if not room.is_over:
                self._tell(room.abort())
        self.publisher.close()
        for outlet in self._outlets:
            outlet.close()
        leave_now(HUNG_EXIT)


def leave_now(code: int) -> None:
    """End the process without waiting for a thread that hangs in C or in a write to a stalled terminal, as
    Python's own end would."""
    os._exit(code)


def run_with_signals(daemon: Daemon) -> int:
    """`daemon.run()` that SIGTERM and SIGHUP end with 0, Ctrl-C with 130, and SIGUSR1 mutes or unmutes.

    A SIGHUP that is ignored, as under nohup, stays so.
    """

    def end(signum: int, _frame: FrameType | None) -> None:
        daemon.stop(130 if signum == signal.SIGINT else 0)
        signal.signal(signum, before[signal.Signals(signum)])  # a second one is for the impatient

    numbers = signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1
    before = {number: signal.getsignal(number) for number in numbers}
    for number in numbers[:3]:
        if number != signal.SIGHUP or before[number] != signal.SIG_IGN:
            signal.signal(number, end)
    signal.signal(signal.SIGUSR1, lambda *_: daemon.toggle_mute())
    try:
        return daemon.run()
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _keys(config: Config) -> ServerKeys | None:
    keys = config.keys
    return ServerKeys(expanded(keys.secret), expanded(keys.readers)) if keys.secret else None
