"""Attention-based retrieval as published: CNN14 and BERT trained along, on a public corpus.

corpus + public weights -> OUTPUT/towers/ -> OUTPUT/model/retrieval.safetensors, scores.json
"""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from .. import made_from
from ..data.corpora import Recording, digest, read_corpora
from ..distributed import team
from ..evaluation.questions.retrieval import retrieval
from ..loop import Loss, Stage, fit, in_half
from ..models import public
from ..models.checkpoint import write_json, write_tensors
from ..models.cnn14 import HALVINGS, Cnn14
from ..models.convnext import normalise
from ..models.retrieval import Retrieval, RetrievalConfig
from ..run_folder import Run
from .blat_published import ENCODED, padded_sound
from .listening import Decoded, sound_of, spec_augment
from .order import Order
from .retrieval import LONGEST as LONGEST_SCENE
from .retrieval import Pairs, RetrievalRecipe, contrast, decay, pair_loss, steps_of
from .smoke import Rehearsal

LONGEST = 30
"""Word pieces of a caption."""
LARGE_BLOCKS = 2
"""Of CNN14, computed a second time for the gradients instead of kept: 60 clips of 30 s fill a card else."""
FILE = "retrieval.safetensors"
OURS, MINILM = 320, 384
"""Numbers of our encoder's embedding, and of the packaged sentence model's vector."""


class Taken(NamedTuple):
    """A batch: samples (B, N), real frames (B, t), word pieces, and which rows are of one clip (B, B)."""

    samples: Tensor
    valid: Tensor
    pieces: Any
    same: Tensor


class Towers(nn.Module):
    """Both encoders and the heads behind them."""

    def __init__(self, cnn: Cnn14, bert: nn.Module, config: RetrievalConfig) -> None:
        super().__init__()
        self.cnn, self.bert, self.heads = cnn, bert, Retrieval(config)

    def hear(self, samples: Tensor, valid: Tensor) -> Tensor:
        """(B, N) at 32 kHz -> (B, width), of length 1; in training under SpecAugment."""
        log_mel = self.cnn.log_mel(samples)
        frames = self._columns(spec_augment(log_mel)) if self.training else self.cnn.columns(log_mel)
        place: Tensor = self.heads.audio(frames[:, : valid.shape[1]], valid)
        return place

    def _columns(self, log_mel: Tensor) -> Tensor:
        """As `Cnn14.columns`, its first blocks computed again where the gradients need them."""
        x = normalise(self.cnn.bn0, log_mel)
        for number in range(1, self.cnn.blocks + 1):
            block = self.cnn.get_submodule(f"conv_block{number}")
            pool = 2 if number <= HALVINGS else 1
            if number <= LARGE_BLOCKS:
                x = cast(Tensor, checkpoint(block, x, pool, use_reentrant=False))
            else:
                x = block(x, pool)
            x = nn.functional.dropout(x, 0.2, self.training)
        return x.mean(3).transpose(1, 2)

    def read(self, pieces: Any) -> Tensor:
        """Word pieces -> (B, width), of length 1: BERT's [CLS]."""
        return self.heads.embed_text(self.bert(**pieces).last_hidden_state[:, 0])


def loss_of(model: Towers, recipe: RetrievalRecipe) -> Callable[[Taken], Loss]:
    """The recipe's loss of a batch; in float32, whatever the towers compute in."""

    def loss(batch: Taken) -> Loss:
        audio, text = model.hear(batch.samples, batch.valid).float(), model.read(batch.pieces).float()
        near = (audio * text).sum(1).mean().detach()
        return contrast(recipe, audio, text, batch.same), {"cosine": near}

    return loss


