"""Room: one source, one session, one timeline -> messages for the wire. No sockets, no signals.

    feed (a thread of its own) ── ring ──► step: session.push → captions · status every second · heard

The session knows samples only; the timeline says when they were. All methods belong to the daemon's thread;
`mute` may be called from any.
"""

import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from threading import Event

from .audio import seconds
from .events import Caption
from .events import Event as SessionEvent
from .session import LONG_GAP, Session
from .sound.blocks import UNREAD, Arrival
from .sound.feed import Feed
from .sound.ring import Closed, Item
from .sound.timeline import Timeline
from .telling import wire
from .telling.room_log import KEEP, RoomLog

STATUS_S = 1.0
OVERLOADED_S = 5.0
"""`overloaded` stays for so long after the last drop, so that it does not flap."""


class Room:
    """Captions what a feed brings, until it ends.

    name: the room's. model: the bundle's title. run: the daemon's start in UTC milliseconds.
    """

    def __init__(
        self, name: str, feed: Feed, session: Session, model: str, run: int, keep: int = KEEP
    ) -> None:
        self.name = name
        self.log = RoomLog(name, model, run, keep)
        self.session = session
        self.feed = feed
        self.over = Event()
        """Set once its source has ended and all that it had to say is said."""
        self.error: BaseException | None = None
        """What ended the source, where it did not just end: for the daemon to say."""
        self._started_at = self._status_at = time.monotonic()
        self._timeline = Timeline(datetime.now(UTC), self._started_at, feed.is_live)
        self._state: wire.State = "starting"
        self._heard_at: float | None = None
        self._reading = UNREAD
        self._starts: dict[str, datetime] = {}  # of open captions: drift must not move what was said
        self._dropped = 0
        self._overloaded_until = 0.0

    @property
    def is_over(self) -> bool:
        return self.over.is_set()

    def start(self) -> list[wire.Published]:
        """Open the source; the first status."""
        self.feed.start()
        return [self._status(time.monotonic())]

    def step(self, wants_heard: Callable[[], bool] = lambda: False) -> tuple[list[wire.Published], bool]:
        """The messages of the next block, if one waits, and of the time that has passed; whether one waited.

        wants_heard: whether somebody asks to see what is heard now.
        """
        messages: list[wire.Published] = []
        item: Item[Arrival] | None = None
        try:
            item = self.feed.ring.get(0)
        except Closed:
            return self.end(), False
        except BaseException as error:  # the source's, passed on by its thread
            self.error = error
            return self.end(), False
        if item is not None:
            messages += self._captions(self._hear(item))
            if wants_heard():
                messages.append(self._heard())
        else:
            messages += self._captions(self._pass_time())
        now = time.monotonic()
        self._follow_drops(now)
        state = self._current_state(now)
        if state != self._state or now >= self._status_at:
            self._state = state
            messages.append(self._status(now))
        return messages, item is not None

    def mute(self, on: bool) -> None:
        """Really stops capture: the device is closed within a second. Raises UsageError for what can't be."""
        self.feed.mute(on)

    def held(self) -> Mapping[str, int]:
        """Sound -> how often it was sure, yet not said, since it was said so often before."""
        return self.session.policy.held

    def end(self) -> list[wire.Published]:
        """Close source and captions, whatever ended it; nothing the second time."""
        if self.is_over:
            return []
        self.feed.stop()
        messages = self.abort()
        self.over.set()
        return messages

    def abort(self) -> list[wire.Published]:
        """The last messages, without touching a source that may hang."""
        messages = self._captions(self.session.finish())
        self._state = "stopping"
        return [*messages, self._status(time.monotonic())]

    def _hear(self, item: Item[Arrival]) -> list[SessionEvent]:
        lost = item.index - self.session.position
        events = self.session.skip(lost) if lost > 0 else []
        self._heard_at = time.monotonic()
        self._reading = item.value.reading
        self._timeline.arrived(item.index + item.size, item.value.arrived_at)
        return events + self.session.push(item.value.samples)

    def _pass_time(self) -> list[SessionEvent]:
        """Nothing came: what is known to be lost, or no longer comes, ends the captions that were open."""
        reached = self.feed.ring.reached
        if reached is None:
            return []
        if reached > self.session.position:
            return self.session.skip(reached - self.session.position)
        if self.feed.health != "lost" or self._heard_at is None:
            return []
        return self.session.pause() if time.monotonic() - self._heard_at >= seconds(LONG_GAP) else []

    def _captions(self, events: list[SessionEvent]) -> list[wire.Published]:
        messages: list[wire.Published] = []
        for event in events:
            if not isinstance(event, Caption):
                continue
            start = self._starts.setdefault(event.id, self._timeline.utc(event.start))
            end = None if event.end is None else max(start, self._timeline.utc(event.end))
            if event.kind == "end":
                del self._starts[event.id]
            messages.append(self.log.caption(event, start, end, datetime.now(UTC)))
        return messages

    def _heard(self) -> wire.HeardMessage:
        heard = self.session.heard()
        sounds = ((sound.label, sound.score, sound.reason) for sound in heard.sounds)
        return self.log.heard(heard.level_db, sounds, datetime.now(UTC))

    def _follow_drops(self, now: float) -> None:
        if self.feed.ring.dropped > self._dropped:
            self._dropped = self.feed.ring.dropped
            self._overloaded_until = now + OVERLOADED_S

    def _current_state(self, now: float) -> wire.State:
        health = self.feed.health
        if self.feed.is_muted:
            return "muted"
        if health in ("lost", "recovering", "zeros"):
            return "no-microphone"
        if self._heard_at is None or health == "starting":
            return "starting"
        if now < self._overloaded_until:
            return "overloaded"
        return "quiet" if self.session.quiet else "listening"

    def _status(self, now: float) -> wire.StatusMessage:
        self._status_at = now + STATUS_S
        at = datetime.now(UTC)
        self._timeline.clock(at, now)
        return self.log.status(
            self._state,
            at=at,
            level=self.session.level_db,
            gaps=self.feed.lost,
            capture=self.feed.health,
            uptime=now - self._started_at,
            held=sum(self.held().values()),
            source=self._input(),
        )

    def _input(self) -> wire.Input:
        reading = self._reading
        return wire.Input(
            source=self.feed.kind,
            verdict=reading.verdict,
            gain_db=round(reading.gain_db, 1),
            dead=reading.dead,
            opposed=reading.opposed,
        )
