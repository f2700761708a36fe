"""A corpus of a few recordings, the model's own tones, and the model whose every answer is known."""

from pathlib import Path

import numpy as np

from edgecap.runtime.audio import Samples
from edgecap.training.data.corpus import Clip, Corpus, Label
from edgecap.training.evaluation.context import Context, Stage
from edgecap.training.evaluation.metrics.words import Names
from tests import handmade

LABELS = [
    Label("bell", "a bell rings", "signals"),
    Label("dog_bark", "a dog barks", "animals"),
    Label("room_tone", "a room is quiet", "quiet"),
    Label("speech", "someone speaks", "people"),
]
Recording = tuple[str, Samples]


def context(*recordings: Recording, split: str = "test") -> Context:
    """A context with these recordings held out: (label, samples)."""
    clips, start = [], 0
    for i, (label, samples) in enumerate(recordings):
        stop = start + len(samples)
        clips.append(Clip(f"clip-{i}", "made", f"made:{i}", label, (label,), split, "CC0", start, stop))
        start = stop
    everything = np.concatenate([samples for _, samples in recordings])
    corpus = Corpus(clips, LABELS, (everything * 32767).astype(np.int16))
    return Context(Stage(handmade.model(), corpus, Names(LABELS)), Path(), hours=0.01, trials=1)
