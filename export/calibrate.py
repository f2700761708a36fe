"""What every graph is really given, kept for the calibration of int8: the state carried, as on the edge.

Ranges measured on single clips from a zero state would be those of the first seconds alone.
"""

from collections import deque
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import cast

import numpy as np

from ..runtime.audio import CHUNK_SAMPLES, HOP, RATE
from ..runtime.model.engine import Array, Engine, State
from ..runtime.model.manifest import TOKENIZER_FILE, GraphFile
from ..runtime.saying.decoder import Decoder, Vocabulary
from ..runtime.session import SPEAKING
from .checkpoint import Checkpoint
from .sound_stream import log_mels

MINUTES = 5.0
"""Of sound."""
MOST = 128
"""Sets of inputs kept of a graph, spread evenly: an encoder's weigh 200 KB each, and all are in memory."""
SENTENCE_S = 5.0
CALIBRATED = ("encoder", *SPEAKING)
"""Graphs that hear the stream; the others are quantised as they go, where at all."""

Feeds = dict[str, list[dict[str, Array]]]
"""Graph -> sets of inputs, state among them."""


class Recorder:
    """An engine that keeps some of what it is given."""

    def __init__(self, engine: Engine, every: int) -> None:
        self.graph, self.feeds = engine.graph, list[dict[str, Array]]()
        self._engine, self._every, self._calls = engine, every, 0

    def initial_state(self, **sizes: int) -> State:
        """The engine's."""
        return self._engine.initial_state(**sizes)

    def step(self, inputs: Mapping[str, Array], state: State) -> tuple[dict[str, Array], State]:
        """The engine's, looked on at."""
        if self._calls % self._every == 0 and len(self.feeds) < MOST:
            self.feeds.append({**inputs, **state})
        self._calls += 1
        return self._engine.step(inputs, state)

    def run(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        """The engine's, looked on at."""
        return self.step(inputs, {})[0]


def record_feeds(
    source: Checkpoint,
    graphs: Mapping[str, GraphFile],
    contents: Mapping[str, bytes],
    sounds: Path,
    minutes: float = MINUTES,
    progress: Callable[[str], None] = lambda step: None,
) -> Feeds:
    """Run the exact graphs over recordings, one stream, and keep what goes into each.

    graphs, contents: in float32. sounds: a folder of recordings. Raises InputMissingError if it has none.
    """
    progress("listening, to calibrate")
    frames = cast(int, graphs["encoder"].inputs[0].shape[1])
    hops = max(2, round(minutes * 60 * RATE / HOP / frames))
    # All but the encoder run a few times a minute, and each time on something else.
    every = {"encoder": max(1, hops // MOST)}
    recorders = {
        name: Recorder(Engine(name, contents[graph.file], graph), every.get(name, 1))
        for name, graph in graphs.items()
        if name in CALIBRATED
    }
    decoder = _decoder(recorders, source) if "decoder_step" in recorders else None
    encoder, ring = recorders["encoder"], deque[Array](maxlen=source.window)
    state = encoder.initial_state()
    for hop, log_mel in zip(range(hops), log_mels(source.mels, sounds, frames), strict=False):
        outputs, state = encoder.step({"log_mel": log_mel[None]}, state)
        ring.append(outputs["embedding"][0])
        if decoder and (hop + 1) % round(SENTENCE_S * RATE / CHUNK_SAMPLES) == 0:
            length = 1 + 5 * len(recorders["adapter"].feeds) % len(ring)  # segments of every length
            decoder.describe(np.stack(list(ring)[-length:]))
    return {name: recorder.feeds for name, recorder in recorders.items()}


def _decoder(recorders: Mapping[str, Recorder], source: Checkpoint) -> Decoder:
    """The edge's own. A Recorder has all of an Engine that it calls."""
    adapter, prefill, step = (cast(Engine, recorders[name]) for name in SPEAKING)
    return Decoder(adapter, prefill, step, Vocabulary.parse(source.files[TOKENIZER_FILE]))
