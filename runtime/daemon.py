"""Daemon: a source's blocks through a session to the wire, all day. Threads, signals and clocks end here.

    capture thread ── ring ──► this thread: session.push → publisher, status every second, replay

The session knows samples only; the Timeline here says when they were. Nothing waits for a reader of
the captions, and nothing that sounds waits for us: what the ring could not hold is a counted gap.
"""

import io
import logging
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import FrameType

from .audio import Samples, seconds
from .config.schema import Config
from .errors import DataError
from .events import Event, captions
from .notify import Notifier
from .session import Session
from .sound.blocks import Block
from .sound.capture import Capture, Reader
from .sound.ring import Closed, Item
from .sound.sources import file_blocks, paced, pcm_blocks
from .telling import wire
from .telling.keys import ServerKeys
from .telling.publisher import Publisher

log = logging.getLogger(__name__)

STATUS_S = 1.0
WAKE_S = 0.2
"""Between two looks at signals and replay requests while no sound comes; with sound, each block wakes."""
OVERLOADED_S = 5.0
"""`overloaded` stays for so long after the last drop, so that it does not flap."""
HUNG_S = 20.0
"""No call into the sound system takes so long and still returns. It can't be cancelled either."""
HUNG_EXIT = 75
"""EX_TEMPFAIL, the one exit code of the daemon's own: start me again."""

OnCaption = Callable[[wire.CaptionMessage], object]
OnStatus = Callable[[wire.StatusMessage], object]


class Timeline:
    """When a sample was. A microphone's clock and UTC drift apart by seconds a day, and UTC can jump."""

    JUMP_S = 0.5
    """More than blocks come early or late: the clock was set, and times follow at once."""
    SMOOTHING = 1e-3
    """Of each block's difference; at ten blocks a second, drift is followed within two minutes."""

    def __init__(self, start: datetime) -> None:
        self._start = start

    def heard(self, position: int, now: datetime) -> None:
        """The sample at `position` has just been heard."""
        late = now - self.utc(position)
        if abs(late) > timedelta(seconds=self.JUMP_S):
            self._start += late
        else:
            self._start += late * self.SMOOTHING

    def utc(self, position: int) -> datetime:
        return self._start + timedelta(seconds=seconds(position))


