"""How far ONNX Runtime and torch drift apart while the encoder's state is carried for hours.

    python benchmarks/drift.py CHECKPOINT BUNDLE --hours 10

Frames are drawn at random over the whole range of levels: harder than sound, and quick to make. Prints one
JSON object for each tenth of the way: the largest error of the embedding and the scores within it, and the
least cosine. Errors that don't grow from the first line to the last are rounding, not drift.
"""

import argparse
import json
from pathlib import Path

import numpy as np
import torch

from edgecap.export.checkpoint import read_checkpoint
from edgecap.export.parity import Pair
from edgecap.runtime.audio import CHUNK, CHUNK_SAMPLES, RATE
from edgecap.runtime.model.bundle import Bundle


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("bundle")
    parser.add_argument("--hours", type=float, default=10.0)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    bundle = Bundle.open(arguments.bundle)
    export = read_checkpoint(arguments.checkpoint).graphs[0]
    graph = bundle.manifest.graphs["encoder"]
    pair = Pair(export, graph, bundle.read(graph.file))
    mels = bundle.manifest.audio.mels
    hops = round(arguments.hours * 3600 * RATE / CHUNK_SAMPLES)
    rng = np.random.default_rng(0)
    for tenth in range(10):
        for _ in range(hops * tenth // 10, hops * (tenth + 1) // 10):
            level = rng.uniform(-90, -10)
            log_mel = rng.normal(level, 8, (1, CHUNK, mels)).clip(-100, 20).astype(np.float32)
            pair.step({"log_mel": log_mel})
        figures = {name: pair.differences[f"encoder.{name}"].figures() for name in ("embedding", "scores")}
        line = {"hours": round(arguments.hours * (tenth + 1) / 10, 3)}
        for name, values in figures.items():
            line |= {f"{name}_{key}": values[key] for key in ("max_error", "least_cosine")}
        print(json.dumps(line), flush=True)
        pair.differences.clear()


if __name__ == "__main__":
    main()
