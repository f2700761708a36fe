"""Events: what a session yields, as plain values. Times are in samples."""

from typing import Literal

import msgspec

Priority = Literal["urgent", "call", "ambient", "normal"]
"""An alarm; somebody calls (a doorbell, a knock, a phone); a background; anything else."""


class Sound(msgspec.Struct, frozen=True):
    """A known sound and how sure the encoder is of it, 0 to 1."""

    label: str
    score: float


class Caption(msgspec.Struct, frozen=True):
    """An event of a session: a caption appears, is revised, or ends. Times are in samples."""

    kind: Literal["new", "update", "end"]
    id: str
    text: str
    confidence: float
    sounds: tuple[Sound, ...]
    start: int
    end: int | None = None
    priority: Priority = "normal"
    semantic: bytes | None = None
    """(384,) int8: the segment's place in the sentence space, the unit vector times 127; None without one."""


class HeardSound(msgspec.Struct, frozen=True):
    """A sound as the model hears it now, and why it is not said; None where it is."""

    label: str
    score: float
    why: str | None


class Heard(msgspec.Struct, frozen=True):
    """What is heard now: the level in dB of full scale, and the surest sounds, surest first."""

    level_db: float
    sounds: tuple[HeardSound, ...]


Event = Caption
