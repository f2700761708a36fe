"""Hearing: samples become embeddings and the scores of known sounds, a chunk at a time, in one step.

    10,240 samples -> front end -> encoder -> alarms -> Embedding

Whoever hears with a model (session, evaluation, benchmarks) hears through this, so that all hear alike.
"""

from collections.abc import Iterator
from typing import NamedTuple

from ..audio import CHUNK_SAMPLES, Samples
from ..model.engine import Engine, State
from .alarms import Alarms, AlarmState
from .encoder import Embedding, Encoder
from .frontend import FrontEnd


class HearingState(NamedTuple):
    """All that is remembered of a stream; a value: the step that takes it leaves it as it was."""

    past: Samples
    """(704,) samples that the next chunk's first frame still sees."""
    encoder: State
    alarms: AlarmState


class Hearing:
    """What a model hears. Holds weights and working memory only: any number of streams, in one thread."""

    def __init__(self, mels: int, encoder: Engine, alarms: Alarms) -> None:
        self.frontend, self.encoder, self.alarms = FrontEnd(mels), Encoder(encoder), alarms

    def initial_state(self) -> HearingState:
        """Before the stream's first sample."""
        return HearingState(
            self.frontend.initial_state(), self.encoder.initial_state(), self.alarms.initial_state()
        )

    def step(self, chunk: Samples, state: HearingState) -> tuple[Embedding, HearingState]:
        """What (10240,) samples sound like after all before them, and the state after."""
        log_mel, past = self.frontend.step(chunk, state.past)
        embedding, encoder = self.encoder.step(log_mel, state.encoder)
        embedding, alarms = self.alarms.step(log_mel, embedding, state.alarms)
        return embedding, HearingState(past, encoder, alarms)

    def follow(self, samples: Samples) -> Iterator[Embedding]:
        """What each whole chunk of a recording, (n,), sounds like; nothing was before it."""
        state = self.initial_state()
        for start in range(0, len(samples) - CHUNK_SAMPLES + 1, CHUNK_SAMPLES):
            embedding, state = self.step(samples[start : start + CHUNK_SAMPLES], state)
            yield embedding
