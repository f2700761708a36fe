"""Room: how a room is, as its last status tells it, in words for people."""

import time
from dataclasses import dataclass, field
from typing import Any

from edgecap.runtime.telling import wire

from .ear import Ear

GONE_S = 4.0
"""A daemon that is there says its status every second; after so long without it is gone, and within 5 s that
shows."""

HEARING = ("listening", "quiet", "overloaded")
WHY = {
    "starting": "It is starting.",
    "muted": "Its microphone is switched off.",
    "no-microphone": "It has no microphone.",
    "overloaded": "Its computer is too slow: some sound is lost.",
    "stopping": "It is ending.",
}
"""State -> why it is not listening; the capture's health tells more where it has no microphone."""
WHY_CAPTURE = {
    "stalled": "No sound comes from its microphone.",
    "zeros": "Its microphone delivers nothing but silence: it is switched off, or the wrong one.",
    "lost": "Its microphone is gone.",
}


@dataclass
class Room:
    """name: as people see it. local: as its ear calls it. live: the caption that is open. since: when its
    state began. told_s: when it told its last status, by time.monotonic. shown: what was told of it last."""

    name: str
    local: str
    ear: Ear
    since: str
    status: wire.StatusMessage | None = None
    live: wire.CaptionMessage | None = None
    told_s: float = field(default_factory=time.monotonic)
    shown: tuple[str, ...] = ()

    @property
    def is_gone(self) -> bool:
        return self.status is None or time.monotonic() - self.told_s > GONE_S

    @property
    def state(self) -> str:
        return "gone" if self.status is None or self.is_gone else self.status.state

    @property
    def is_hearing(self) -> bool:
        return self.state in HEARING

    @property
    def why(self) -> str | None:
        """Why it is not listening, or not well; None where it is."""
        if self.status is None or self.is_gone:
            return f"Nothing comes from it any more ({self.ear.at.publish})."
        if self.state == "no-microphone":
            source = self.status.input.source if self.status.input else "microphone"
            return WHY_CAPTURE.get(self.status.capture, WHY[self.state]).replace("microphone", source)
        return WHY.get(self.state)

    def told(self) -> dict[str, Any]:
        """As docs/http.md has a room."""
        status = self.status
        return {
            "room": self.name,
            "ear": self.ear.at.name,
            "state": self.state,
            "capture": status and status.capture,
            "since": self.since,
            "why": self.why,
            "hearing": self.is_hearing,
            "level": status.level if status and not self.is_gone else None,
            "live": None if self.is_gone else self.live,
            "last": status.last if status else 0,
            "model": status and status.model,
            "input": status and status.input,
            "held": status.held if status else 0,
        }
