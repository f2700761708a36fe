"""Where a step of the encoder's training goes: composing, hearing, the net forward and back.

    python benchmarks/training_step.py training/recipes/room-small.yaml --corpus CLIPS --teacher MN04

CPU milliseconds on one thread, of a batch of the recipe's last encoder stage; a process composes and hears,
another runs the net. Back once with our gradients of the depthwise convolutions (training/streaming.py) and
once with torch's own.
"""

import argparse
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from edgecap.training.data.corpus import open_corpus
from edgecap.training.data.licences import LICENCES
from edgecap.training.frontend import LogMel
from edgecap.training.loop import is_half
from edgecap.training.models.convnext import CausalConvNeXt
from edgecap.training.recipe import Recipe, read_recipe
from edgecap.training.room.encoder import Batches, Distiller
from edgecap.training.room.teacher import Teacher
from edgecap.training.sound.bank import sound_labels
from edgecap.training.sound.compose import Composer, Shares, Stream
from edgecap.training.streaming import CausalDepthwise


def milliseconds(work: Callable[[], object], times: int = 5) -> float:
    """Of this process, for one."""
    work()
    began = time.process_time()
    for _ in range(times):
        work()
    return 1000 * (time.process_time() - began) / times


class Plain(nn.Conv2d):
    """The same convolution by torch's own gradients."""

    def _convolved(self, x: Tensor) -> Tensor:
        return nn.Conv2d.forward(self, x)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("recipe", type=Path)
    parser.add_argument("--corpus", type=Path, required=True)
    parser.add_argument("--teacher", type=Path, required=True)
    parser.add_argument("--cache", type=Path, default=Path("runs/cache"), help="of decoded clips")
    given = parser.parse_args()
    torch.set_num_threads(1)
    recipe = read_recipe(given.recipe)
    assert isinstance(recipe, Recipe)
    stage, corpus = recipe.encoder_stages[-1], open_corpus(given.corpus, given.cache)
    clips = corpus.split("train", LICENCES[recipe.sources])
    labels = sound_labels(corpus, clips)
    composer, teacher, front_end = (
        Composer(corpus, clips, labels),
        Teacher(given.teacher),
        LogMel(recipe.mels),
    )
    shares = Shares(stage.warnings, stage.homes, stage.clear)
    streams = [Stream(composer, np.random.default_rng(i), stage.chunks, shares) for i in range(stage.batch)]
    batches = iter(Batches(streams))
    samples, near, heard, weight = next(batches)
    encoder = CausalConvNeXt(recipe.size, recipe.mels, len(labels))
    model = Distiller(encoder).train()
    encoder.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # as in training
    encoder.bn0.eval()
    log_mel, state = front_end(samples), encoder.initial_state(stage.batch)
    half = is_half(torch.device("cpu"), stage.bfloat16)

    def forward() -> Tensor:
        with torch.autocast("cpu", torch.bfloat16, enabled=half):
            (embeddings, _), _ = encoder.step(log_mel, state)
        return model.sounds_loss(embeddings.float(), heard, weight)

    def back() -> None:
        forward().backward()  # type: ignore[no-untyped-call]  # torch's own stub has none

    print(f"{stage.batch} streams of {stage.chunks} chunks, {'bfloat16' if half else 'float32'}")
    for name, work in (
        ("composing", lambda: next(batches)), ("log-mel", lambda: front_end(samples)),
        ("the teacher", lambda: teacher.sequence(near)), ("forward", forward), ("forward and back", back),
    ):  # fmt: skip
        print(f"{name}: {milliseconds(work):.0f} ms")
    for module in encoder.modules():
        if isinstance(module, CausalDepthwise):
            module.__class__ = type("Torchs", (Plain, CausalDepthwise), {})
    print(f"forward and back, by torch's gradients: {milliseconds(back):.0f} ms")


if __name__ == "__main__":
    main()
