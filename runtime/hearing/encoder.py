"""The encoder: 32 frames -> what they sound like, carrying its memory of the stream by value."""

from typing import NamedTuple, cast

import numpy as np
from numpy.typing import NDArray

from ..audio import CHUNK
from ..model.engine import Engine, State
from .frontend import LogMel


class Embedding(NamedTuple):
    """What one chunk sounds like."""

    vector: NDArray[np.float32]  # (width,)
    scores: NDArray[np.float32]  # (sounds,) 0 to 1, in the order of labels.csv


class Encoder:
    """One embedding and the scores of known sounds for every chunk.

    A streaming graph takes each chunk as it comes. A windowed one takes several at once, `chunks`: they
    wait in the state, and meanwhile what the last run said still stands.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        (log_mel,) = engine.graph.inputs  # (batch, frames, mels)
        self.chunks = cast(int, log_mel.shape[1]) // CHUNK

    def initial_state(self) -> State:
        """Zeros: nothing before the stream."""
        state = self._engine.initial_state()
        if self.chunks > 1:
            graph = self._engine.graph
            standing = {f"standing_{port.name}": cast(int, port.shape[-1]) for port in graph.outputs}
            state |= {name: np.zeros(size, np.float32) for name, size in standing.items()}
            state["waiting"] = np.zeros((0, cast(int, graph.inputs[0].shape[2])), np.float32)
        return state

    def step(self, log_mel: LogMel, state: State) -> tuple[Embedding, State]:
        """log_mel: (32, mels) dB. Returns the chunk's embedding and the state after."""
        if self.chunks == 1:
            return self._run(log_mel, state)
        carried = dict(state)
        waiting = np.concatenate([carried.pop("waiting"), log_mel])
        embedding = Embedding(carried.pop("standing_embedding"), carried.pop("standing_scores"))
        if len(waiting) == self.chunks * CHUNK:
            embedding, carried = self._run(waiting, carried)
            waiting = waiting[:0]
        carried |= {"waiting": waiting, "standing_embedding": embedding.vector}
        return embedding, carried | {"standing_scores": embedding.scores}

    def _run(self, log_mel: LogMel, state: State) -> tuple[Embedding, State]:
        outputs, state = self._engine.step({"log_mel": log_mel[None]}, state)
        return Embedding(outputs["embedding"][0], outputs["scores"][0]), state
