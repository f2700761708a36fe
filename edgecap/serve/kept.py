"""What the history gives back: captions as they ended, gaps, and how it fares."""

from datetime import UTC, datetime, timedelta

import msgspec

from edgecap.runtime.telling import wire

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MS = timedelta(milliseconds=1)
BEGINNING, END = -(1 << 62), 1 << 62
"""Milliseconds before and after all that a calendar has."""


class Kept(wire.CaptionMessage, frozen=True, kw_only=True):
    """A caption as its newest message has it, and how long it lasted.

    `semantic` is not kept. `duration`: seconds from start to end; None while it is open.
    """

    duration: float | None


class Gap(msgspec.Struct, frozen=True):
    """A time of which captions were lost, and why."""

    since: wire.Timestamp
    until: wire.Timestamp
    why: str
    lost: int


class Trouble(msgspec.Struct, frozen=True):
    """Why nothing is stored, since when, and how many captions' messages are lost for it so far."""

    since: wire.Timestamp
    why: str
    lost: int


def milliseconds(when: datetime) -> int:
    """Since 1970, UTC. when: with a time zone."""
    return (when - EPOCH) // MS


def written(ms: int) -> wire.Timestamp:
    """Milliseconds since 1970 as the wire writes a time."""
    return wire.timestamp(EPOCH + ms * MS)


def read_ms(time: wire.Timestamp) -> int:
    """A time of the wire in milliseconds since 1970."""
    return milliseconds(wire.moment(time))
