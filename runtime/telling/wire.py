"""Wire version 1: the messages between rooms and their readers, as UTF-8 JSON, one object a message.

docs/wire.md explains each field in this order. Readers ignore fields that they don't know, so that
a later writer may add some; a change of meaning is a new version. This file needs nothing of the
runtime but its errors: who only reads captions loads no model, no numpy.
"""

from datetime import UTC, datetime
from typing import Annotated, Literal, get_args

import msgspec
from msgspec import Meta

from ..errors import WireError

VERSION = 1

Event = Literal["new", "update", "end"]
State = Literal["starting", "listening", "quiet", "muted", "no-microphone", "overloaded", "stopping"]
CaptureHealth = Literal["starting", "healthy", "stalled", "zeros", "lost", "recovering", "muted"]
Priority = Literal["urgent", "call", "ambient", "normal"]

Timestamp = Annotated[
    str, Meta(pattern=r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{3}Z\Z")
]
"""UTC, milliseconds, always 24 characters: sorting the text sorts the times."""
Probability = Annotated[float, Meta(ge=0, le=1)]
Run = Annotated[int, Meta(ge=0)]
"""The daemon's start in UTC milliseconds. Another value is a restart; it need not be a greater one,
for a small computer's clock may have been wrong."""
Count = Annotated[int, Meta(ge=0)]
Seq = Annotated[int, Meta(ge=1)]
"""1, 2, 3 … per topic within a run: a hole is a loss."""


class Sound(msgspec.Struct, frozen=True):
    """A known sound that the caption tells of."""

    label: str
    score: Probability


class CaptionMessage(msgspec.Struct, frozen=True, kw_only=True):
    """Topic caption.ROOM: a caption appears (new), is revised (update) or is over (end)."""

    v: Literal[1] = 1
    type: Literal["caption"] = "caption"
    room: str
    run: Run
    seq: Seq
    id: str
    event: Event
    text: str
    confidence: Probability
    sounds: tuple[Sound, ...]
    start: Timestamp
    end: Timestamp | None
    model: str
    at: Timestamp | None = None
    priority: Priority = "normal"
    language: str = "en"
    semantic: str | None = None

    def __post_init__(self) -> None:
        for time in (self.start, self.end, self.at):
            if time is not None:
                moment(time)


class StatusMessage(msgspec.Struct, frozen=True, kw_only=True):
    """Topic status.ROOM, every second: how the room is, and the open caption for those who came late."""

    v: Literal[1] = 1
    type: Literal["status"] = "status"
    room: str
    run: Run
    seq: Seq
    at: Timestamp
    state: State
    live: CaptionMessage | None
    last: Count
    level: float | None
    gaps: Count
    capture: CaptureHealth
    hop: float
    model: str
    uptime: float
    held: Count = 0

    def __post_init__(self) -> None:
        moment(self.at)


class HeardSound(msgspec.Struct, frozen=True):
    """A sound as the model hears it now, and why it is not said; null where it is."""

    label: str
    score: Probability
    why: str | None


class HeardMessage(msgspec.Struct, frozen=True, kw_only=True):
    """Topic heard.ROOM, about three times a second while somebody subscribes to it: what it hears now."""

    v: Literal[1] = 1
    type: Literal["heard"] = "heard"
    room: str
    run: Run
    seq: Seq
    at: Timestamp
    level: float | None
    sounds: tuple[HeardSound, ...]

    def __post_init__(self) -> None:
        moment(self.at)


class ReplayRequest(msgspec.Struct, frozen=True, kw_only=True):
    """Reader to ROUTER: the captions after `after`, please; if `run` is over, all that the new run kept."""

    v: Literal[1] = 1
    type: Literal["replay"] = "replay"
    room: str
    run: Run
    after: Count


class ReplayEnd(msgspec.Struct, frozen=True, kw_only=True):
    """ROUTER to reader, behind the captions: that was all; `last` is the newest seq of this run."""

    v: Literal[1] = 1
    type: Literal["replay-end"] = "replay-end"
    room: str
    run: Run
    after: Count
    last: Count


class MuteRequest(msgspec.Struct, frozen=True, kw_only=True):
    """Reader to ROUTER: close the microphone."""

    v: Literal[1] = 1
    type: Literal["mute"] = "mute"
    room: str


class UnmuteRequest(msgspec.Struct, frozen=True, kw_only=True):
    """Reader to ROUTER: open it again."""

    v: Literal[1] = 1
    type: Literal["unmute"] = "unmute"
    room: str


class HeldRequest(msgspec.Struct, frozen=True, kw_only=True):
    """Reader to ROUTER: what was heard for sure and yet not said, please, since it was said so often."""

    v: Literal[1] = 1
    type: Literal["held"] = "held"
    room: str


class HeldSound(msgspec.Struct, frozen=True):
    """A sound, and in how many situations of this run it was held back."""

    label: str
    times: Count


class HeldBack(msgspec.Struct, frozen=True, kw_only=True):
    """ROUTER to reader: what was held back, the most frequent first."""

    v: Literal[1] = 1
    type: Literal["held-back"] = "held-back"
    room: str
    run: Run
    sounds: tuple[HeldSound, ...]


class Ok(msgspec.Struct, frozen=True, kw_only=True):
    """ROUTER to reader: what was asked for is done."""

    v: Literal[1] = 1
    type: Literal["ok"] = "ok"
    room: str
    run: Run
    request: str


class Refused(msgspec.Struct, frozen=True, kw_only=True):
    """ROUTER to reader: it was not done; why, and what would help."""

    v: Literal[1] = 1
    type: Literal["refused"] = "refused"
    room: str
    run: Run
    request: str
    why: str
    fix: str


Published = CaptionMessage | StatusMessage | HeardMessage
Request = ReplayRequest | MuteRequest | UnmuteRequest | HeldRequest
Answer = ReplayEnd | HeldBack | Ok | Refused
Message = Published | Request | Answer


class _Head(msgspec.Struct):
    """What must be known before the rest can be read."""

    v: int
    type: str
    room: str = ""


_encoder = msgspec.json.Encoder()
_head = msgspec.json.Decoder(_Head)
_decoders: dict[str, msgspec.json.Decoder[Message]] = {
    get_args(message.__annotations__["type"])[0]: msgspec.json.Decoder(message)
    for message in get_args(Message)
}


def encode(message: Message) -> bytes:
    """The message as UTF-8 JSON, its fields in the order in which they are declared."""
    return _encoder.encode(message)


def decode(data: bytes) -> Message:
    """The message that the bytes hold. Raises WireError, whatever the bytes are."""
    try:
        head = _head.decode(data)
        if head.v != VERSION:
            raise WireError(
                f"message of wire version {head.v}",
                why=f"this edgecap reads version {VERSION}",
                fix="install the same edgecap on both sides",
            )
        if head.type not in _decoders:
            raise WireError(f"message of unknown type {head.type!r}", why=f"known are {', '.join(_decoders)}")
        return _decoders[head.type].decode(data)
    # UnicodeDecodeError: msgspec lets it through where a string is no UTF-8; RecursionError: "[[[[…".
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as broken:
        raise WireError("message is not wire version 1", why=str(broken)) from broken


def head(data: bytes) -> tuple[str, str]:
    """(type, room) of a message of this version, of whatever type. Raises WireError for anything else."""
    try:
        found = _head.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as broken:
        raise WireError("message is not wire version 1", why=str(broken)) from broken
    if found.v != VERSION:
        raise WireError(f"message of wire version {found.v}", why=f"this edgecap reads version {VERSION}")
    return found.type, found.room


def timestamp(when: datetime) -> str:
    """UTC as the wire writes it, cut to milliseconds: 2026-01-31T10:00:00.120Z. when: with a time zone."""
    if when.tzinfo is None:
        raise ValueError("a time without a zone can't be placed on the wire")
    utc = when.astimezone(UTC).isoformat(timespec="milliseconds")
    return utc.removesuffix("+00:00") + "Z"


def moment(text: str) -> datetime:
    """The time that a Timestamp names, in UTC. Raises ValueError where the calendar has no such time."""
    return datetime.fromisoformat(text)


def caption_topic(room: str) -> bytes:
    return f"caption.{room}".encode()


def status_topic(room: str) -> bytes:
    return f"status.{room}".encode()


def heard_topic(room: str) -> bytes:
    return f"heard.{room}".encode()


def topic(message: Published) -> bytes:
    """What it is published under."""
    return f"{message.type}.{message.room}".encode()
