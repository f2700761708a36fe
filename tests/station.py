"""A room on the wire without a daemon: it speaks and answers by the real sockets."""

from datetime import UTC, datetime
from typing import Any, Self

from edgecap.runtime.errors import UsageError
from edgecap.runtime.events import Caption
from edgecap.runtime.telling import wire
from edgecap.runtime.telling.control import Control
from edgecap.runtime.telling.keys import ServerKeys
from edgecap.runtime.telling.publisher import Publisher
from edgecap.runtime.telling.room_log import KEEP, RoomLog

ANY = "tcp://127.0.0.1:*"


class Station:
    """RoomLog, Publisher and Control of one room, wired as the daemon wires them."""

    def __init__(
        self, publish: str, replay: str, room: str, model: str, run: int,
        *, keep: int = KEEP, insecure: bool = False, keys: ServerKeys | None = None,
    ) -> None:  # fmt: skip
        self.log = RoomLog(room, model, run, keep)
        self.is_muted = False
        self.control = Control({room: self}, run)
        self.publisher = Publisher(publish, replay, longest_answer=keep + 1, insecure=insecure, keys=keys)
        self.publish_endpoint = self.publisher.publish_endpoint
        self.replay_endpoint = self.publisher.replay_endpoint

    @property
    def refused(self) -> int:
        return self.control.refused

    def caption(self, caption: Caption, start: datetime, end: datetime | None) -> wire.CaptionMessage:
        message = self.log.caption(caption, start, end, datetime.now(UTC))
        self.send(message)
        return message

    def status(self, state: wire.State, **facts: Any) -> wire.StatusMessage:
        message = self.log.status(state, **facts)
        self.send(message)
        return message

    def send(self, message: wire.Published) -> None:
        self.publisher.send(wire.topic(message), wire.encode(message))

    def poll(self) -> int:
        return self.control.poll(self.publisher)

    def mute(self, on: bool) -> None:
        if self.log.room == "file":
            raise UsageError("a file can't be muted", why="it is no microphone", fix="end it instead")
        self.is_muted = on

    def held(self) -> dict[str, int]:
        return {}

    def close(self) -> None:
        self.publisher.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
