"""What each way of quantising costs and saves: size, speed, and what it does to the captions.

    python benchmarks/quantisation.py CHECKPOINT --corpus CLIPS

Every choice is written from the same checkpoint, none is verified; hop and sentence take turns in one run,
CPU time of one thread. The captions are the decoder's best sentence about each of some held-out clips, heard
in a quiet room; CIDEr-D is against the phrases of the clip's labels, agreement against float32's sentence.
Ranges of static choices come from training clips.
"""

import argparse
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from statistics import median
from typing import NamedTuple

import numpy as np
import soundfile

from edgecap.export.calibrate import Feeds, record_feeds
from edgecap.export.checkpoint import Checkpoint, read_checkpoint
from edgecap.export.export import describe
from edgecap.export.quantize import quantize, quantize_calibrated
from edgecap.export.to_onnx import to_onnx
from edgecap.runtime.audio import CHUNK_SAMPLES, RATE
from edgecap.runtime.hearing.alarms import Alarms
from edgecap.runtime.hearing.hearing import Hearing
from edgecap.runtime.model.engine import Engine
from edgecap.runtime.model.manifest import TOKENIZER_FILE, GraphFile
from edgecap.runtime.saying.decoder import Decoder, Vocabulary
from edgecap.runtime.session import SPEAKING
from edgecap.training.data.corpus import Clip, Corpus, open_corpus
from edgecap.training.evaluation.captioned import BEFORE, in_room
from edgecap.training.evaluation.metrics.text import cider_d, tokenise
from edgecap.training.sound.templates import clause

GRAPHS = ("encoder", *SPEAKING)
ROUNDS, HOPS = 9, 24
CALIBRATION_CLIPS = 60

CHOICES: dict[str, dict[str, str]] = {
    "float32": {},
    "float16": dict.fromkeys(GRAPHS, "fp16"),
    "int8: encoder dynamic": {"encoder": "dynamic"},
    "int8: encoder static": {"encoder": "static"},
    "int8: all dynamic": dict.fromkeys(GRAPHS, "dynamic"),
    "int8: encoder static, others dynamic": dict.fromkeys(SPEAKING, "dynamic") | {"encoder": "static"},
    "int8: all static": dict.fromkeys(GRAPHS, "static"),
}
"""Graph -> how it is written; what is not named stays float32."""


