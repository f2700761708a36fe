"""A house of rooms whose sounds a test makes up, and `edgecap serve` over them: a real wire, a real face."""

import itertools
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any, Literal, Self

from edgecap.runtime.events import Caption, Priority, Sound
from edgecap.runtime.telling import wire
from edgecap.runtime.telling.control import Control
from edgecap.runtime.telling.publisher import Publisher
from edgecap.runtime.telling.room_log import KEEP, RoomLog
from tests.station import ANY

ROOT = Path(__file__).parents[2]
STATUS_S = 1.0
ROUND_S = 0.005
PATIENCE_S = 30.0

Kind = Literal["new", "update", "end"]


class Room:
    """One room: what it has told, and how it is."""

    def __init__(self, name: str, run: int) -> None:
        self.log = RoomLog(name, "room-small 1.0", run)
        self.state: wire.State = "listening"
        self.capture: wire.CaptureHealth = "healthy"
        self.level = -41.2
        self.heard: Sequence[tuple[str, float, str | None]] = ()

    def mute(self, on: bool) -> None:
        self.state, self.capture = ("muted", "muted") if on else ("listening", "healthy")


class Ear:
    """A daemon's wire without its microphones: a thread tells a status every second, and what it is asked."""

    def __init__(self, rooms: Sequence[str]) -> None:
        run = time.time_ns() // 1_000_000
        self.rooms = {name: Room(name, run) for name in rooms}
        self.is_silent = False
        self._numbers = itertools.count(1)
        self._work: SimpleQueue[Callable[[], object] | None] = SimpleQueue()
        self._publisher = Publisher(ANY, ANY, longest_answer=KEEP + 1)
        self._control = Control(self.rooms, run)
        self.publish, self.replay = self._publisher.publish_endpoint, self._publisher.replay_endpoint
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def say(
        self, text: str, *, room: str = "", kind: Kind = "new", number: int | None = None,
        priority: Priority = "normal", sounds: Sequence[tuple[str, float]] = (), confidence: float = 0.83,
        start: datetime | None = None, end: datetime | None = None,
    ) -> int:  # fmt: skip
        """A caption event; the caption's number, for its update and end. room: else the first."""
        number = next(self._numbers) if number is None else number
        told = Caption(
            kind=kind, id=str(number), text=text, confidence=confidence,
            sounds=tuple(Sound(*sound) for sound in sounds), start=0, end=0 if kind == "end" else None,
            priority=priority,
        )  # fmt: skip
        now = datetime.now(UTC)
        began = start or now - timedelta(seconds=1)
        over = (end or now) if kind == "end" else None
        self.do(lambda: self._send(self._room(room).log.caption(told, began, over, datetime.now(UTC))))
        return number

    def whole(self, text: str, *, start: datetime, seconds: float = 2.0, **about: Any) -> int:
        """A caption from its beginning to its end."""
        end = start + timedelta(seconds=seconds)
        number = self.say(text, start=start, **about)
        self.say(text, start=start, end=end, kind="end", number=number, **about)
        return number

    def become(self, state: wire.State, capture: wire.CaptureHealth = "healthy", room: str = "") -> None:
        """The room's state from now on, told at once."""

        def change() -> None:
            self._room(room).state, self._room(room).capture = state, capture
            self._tell_status(self._room(room))

        self.do(change)

    def do(self, work: Callable[[], object]) -> None:
        """In the thread that owns the sockets."""
        self._work.put(work)

    def flush(self) -> None:
        """Until all that was said is sent."""
        done = threading.Event()
        self.do(done.set)
        assert done.wait(PATIENCE_S)

    def close(self) -> None:
        self._work.put(None)
        self._thread.join(PATIENCE_S)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _room(self, name: str) -> Room:
        return self.rooms[name] if name else next(iter(self.rooms.values()))

    def _send(self, message: wire.Published) -> None:
        if not self.is_silent:
            self._publisher.send(wire.topic(message), wire.encode(message))

    def _tell_status(self, room: Room) -> None:
        now = datetime.now(UTC)
        self._send(
            room.log.status(room.state, at=now, level=room.level, gaps=0, capture=room.capture, uptime=1.0)
        )
        if room.heard and self._publisher.is_wanted(wire.heard_topic(room.log.room)):
            self._send(room.log.heard(room.level, room.heard, now))

    def _run(self) -> None:
        due = 0.0
        with self._publisher:
            while True:
                if not self.is_silent:
                    self._control.poll(self._publisher)
                if time.monotonic() >= due:
                    due = time.monotonic() + STATUS_S
                    for room in self.rooms.values():
                        self._tell_status(room)
                try:
                    work = self._work.get(timeout=ROUND_S)
                except Empty:
                    continue
                if work is None:
                    return
                work()


class Face:
    """`edgecap serve` as a user starts it, on a port of its own and with a folder of its own."""

    def __init__(self, ears: Sequence[Ear], data: Path, *flags: str) -> None:
        command = [sys.executable, "-m", "edgecap", "serve", "--listen", ":0", *flags]
        for number, ear in enumerate(ears):
            command += ["--connect", f"ear{number}={ear.publish},{ear.replay}"]
        self._program = subprocess.Popen(
            command,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            cwd=ROOT,
            env={**os.environ, "XDG_STATE_HOME": str(data)},
        )
        self.lines: list[str] = []
        """What it printed."""
        self.url = self._started()
        threading.Thread(target=self._read, daemon=True).start()

    def stop(self) -> None:
        """As the page meets it when the computer loses power."""
        self._program.send_signal(signal.SIGSTOP)

    def go_on(self) -> None:
        self._program.send_signal(signal.SIGCONT)

    def close(self) -> None:
        self.go_on()
        self._program.terminate()
        self._program.wait(PATIENCE_S)
        assert self._program.stdout
        self._program.stdout.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _started(self) -> str:
        assert self._program.stdout
        for line in self._program.stdout:
            self.lines.append(line)
            if found := re.search(r"http://127\.0\.0\.1:\d+", line):
                return found[0]
        self.close()
        raise AssertionError(f"edgecap serve did not start: {self.lines}")

    def _read(self) -> None:
        assert self._program.stdout
        try:
            self.lines += list(self._program.stdout)
        except ValueError:
            return  # closed
