"""Messages as an ear publishes them, and a history that holds them."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

from edgecap.runtime.telling import wire
from edgecap.serve.history import History
from edgecap.serve.retention import FOR_EVER

NOON = datetime(2026, 1, 31, 12, 0, 0, 120_000, UTC)


def said(
    text: str = "A dog barks.",
    seq: int = 1,
    *,
    room: str = "kitchen",
    run: int = 1769853600000,
    caption: int = 1,
    event: wire.Event = "new",
    start: datetime = NOON,
    lasted_s: float | None = None,
    priority: wire.Priority = "normal",
    sounds: Sequence[wire.Sound] = (wire.Sound("dog_bark", 0.91),),
) -> wire.CaptionMessage:
    """A message as an ear publishes it; `lasted_s` where it ends."""
    return wire.CaptionMessage(
        room=room,
        run=run,
        seq=seq,
        id=f"{run}-{caption}",
        event=event,
        text=text,
        confidence=0.83,
        sounds=tuple(sounds),
        start=wire.timestamp(start),
        end=None if lasted_s is None else wire.timestamp(start + timedelta(seconds=lasted_s)),
        model="room-small 1.6",
        at=wire.timestamp(start + timedelta(seconds=1.5)),
        priority=priority,
    )


def opened(folder: Path) -> History:
    """A history that stores, and keeps what is said at NOON whenever the tests are run."""
    return History.open(folder, keep_days=FOR_EVER)


def store(folder: Path, messages: Sequence[wire.CaptionMessage]) -> History:
    history = opened(folder)
    for message in messages:
        history.put(message)
    assert history.flush()
    assert history.trouble() is None
    return history
