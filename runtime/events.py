"""Events: what a session yields, and what it can be asked, as plain values. Times are in samples."""

from collections.abc import Iterable
from typing import Literal

import msgspec

Priority = Literal["urgent", "call", "ambient", "normal"]
"""urgent: an alarm, a scream, a crying baby. call: it wants somebody to come, as a doorbell does. ambient: a
background that may go on for hours."""

Reason = Literal[
    "quiet", "threshold", "young", "interval", "no-change", "dull", "guess", "unlikely-words", "unheard",
    "outdone"
]  # fmt: skip
"""Why a sound that is heard is not said:

quiet           nothing is loud enough to be a sound at all
threshold       its score is below that of a guess, or no sentence about it is probable enough
young           it is too new: its first sentence needs a chunk or more besides
interval        the last sentence was asked for less than the user's interval ago
no-change       nothing is heard that was not heard at the last sentence
dull            it needs no saying again: a background that was named lately, or what keeps coming back
guess           nor does a guess that was made before and is still no more than one
unlikely-words  the decoder doubts the words of its own sentences
unheard         every sentence names something besides that is not heard
outdone         another sentence is more probable, or stands and is as well supported
"""


class Sound(msgspec.Struct, frozen=True):
    """A known sound and how sure the encoder is of it, 0 to 1."""

    label: str
    score: float


class Caption(msgspec.Struct, frozen=True):
    """A caption appears, is revised, or ends."""

    kind: Literal["new", "update", "end"]
    id: str
    text: str
    confidence: float
    sounds: tuple[Sound, ...]
    start: int
    end: int | None = None
    priority: Priority = "normal"
    """The highest of what it names: urgent, call, normal, ambient. So ambient where all that it names is; and
    of a guess between two sounds what each of them is at least."""
    semantic: bytes | None = None
    """Its place in the sentence space: a unit vector times 127, each number an int8 (384 of them in
    room-small). None where the bundle has none."""


class Situation(msgspec.Struct, frozen=True, kw_only=True):
    """A segment was described, or is over; whether anything was said of it or not."""

    kind: Literal["situation"] = "situation"
    id: int
    """1, 2, 3 … in a stream; the same each time that the segment is described, and when it ends."""
    start: int
    end: int
    """Of one that goes on: now. Of one that is over: when it was last loud enough."""
    semantic: bytes | None
    """As a caption's, when it was last described; None if it never was."""
    scores: tuple[float, ...]
    """How sure each known sound is, 0 to 1, in the order of the labels (`Labels.names`)."""


Event = Caption | Situation


class HeardSound(msgspec.Struct, frozen=True):
    """A known sound, how sure it is by now, and why it is not said; None if the caption that stands names
    it."""

    label: str
    score: float
    reason: Reason | None


class Heard(msgspec.Struct, frozen=True):
    """What a session hears at this moment, said or not."""

    level_db: float
    """Of the last chunk, in dB of full scale; -100 is digital silence."""
    sounds: tuple[HeardSound, ...]
    """The surest first."""


def captions(events: Iterable[Event]) -> list[Caption]:
    """Those events that are captions."""
    return [event for event in events if isinstance(event, Caption)]
