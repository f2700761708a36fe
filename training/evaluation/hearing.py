"""A bundle's captions of a sound, through the same session as the daemon's."""

from collections.abc import Callable

from ...runtime.audio import RATE, Samples
from ...runtime.bundle import Bundle
from ...runtime.config import Captions
from ...runtime.policy import Caption
from ...runtime.session import Model, Session

Progress = Callable[[float, str], None]


def open_model(path: str) -> Model:
    """The model of a bundle, by path or name."""
    return Model.load(Bundle.open(path))


def caption_events(
    model: Model, samples: Samples, options: Captions | None = None
) -> list[tuple[int, Caption]]:
    """(position, event) of a recording, pushed as a microphone would: 100 ms at a time."""
    session = Session(model, options)
    events: list[tuple[int, Caption]] = []
    for start in range(0, len(samples), RATE // 10):
        events += [(session.position, event) for event in session.push(samples[start : start + RATE // 10])]
    return events + [(session.position, event) for event in session.finish()]