def train_published(recipe: RetrievalRecipe, order: Order) -> Path:
    """Train and score; returns the folder of the towers. One GPU of 24 GB, or several by torchrun.

    To score the test split it learns from development and validation, as the paper does; to score
    validation from development alone. Raises InputMissingError, BundleError, DataError.
    """
    workers = team()
    torch.manual_seed(recipe.seed)
    public.find(order.weights, [public.CNN14], [recipe.text], recipe.name)
    assert order.weights is not None  # found there
    corpora = read_corpora(order.corpus, recipe.corpora)
    taught = corpora.taught(order.scored)
    cnn, bert = (
        public.open_file(public.CNN14, order.weights),
        public.open_text(order.weights / recipe.text, "BertModel"),
    )
    tokenizer = public.text_tokenizer(order.weights / recipe.text)
    model = Towers(cast(Cnn14, cnn), bert, RetrievalConfig(
        frames=cast(Cnn14, cnn).width, attended=recipe.attended, sentence=bert.config.hidden_size,
        width=recipe.width, attention=recipe.attention,
    )).to(workers.device)  # fmt: skip
    causes = {
        "recipe": recipe, "begins": made_from.of_module(model),
        "recordings": digest(taught),
    }  # fmt: skip
    with workers.leader_first():
        made_from.claim(order.output / "towers", causes, anew=order.anew)

    def read(captions: Sequence[str]) -> Any:
        found = tokenizer(
            list(captions), padding=True, truncation=True, max_length=LONGEST, return_tensors="pt"
        )
        return found.to(workers.device)

    decoded = Decoded(taught, recipe.batch)

    def batches(begin: int) -> Iterator[Taken]:
        torch.manual_seed(recipe.seed + begin)
        for recordings, sounds, said in decoded.batches(recipe.seed, begin, workers.rank):
            clips = np.unique([recording.id for recording in recordings], return_inverse=True)[1]
            same = torch.from_numpy(clips[:, None] == clips[None]).to(workers.device)
            yield Taken(*padded_sound(sounds, workers.device), read(said), same)

    steps = max(1, steps_of(recipe, decoded.pairs) // workers.size)
    fit(model.train(), batches, in_half(loss_of(model, recipe), workers.device), Stage(
        steps=steps, optimiser=torch.optim.Adam(model.parameters(), recipe.learning_rate),
        schedule=decay(recipe, steps), clip=recipe.clip, run=Run(order.output, "towers"), workers=workers,
        progress=order.progress,
    ))  # fmt: skip
    folder = order.output / "model"
    if workers.leads:
        folder.mkdir(parents=True, exist_ok=True)
        write_tensors(model, folder / FILE)
        held = corpora.split(order.scored, of=recipe.corpora[0])
        if held:
            figures = {order.scored: examine(model, read, held, workers.device)}
            write_json(figures, order.output / "scores.json")
    return folder


@torch.inference_mode()
def examine(
    model: Towers, read: Callable[[Sequence[str]], Any], held: Sequence[Recording], device: torch.device
) -> dict[str, dict[str, float]]:
    """Both directions; a caption's own clip is the one right answer, as in table I."""
    model = model.to(device).eval()
    sounds: list[NDArray[np.float32]] = []
    for start in range(0, len(held), ENCODED):
        heard = padded_sound([sound_of(one) for one in held[start : start + ENCODED]], device)
        sounds.append(model.hear(*heard).float().cpu().numpy())
    said = [(caption, row) for row, recording in enumerate(held) for caption in recording.captions]
    texts = [
        model.read(read([caption for caption, _ in said[start : start + ENCODED]])).float().cpu().numpy()
        for start in range(0, len(said), ENCODED)
    ]
    own = np.array([row for _, row in said])[:, None] == np.arange(len(held))
    places, questions = np.concatenate(sounds), np.concatenate(texts)
    return {
        "text to audio": retrieval(questions, places, own),
        "audio to text": retrieval(places, questions, own.T),
    }


def smoke_retrieval(recipe: RetrievalRecipe) -> Iterator[Rehearsal]:
    """The recipe's step at its own size: half a minute of noise a clip, or random vectors of ours."""
    from transformers import BertConfig, BertModel

    if recipe.corpora:
        config = RetrievalConfig(attended=recipe.attended, width=recipe.width, attention=recipe.attention)
        model = Towers(Cnn14(), BertModel(BertConfig()), config)

        def taken(device: torch.device) -> Taken:
            samples = 0.1 * torch.randn(recipe.batch, 30 * 32_000, device=device)
            pieces = torch.randint(1000, 30_000, (recipe.batch, 20), device=device)
            words = {"input_ids": pieces, "attention_mask": torch.ones_like(pieces)}
            valid = torch.ones(recipe.batch, 93, dtype=torch.bool, device=device)
            return Taken(samples, valid, words, torch.eye(recipe.batch, dtype=torch.bool, device=device))

        yield Rehearsal("towers", model.train(), taken, loss_of(model, recipe), recipe.learning_rate)
        return
    heads = Retrieval(RetrievalConfig(
        frames=OURS, attended=recipe.attended, sentence=MINILM, width=recipe.width, attention=recipe.attention
    ))  # fmt: skip

    def pairs(device: torch.device) -> Pairs:
        frames = torch.randn(recipe.batch, LONGEST_SCENE, OURS, device=device)
        same = torch.eye(recipe.batch, dtype=torch.bool, device=device)
        return Pairs(
            frames,
            same.any(1)[:, None].expand(-1, LONGEST_SCENE),
            torch.randn(recipe.batch, MINILM, device=device),
            same,
        )

    yield Rehearsal("heads", heads.train(), pairs, pair_loss(heads, recipe), recipe.learning_rate)
