"""The encoder: 32 frames -> what they sound like, carrying its 11 seconds of memory by value."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from .engine import Engine, State
from .frontend import LogMel


class Embedding(NamedTuple):
    """What one chunk sounds like."""

    vector: NDArray[np.float32]  # (width,)
    scores: NDArray[np.float32]  # (sounds,) 0 to 1, in the order of labels.csv


class Encoder:
    """One embedding and the scores of known sounds for every chunk."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def initial_state(self) -> State:
        """Zeros: the causal convolutions' padding before the stream."""
        return self._engine.initial_state()

    def step(self, log_mel: LogMel, state: State) -> tuple[Embedding, State]:
        """log_mel: (32, mels) dB. Returns the chunk's embedding and the state after."""
        outputs, state = self._engine.step({"log_mel": log_mel[None]}, state)
        return Embedding(outputs["embedding"][0], outputs["scores"][0]), state
