"""Would a search find more by where a sound was heard to lie (`semantic`) than by its sentence?

    python benchmarks/search_by_sound.py --corpus CLIPS [--bundle room-small] [--cache DIR]

Captions of the validation clips, each heard in a quiet room, are ordered for each question of
benchmarks/questions.csv that one of them answers: by the likeness of their sentence to it, by that of
`semantic`, by the mean of both. Prints the mean reciprocal rank of the first right caption, and how many of
the first ten are right. A caption is right where its clip holds a sound that the question asks for.
"""

import argparse
import csv
import sys
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edgecap.runtime.events import Caption
from edgecap.runtime.model.bundle import Bundle
from edgecap.runtime.model.text import TextEncoder
from edgecap.runtime.session import Model
from edgecap.training.data.corpus import open_corpus
from edgecap.training.evaluation.captioned import caption_events, in_room

QUESTIONS = Path(__file__).parent / "questions.csv"
FIRST = 10


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--corpus", type=Path, required=True)
    parser.add_argument("--bundle", default="room-small")
    parser.add_argument("--cache", type=Path, default=Path("runs/cache"), help="of decoded clips")
    options = parser.parse_args()
    bundle = Bundle.open(options.bundle)
    model, encoder = Model.load(bundle), TextEncoder(bundle)
    corpus = open_corpus(options.corpus, options.cache)
    captions: list[Caption] = []
    sounds: list[set[str]] = []
    clips = corpus.split("val")
    for number, clip in enumerate(clips, 1):
        events = caption_events(model, in_room(clip, corpus.audio(clip)))
        last = {event.id: event for _, event in events if event.kind != "end"}
        captions += last.values()
        sounds += [set(clip.labels)] * len(last)
        print(f"\r{number} of {len(clips)}", end="", file=sys.stderr, flush=True)
    sentences = encoder.embed([caption.text for caption in captions])
    heard = np.stack([np.frombuffer(caption.semantic or b"", np.int8) for caption in captions]) / 127
    with QUESTIONS.open(encoding="utf-8") as file:
        asked = [(row["question"], set(row["labels"].split())) for row in csv.DictReader(file)]
    asked = [(question, right) for question, right in asked if any(right & has for has in sounds)]
    questions = encoder.embed([question for question, _ in asked])
    is_right = np.array([[bool(right & has) for has in sounds] for _, right in asked])
    orders = {"sentences": sentences, "`semantic`": heard, "both": (sentences + heard) / 2}
    print(f"\n| {len(captions)} captions, {len(asked)} questions | rank | first {FIRST} |")
    for name, places in orders.items():
        print(f"| {name} | {_rank(questions @ places.T, is_right)} |")


def _rank(likeness: NDArray[np.float64], is_right: NDArray[np.bool_]) -> str:
    """(questions, captions) each -> mean reciprocal rank, and the share that is right of the first ten."""
    order = np.argsort(-likeness, axis=1, kind="stable")
    right = np.take_along_axis(is_right, order, axis=1)
    return f"{np.mean(1 / (1 + right.argmax(axis=1))):.2f} | {right[:, :FIRST].mean():.2f}"


if __name__ == "__main__":
    main()
