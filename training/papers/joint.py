"""SEE's two stages, or one joint stage as CLIP-AAC has it: the same net, scenes and CPU seconds.

Two stages: the semantic encoder (InfoNCE, bag of words), then projection and decoder on what it froze to.
Joint: all of it at once by L = α L_cl + (1 − α) L_ce, the sentence model's vectors in the place of CLIP's
text head, since search and alerts need the product's embedding there.
"""

import copy
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import numpy as np
import torch
from numpy.random import Generator
from torch import nn

from ...runtime.saying.decoder import Decoder
from ..loop import Loss, Progress, Stage, cosine, decayed, fit
from ..losses import clip_contrastive, next_token
from ..models.gpt import GptConfig
from ..models.room import RoomConfig
from ..models.see import AdapterConfig
from ..room.see_stages import Batch, StageSettings, collate, train_decoder, train_semantic
from ..room.stream_features import Example
from ..run_folder import Run
from ..sentence import Embed
from ..torch_engine import decoder_of
from .captioning import LONGEST, Taught
from .see import PaperCaptioner

TWO_STAGES, JOINT = "two stages", "joint, equal seconds"
ROWS = (TWO_STAGES, JOINT)
ALPHA = 0.2
TEMPERATURE = 0.07
TIMED, UNTIMED = 30, 3
"""Steps by whose seconds a joint training is made as long as the two stages, after some that warm up."""


class Sizes(msgspec.Struct, frozen=True):
    """Of both captioners: the ablation's net, for fewer steps."""

    width: int = 128
    layers: int = 3
    heads: int = 4
    semantic_steps: int = 250
    decoder_steps: int = 450
    batch: int = 48
    learning_rate: float = 1e-3


SIZES = Sizes()


class SceneExamples:
    """Scenes with their captions, as SEE's stages draw them. They have no spectrogram: noise is off."""

    def __init__(self, taught: Taught) -> None:
        self._vectors, self._said = taught.taught.heard["ours"], taught.said

    def batch(self, rng: Generator, size: int) -> list[Example]:
        """Different scenes, each with one of its captions."""
        found = []
        for row in rng.choice(len(self._said), min(size, len(self._said)), replace=False).tolist():
            embeddings, captions = self._vectors[row][-LONGEST:], self._said[row]
            found.append(Example(embeddings, None, captions[int(rng.integers(len(captions)))]))
        return found


def train(
    row: str, seed: int, taught: Taught, embed: Embed, folder: Path, steps: int | None, progress: Progress,
    sizes: Sizes = SIZES,
) -> tuple[Decoder, float]:  # fmt: skip
    """One of ROWS, and the CPU seconds that its training took. steps: of each stage, not the sizes'."""
    torch.manual_seed(seed)
    tokenizer, examples = taught.tokenizer, SceneExamples(taught)
    width = sizes.width
    model = PaperCaptioner(RoomConfig(
        adapter=AdapterConfig(
            width=width, heads=sizes.heads, hidden=4 * width, layers=sizes.layers, window=LONGEST,
            sentence=embed([taught.said[0][0]]).shape[1],
        ),
        decoder=GptConfig(
            vocabulary=len(tokenizer), width=width, heads=sizes.heads, hidden=4 * width, layers=sizes.layers
        ),
    ))  # fmt: skip
    first = StageSettings(
        steps=steps or sizes.semantic_steps, batch=sizes.batch, learning_rate=sizes.learning_rate, warmup=50,
        seed=seed,
    )  # fmt: skip
    second = msgspec.structs.replace(first, steps=steps or sizes.decoder_steps)
    embed(sorted({text for some in taught.said for text in some}))  # no stage is to pay for these
    began = time.process_time()
    if row == TWO_STAGES:
        train_semantic(model, examples, tokenizer, embed, Run(folder, "semantic"), first, progress)
        train_decoder(model, examples, tokenizer, Run(folder, "decoder"), second, progress)
    else:
        began = _train_joint(model, examples, taught, embed, Run(folder, "joint"), first, second, progress)
    taken = time.process_time() - began
    return decoder_of(model.config, model.adapter, model.decoder, tokenizer.words), taken


def _train_joint(
    model: PaperCaptioner, examples: SceneExamples, taught: Taught, embed: Embed, run: Run,
    first: StageSettings, second: StageSettings, progress: Progress,
) -> float:  # fmt: skip
    """All of the net at once, for as many steps as take the CPU seconds of both stages on this machine.

    Returns the process's seconds when that began, after all was timed.
    """

    def semantic(net: PaperCaptioner, run: Run, steps: int) -> None:
        settings = msgspec.structs.replace(first, steps=steps)
        train_semantic(net, examples, taught.tokenizer, embed, run, settings)

    def decoder(net: PaperCaptioner, run: Run, steps: int) -> None:
        train_decoder(net, examples, taught.tokenizer, run, msgspec.structs.replace(second, steps=steps))

    def joint(net: PaperCaptioner, run: Run, steps: int, told: Progress = lambda done, what: None) -> None:
        whole = nn.ModuleDict({"adapter": net.adapter, "decoder": net.decoder})
        fit(whole.requires_grad_(True).train(), batches, loss_of(net), Stage(
            steps=steps, optimiser=torch.optim.AdamW(
                decayed(whole, first.weight_decay), lr=first.learning_rate, betas=(0.9, 0.98)
            ),
            schedule=cosine(steps, first.warmup), average=first.average, clip=1.0, run=run, progress=told,
        ))  # fmt: skip

    def batches(begin: int) -> Iterator[Batch]:
        torch.manual_seed(first.seed + begin)
        rng = np.random.default_rng([first.seed, begin])
        while True:
            yield collate(examples.batch(rng, first.batch))

    def loss_of(net: PaperCaptioner) -> Callable[[Batch], Loss]:
        def loss(batch: Batch) -> Loss:
            tokens = taught.tokenizer.encode(batch.captions, net.decoder.config.max_tokens)
            adapted = net.adapter(batch.embeddings, batch.valid)
            words = next_token(
                net.decoder(tokens[:, :-1], adapted.memory, adapted.valid), tokens, second.smoothing
            )
            near = clip_contrastive(adapted.semantic, embed(batch.captions), 1 / TEMPERATURE)
            return ALPHA * near + (1 - ALPHA) * words, {"contrastive": near.detach(), "words": words.detach()}

        return loss

    whole_s = first.steps * _seconds(model, semantic) + second.steps * _seconds(model, decoder)
    steps = max(1, round(whole_s / _seconds(model, joint)))
    began = time.process_time()
    joint(model, run, steps, progress)
    return began


def _seconds(model: PaperCaptioner, train: Callable[[PaperCaptioner, Run, int], None]) -> float:
    """CPU seconds of one step of this training, on copies of the model."""
    taken = []
    for steps in (UNTIMED, UNTIMED + TIMED):
        with tempfile.TemporaryDirectory() as folder, torch.random.fork_rng():
            copied = copy.deepcopy(model)
            began = time.process_time()
            train(copied, Run(Path(folder), "timed"), steps)
            taken.append(time.process_time() - began)
    return (taken[1] - taken[0]) / TIMED
