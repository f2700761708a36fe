"""CLIP-AAC as published: AudioCLIP's heads trained along with the decoder, on a public corpus.

corpus + AudioCLIP's weights + CLIP's vocabulary -> OUTPUT/joint/ -> OUTPUT/model/, captions.csv, scores.json
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import cast

import msgspec
import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from .. import made_from
from ..clip_tokenizer import VOCABULARY, ClipTokenizer
from ..data.corpora import Recording, digest, read_corpora
from ..distributed import team
from ..models import public
from ..models.checkpoint import write_tensors
from ..models.clip_aac import AudioClip, ClipAac, FrameAudio, PaperAudio, graphs
from ..models.esresnext import RATE
from ..models.gpt import GptConfig
from ..run_folder import Run
from ..tokenizer import CaptionTokenizer, build_tokenizer
from ..torch_engine import decoder_from
from .clip_aac import FILE, Batch, ClipAacRecipe, joint_loss, train_joint
from .listening import Decoded, sound_of
from .order import Order
from .scores import write_scores
from .see import AS_PUBLISHED
from .smoke import Rehearsal, random_tokens

WORDS = 4_371
"""Tokens of Clotho's development captions, for a rehearsal without them."""


def open_model(recipe: ClipAacRecipe, weights: Path, vocabulary: int) -> ClipAac:
    """AudioCLIP's heads with their public weights, and a new decoder of so many words.

    Raises InputMissingError, or BundleError that names each tensor that does not fit.
    """
    heads = cast(AudioClip, public.open_file(public.AUDIOCLIP, weights))
    decoder = GptConfig(vocabulary=vocabulary, **msgspec.structs.asdict(recipe.decoder))
    model = ClipAac(PaperAudio(recipe.width), recipe.text, decoder, recipe.memory, recipe.width)
    source = heads.state_dict()
    model.text.load_state_dict({name: source[name] for name in model.text.state_dict()})
    audio = cast(PaperAudio, model.audio).net
    audio.load_state_dict({name: source[f"audio.{name}"] for name in audio.state_dict()})
    with torch.no_grad():
        model.logit_scale_at.copy_(source["logit_scale_at"])
    audio.fbsp.requires_grad_(False)  # CAAC-6
    return model


def train_published(recipe: ClipAacRecipe, order: Order) -> Path:
    """Train and score; returns the folder of the checkpoint. One GPU of 24 GB, or several by torchrun.

    To score the test split it learns from development and validation, as the paper does; to score
    validation from development alone. Raises InputMissingError, BundleError, DataError.
    """
    workers = team()
    torch.manual_seed(recipe.seed)
    public.find(order.weights, [public.AUDIOCLIP], [], recipe.name)
    assert order.weights is not None  # found there
    pieces = ClipTokenizer(order.weights / VOCABULARY, recipe.text.context)
    corpora = read_corpora(order.corpus, recipe.corpora)
    taught = corpora.taught(order.scored)
    tokenizer = build_tokenizer(caption for recording in taught for caption in recording.captions)
    model = open_model(recipe, order.weights, len(tokenizer)).to(workers.device)
    causes = {
        "recipe": recipe, "begins": made_from.of_module(model),
        "recordings": digest(taught),
    }  # fmt: skip
    with workers.leader_first():
        made_from.claim(order.output / "joint", causes, anew=order.anew)
    decoded = Decoded(taught, recipe.batch, RATE)

    def batches(begin: int) -> Iterator[Batch]:
        torch.manual_seed(recipe.seed + begin)
        for _, sounds, said in decoded.batches(recipe.seed, begin, workers.rank):
            text, lengths = pieces.encode(said)
            yield Batch(
                pad_sequence(list(sounds), batch_first=True).to(workers.device), None,
                tokenizer.encode(said, recipe.decoder.max_tokens).to(workers.device),
                text.to(workers.device), lengths.to(workers.device),
            )  # fmt: skip

    steps = max(1, round(recipe.epochs * decoded.pairs / recipe.batch) // workers.size)
    train_joint(model, recipe, batches, steps, Run(order.output, "joint"), order.progress)
    folder = order.output / "model"
    if workers.leads:
        folder.mkdir(parents=True, exist_ok=True)
        write_tensors(model, folder / FILE)
        tokenizer.save(folder)
        held = corpora.split(order.scored, of=recipe.corpora[0])
        if held:
            said = []
            for caption in say(model, tokenizer, held):
                said.append(caption)
                order.progress(len(said) / len(held), f"captioning {len(held)} held-out recordings")
            references = [recording.captions for recording in held]
            write_scores(said, [recording.id for recording in held], references, order.scored, order.output)
    return folder


def say(model: ClipAac, tokenizer: CaptionTokenizer, recordings: Sequence[Recording]) -> Iterator[str]:
    """A sentence for each recording, by the published beam of three."""
    speaker = decoder_from(graphs(model.cpu().eval(), None), tokenizer.words, AS_PUBLISHED)
    for recording in recordings:
        yield " ".join(speaker.describe(sound_of(recording, RATE).numpy())[0].words)


def smoke_clip_aac(recipe: ClipAacRecipe) -> Iterator[Rehearsal]:
    """The recipe's joint step at its own size: half a minute of noise a clip, or random vectors of ours."""
    decoder = GptConfig(vocabulary=WORDS, **msgspec.structs.asdict(recipe.decoder))
    is_paper = bool(recipe.corpora)
    text = recipe.text if is_paper else msgspec.structs.replace(recipe.text, vocabulary=WORDS)
    audio = PaperAudio(recipe.width) if is_paper else FrameAudio(OURS, recipe.channels, recipe.width)
    model = ClipAac(audio, text, decoder, recipe.memory, recipe.width)

    def batch(device: torch.device) -> Batch:
        shape = (recipe.batch, 30 * RATE) if is_paper else (recipe.batch, 32, OURS)
        tokens = random_tokens(device, recipe.batch, 20, WORDS)
        sound: Tensor = 0.1 * torch.randn(shape, device=device)
        return Batch(sound, None, tokens, tokens, torch.full((recipe.batch,), 20, device=device))

    yield Rehearsal("joint", model.train(), batch, joint_loss(model, recipe), recipe.decoder_rate)


OURS = 320
"""Numbers of our encoder's embedding."""