class Choice(NamedTuple):
    """A checkpoint written in one way, loaded."""

    name: str
    size_mb: float
    hearing: Hearing
    decoder: Decoder


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("--corpus", type=Path, required=True)
    parser.add_argument("--cache", type=Path, default=Path("runs/cache"))
    parser.add_argument("--clips", type=int, default=300, help="held-out clips to caption")
    arguments = parser.parse_args()
    source = read_checkpoint(arguments.checkpoint)
    corpus = open_corpus(arguments.corpus, arguments.cache)
    choices = _write(source, corpus)
    speed = _time(choices, source.mels)
    held_out = corpus.split("test")
    chosen = held_out[:: max(1, len(held_out) // arguments.clips)]
    phrases = {label.name: tokenise(clause(label)) for label in corpus.labels}
    # Beside its labels a clip may carry free tags, which no phrase says.
    references = [
        [phrases[name] for name in (clip.label, *clip.labels) if name in phrases] for clip in chosen
    ]
    said = {}
    for choice in choices:
        _say(f"{choice.name}: captions of {len(chosen)} clips …")
        said[choice.name] = [_caption(choice, corpus, clip, source) for clip in chosen]
    exact = float(cider_d(said["float32"], references).mean())
    print(f"{source.about.name} {source.about.version}, {len(chosen)} clips, one thread\n")
    print("| choice | MB | hop, ms | sentence, ms | CIDEr-D | lost | same sentence |")
    print("|---|---:|---:|---:|---:|---:|---:|")
    for choice in choices:
        score = float(cider_d(said[choice.name], references).mean())
        same = np.mean([a == b for a, b in zip(said[choice.name], said["float32"], strict=True)])
        hop_ms, sentence_ms = speed[choice.name]
        print(
            f"| {choice.name} | {choice.size_mb:.1f} | {hop_ms:.2f} | {sentence_ms:.1f} | {score:.3f} "
            f"| {1 - score / exact:.1%} | {same:.0%} |"
        )


def _write(source: Checkpoint, corpus: Corpus) -> list[Choice]:
    """Every choice, each graph written once a way."""
    exports = {export.graph.name: export for export in source.graphs if export.graph.name in GRAPHS}
    sizes = {"batch": 1}
    exact: dict[str, bytes] = {}
    for name, export in exports.items():
        _say(f"writing {name} …")
        exact[name] = to_onnx(export, sizes)
    graphs = {name: describe(exports[name], sizes, "fp32", content) for name, content in exact.items()}
    feeds = _feeds(source, corpus, graphs, exact)
    ways: Mapping[str, Callable[[str], bytes]] = {
        "exact": lambda name: exact[name],
        "fp16": lambda name: to_onnx(exports[name], sizes, "fp16"),
        "dynamic": lambda name: quantize(name, exact[name]),
        "static": lambda name: quantize_calibrated(name, exact[name], feeds[name], "cpu"),
    }
    written = {}
    for name in GRAPHS:
        _say(f"quantising {name} in every way …")
        written |= {(name, way): make(name) for way, make in ways.items()}
    vocabulary = Vocabulary.parse(source.files[TOKENIZER_FILE])
    choices = []
    for title, chosen in CHOICES.items():
        contents = {name: written[name, chosen.get(name, "exact")] for name in GRAPHS}
        engines = {name: Engine(name, content, graphs[name]) for name, content in contents.items()}
        size_mb = sum(map(len, contents.values())) / 1e6
        decoder = Decoder(*(engines[name] for name in SPEAKING), vocabulary)
        hearing = Hearing(source.mels, engines["encoder"], Alarms(None, source.mels))
        choices.append(Choice(title, size_mb, hearing, decoder))
    return choices


def _feeds(
    source: Checkpoint, corpus: Corpus, graphs: Mapping[str, GraphFile], exact: Mapping[str, bytes]
) -> Feeds:
    """What the graphs are given over training clips, drawn from all over the corpus."""
    clips = corpus.split("train")
    contents = {graph.file: exact[name] for name, graph in graphs.items()}
    with tempfile.TemporaryDirectory() as folder:
        for index, clip in enumerate(clips[:: max(1, len(clips) // CALIBRATION_CLIPS)]):
            soundfile.write(Path(folder) / f"{index:03}.wav", corpus.audio(clip), RATE)
        return record_feeds(source, graphs, contents, Path(folder), progress=_say)


def _time(choices: list[Choice], mels: int) -> dict[str, tuple[float, float]]:
    """CPU milliseconds of a hop and of a sentence about 12 embeddings, in turns."""
    rng = np.random.default_rng(0)
    log_mel = rng.uniform(-90, -20, (32, mels)).astype(np.float32)
    states = {choice.name: choice.hearing.encoder.initial_state() for choice in choices}
    spent: dict[str, tuple[list[float], list[float]]] = {choice.name: ([], []) for choice in choices}
    for turn in range(ROUNDS):
        _say(f"in turns, {turn + 1} of {ROUNDS} …")
        for choice in choices:
            state, vectors = states[choice.name], []
            begun = time.thread_time()
            for _ in range(HOPS):
                embedding, state = choice.hearing.encoder.step(log_mel, state)
                vectors.append(embedding.vector)
            middle = time.thread_time()
            choice.decoder.describe(np.stack(vectors[-12:]))
            hops, sentences = spent[choice.name]
            hops.append((middle - begun) / HOPS * 1000)
            sentences.append((time.thread_time() - middle) * 1000)
            states[choice.name] = state
    return {name: (median(hops), median(sentences)) for name, (hops, sentences) in spent.items()}


def _caption(choice: Choice, corpus: Corpus, clip: Clip, source: Checkpoint) -> tuple[str, ...]:
    """The best sentence about a clip: the embeddings from where it begins to where it ends, at most L."""
    sound = corpus.audio(clip)
    heard = in_room(clip, sound)
    vectors = [
        embedding.vector
        for number, embedding in enumerate(choice.hearing.follow(heard))
        if BEFORE - CHUNK_SAMPLES <= number * CHUNK_SAMPLES < BEFORE + len(sound)
    ]
    return choice.decoder.describe(np.stack(vectors[-source.window :]))[0].words


def _say(words: str) -> None:
    print(words, file=sys.stderr)


if __name__ == "__main__":
    main()
