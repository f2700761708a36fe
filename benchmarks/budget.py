"""How long a decoder of words must learn, asked of text alone: a small one on Clotho's captions, no sound.

    python benchmarks/budget.py ../shared/data/captions/clotho.csv.gz

The decoder (width 192, 3 layers) attends to nothing but a memory of zeros, so it learns the language of
captions. It is taught by the rates of the recipes for two budgets: 1,800 steps of 64, which an epoch of one
caption a recording would give, and 9,000, one of every caption (docs/readings.md, SEE-10). What it may not do
worse than is a 4-gram with absolute discounting on the same words: one that does has not learnt to write.
Both are judged by the perplexity of captions of other recordings. 20 minutes on two idle cores.
"""

import argparse
import csv
import gzip
import math
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from edgecap.training.loop import Loss, Stage, cosine, decayed, fit
from edgecap.training.losses import next_token
from edgecap.training.models.gpt import GptConfig, GptDecoder
from edgecap.training.tokenizer import PAD, CaptionTokenizer, build_tokenizer

BATCH = 64
RATE, LEAST_RATE = 3e-5, 1e-5
"""Of the paper's recipes."""
SCALE = 4.0
"""A decoder a quarter as wide takes a rate four times as high for the same change of what it computes."""
ORDER, DISCOUNT = 4, 0.75


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("captions", type=Path, help="clotho.csv.gz: file_name, caption_no, caption, split")
    parser.add_argument("--budgets", type=int, nargs="+", default=[1_800, 9_000], help="steps")
    parser.add_argument("--width", type=int, default=192)
    parser.add_argument("--layers", type=int, default=3)
    parser.add_argument("--rate", type=float, default=RATE * SCALE)
    arguments = parser.parse_args()
    with gzip.open(arguments.captions, "rt", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    taught = [row["caption"] for row in rows if row["split"] == "development"]
    asked = [row["caption"] for row in rows if row["split"] == "validation"][:2_000]
    tokenizer = build_tokenizer(taught)
    print(f"{len(taught)} captions taught, {len(asked)} asked, {len(tokenizer)} words\n")
    print("| what | steps | perplexity |\n|---|---:|---:|")
    print(
        f"| 4-gram | | {of_ngrams(tokens(tokenizer, taught), tokens(tokenizer, asked), len(tokenizer)):.1f} |"
    )
    for steps in arguments.budgets:
        decoder = learnt(arguments, tokenizer, taught, steps)
        print(f"| decoder | {steps} | {of_decoder(decoder, tokenizer, asked):.1f} |", flush=True)


def tokens(tokenizer: CaptionTokenizer, captions: list[str]) -> list[list[int]]:
    """Begin, words, end of each."""
    return [[t for t in row if t != PAD] for row in tokenizer.encode(captions, 32).tolist()]


def learnt(
    arguments: argparse.Namespace, tokenizer: CaptionTokenizer, taught: list[str], steps: int
) -> GptDecoder:
    """A decoder after so many steps, which never heard a sound."""
    torch.manual_seed(1)
    width = arguments.width
    decoder = GptDecoder(
        GptConfig(
            vocabulary=len(tokenizer), width=width, heads=6, hidden=4 * width, layers=arguments.layers,
            max_tokens=32,
        )
    )  # fmt: skip
    rng = np.random.default_rng(1)

    def batches(begin: int) -> Iterator[Tensor]:
        while True:
            yield tokenizer.encode([taught[i] for i in rng.choice(len(taught), BATCH, replace=False)], 32)

    def loss(batch: Tensor) -> Loss:
        return next_token(decoder(batch[:, :-1], nothing(len(batch), width)), batch), {}

    fit(decoder.train(), batches, loss, Stage(
        steps=steps, optimiser=torch.optim.AdamW(decayed(decoder, 0.01), lr=arguments.rate),
        schedule=cosine(steps, 0, LEAST_RATE / RATE), clip=1.0,
    ))  # fmt: skip
    return decoder


def nothing(clips: int, width: int) -> Tensor:
    """The memory of silence."""
    return torch.zeros(clips, 1, width)


@torch.inference_mode()
def of_decoder(decoder: GptDecoder, tokenizer: CaptionTokenizer, asked: list[str]) -> float:
    """Perplexity of each next word, the end included."""
    total = count = 0.0
    for at in range(0, len(asked), 100):
        batch = tokenizer.encode(asked[at : at + 100], 32)
        logits = decoder(batch[:, :-1], nothing(len(batch), decoder.config.width))
        words = int((batch[:, 1:] != PAD).sum())
        total += float(next_token(logits, batch, smoothing=0.0)) * words
        count += words
    return math.exp(total / count)


def of_ngrams(taught: list[list[int]], asked: list[list[int]], vocabulary: int) -> float:
    """Perplexity of a 4-gram with absolute discounting, each order falling back on the one below it.

    p(w | h) = max(c(h w) - D, 0) / c(h) + D n(h) / c(h) p(w | shorter h), where n(h) counts the different
    words after h; below all stands the uniform distribution (Chen and Goodman 1999, 2.6).
    """
    pairs: list[Counter[tuple[int, ...]]] = [Counter() for _ in range(ORDER)]
    for row in taught:
        for at in range(1, len(row)):
            for n in range(min(at, ORDER - 1) + 1):
                pairs[n][tuple(row[at - n : at + 1])] += 1
    histories: list[Counter[tuple[int, ...]]] = [Counter() for _ in range(ORDER)]
    followers: list[Counter[tuple[int, ...]]] = [Counter() for _ in range(ORDER)]
    for n, counts in enumerate(pairs):
        for gram, times in counts.items():
            histories[n][gram[:-1]] += times
            followers[n][gram[:-1]] += 1

    def probability(history: tuple[int, ...], word: int) -> float:
        p = 1.0 / vocabulary
        for n in range(len(history) + 1):
            h = history[len(history) - n :]
            if total := histories[n][h]:
                seen = max(pairs[n][(*h, word)] - DISCOUNT, 0.0)
                p = (seen + DISCOUNT * followers[n][h] * p) / total
        return p

    total = count = 0.0
    for row in asked:
        for at in range(1, len(row)):
            total -= math.log(probability(tuple(row[max(0, at - ORDER + 1) : at]), row[at]))
            count += 1
    return math.exp(total / count)


if __name__ == "__main__":
    main()