class Daemon:
    """One room: captions what a source brings and publishes it, until the source ends or `stop`.

    blocks: captioned instead of what config.source names, for scenes. on_caption, on_status: told of
    every message that goes out. Raises UnavailableError for a taken port, ConfigError for an unsafe one.
    """

    def __init__(
        self,
        config: Config,
        session: Session,
        model: str,
        *,
        blocks: Iterator[Block] | None = None,
        realtime: bool = False,
        on_caption: OnCaption | None = None,
        on_status: OnStatus | None = None,
    ) -> None:
        started = datetime.now(UTC)
        self._session = session
        self._on_caption, self._on_status = on_caption, on_status
        self._timeline = Timeline(started)
        self._started_at = self._status_at = time.monotonic()
        self._state: wire.State = "starting"
        self._has_heard = False
        self._exit: int | None = None
        self._starts: dict[str, datetime] = {}  # of open captions: drift must not move what was said
        self._dropped = 0
        self._overloaded_until = 0.0
        self._feed = _feed(config, blocks, realtime)
        self._notifier = Notifier()
        self._publisher = Publisher(
            config.publish,
            config.replay,
            config.room,
            model,
            int(started.timestamp() * 1000),
            insecure=config.insecure,
            keys=_keys(config),
        )

    @property
    def publish_endpoint(self) -> str:
        return self._publisher.publish_endpoint

    @property
    def replay_endpoint(self) -> str:
        return self._publisher.replay_endpoint

    def stop(self, code: int = 0) -> None:
        """End cleanly at the next opportunity; `run` returns the code."""
        self._exit = code

    def mute(self, on: bool) -> None:
        """Really stops capture: the device is closed within a second. A file or pipe can't be muted."""
        if isinstance(self._feed, Capture):
            self._feed.mute(on)

    def toggle_mute(self) -> None:
        self.mute(not self._feed.is_muted)

    def run(self) -> int:
        """Captions until the end. Returns the exit code; raises what ended the source, after a clean end."""
        self._feed.start()
        try:
            self._notifier.ready()
            self._tell()
            while self._exit is None:
                try:
                    item = self._feed.ring.get(WAKE_S)
                except Closed:
                    break
                self._hear(item) if item else self._pass_time()
                self._publisher.poll()
                self._look_after()
        finally:
            self._end()
        return self._exit or 0

    def _hear(self, item: Item[Samples]) -> None:
        lost = item.index - self._session.position
        events = self._session.skip(lost) if lost > 0 else []
        self._has_heard = True
        events += self._session.push(item.value)
        if isinstance(self._feed, Capture) and not self._feed.ring.held:
            self._timeline.heard(self._session.position, datetime.now(UTC))
        self._publish(events)

    def _pass_time(self) -> None:
        """Nothing came: what is known to be lost ends the captions that were open."""
        reached = self._feed.ring.reached
        if reached is not None and reached > self._session.position:
            self._publish(self._session.skip(reached - self._session.position))

    def _publish(self, events: list[Event]) -> None:
        for event in captions(events):
            start = self._starts.setdefault(event.id, self._timeline.utc(event.start))
            end = None if event.end is None else max(start, self._timeline.utc(event.end))
            if event.kind == "end":
                del self._starts[event.id]
            message = self._publisher.caption(event, start, end)
            if self._on_caption:
                self._on_caption(message)

    def _look_after(self) -> None:
        """Status every second and at each change of state; the sound system's hangs."""
        now = time.monotonic()
        if self._feed.ring.dropped > self._dropped:
            self._dropped = self._feed.ring.dropped
            self._overloaded_until = now + OVERLOADED_S
        state = self._judge(now)
        if state != self._state or now >= self._status_at:
            self._state = state
            self._tell()
        if self._feed.hung_s(now) > HUNG_S:
            self._give_up()

    def _judge(self, now: float) -> wire.State:
        health = self._feed.health
        if self._feed.is_muted:
            return "muted"
        if health in ("lost", "recovering", "zeros"):
            return "no-microphone"
        if not self._has_heard or health == "starting":
            return "starting"
        if now < self._overloaded_until:
            return "overloaded"
        return "quiet" if self._session.quiet else "listening"

    def _tell(self) -> None:
        now = time.monotonic()
        self._status_at = now + STATUS_S
        message = self._publisher.status(
            self._state,
            at=datetime.now(UTC),
            level=self._session.level_db,
            gaps=self._feed.lost,
            capture=self._feed.health,
            uptime=now - self._started_at,
        )
        self._notifier.alive()
        self._notifier.status(f"{message.state}, {message.last} captions, capture {message.capture}")
        if self._on_status:
            self._on_status(message)

    def _end(self) -> None:
        """Close captions, device and sockets, whatever ended the loop."""
        self._notifier.stopping()
        try:
            self._feed.stop()
            self._publish(self._session.finish())
            self._state = "stopping"
            self._tell()
        finally:
            self._publisher.close()

    def _give_up(self) -> None:
        log.error("The sound system does not answer. Exit %d, so that it can be started anew.", HUNG_EXIT)
        self._notifier.stopping()
        self._publish(self._session.finish())
        self._state = "stopping"
        self._tell()
        self._publisher.close()
        sys.stdout.flush()
        # Not sys.exit: Python would wait at its end for what hangs in C.
        os._exit(HUNG_EXIT)


def run_with_signals(daemon: Daemon) -> int:
    """`daemon.run()` that SIGTERM ends with 0, Ctrl-C with 130, and SIGUSR1 mutes or unmutes."""

    def end(signum: int, _frame: FrameType | None) -> None:
        daemon.stop(130 if signum == signal.SIGINT else 0)
        signal.signal(signum, before[signal.Signals(signum)])  # a second one is for the impatient

    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1)}
    signal.signal(signal.SIGTERM, end)
    signal.signal(signal.SIGINT, end)
    signal.signal(signal.SIGUSR1, lambda *_: daemon.toggle_mute())
    try:
        return daemon.run()
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _keys(config: Config) -> ServerKeys | None:
    keys = config.keys
    return (
        ServerKeys(Path(keys.secret).expanduser(), Path(keys.readers).expanduser()) if keys.secret else None
    )


def _feed(config: Config, blocks: Iterator[Block] | None, realtime: bool) -> Capture | Reader:
    source = config.source
    if blocks is None and source.kind == "microphone":
        return Capture(source.name)
    if blocks is None and source.kind == "file":
        blocks = file_blocks(Path(source.name))
    elif blocks is None:
        if sys.stdin.isatty():
            raise DataError(
                "Standard input is a terminal",
                why="it brings keys, not sound",
                fix="pipe raw 16-bit sound in, for example: arecord -f S16_LE -r 32000 -c 1 | edgecap run …",
            )
        # Unbuffered: a thread waiting inside a buffered reader makes Python abort when it ends.
        pipe = io.FileIO(sys.stdin.fileno(), closefd=False)
        blocks = pcm_blocks(pipe, source.rate, source.channels)
    return Reader(paced(blocks) if realtime else blocks)
