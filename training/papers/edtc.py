"""EDTC trained: the captioner over three frozen encoders, as published or on scenes of our own.

recipe + corpus + public weights -> OUTPUT/captioner/ -> OUTPUT/model/, captions.csv, scores.json
recipe + clips + scenes + mn04 and YAMNet -> the same; its model is what `edgecap thorough` makes a bundle of
"""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import msgspec
import numpy as np
import torch
from msgspec import Meta
from torch import Tensor
from torch.nn import functional as F

from ...runtime.model.bundle import Bundle
from .. import made_from
from ..data.corpora import Name, read_corpora
from ..data.corpus import Split, open_corpus
from ..distributed import Team, team
from ..evaluation.metrics.text import cider_d, tokenise
from ..loop import Judge, Loss, Progress, Stage, decayed, fit, in_half
from ..losses import clip_contrastive, next_token
from ..models import edtc_files, public
from ..models.edtc import Edtc, EdtcConfig, new_bart, to_steps
from ..models.sizes import Rate
from ..run_folder import Run
from ..sentence import token_model
from ..tokenizer import PAD, CaptionTokenizer, build_tokenizer
from .ears import copy_graphs
from .listening import Decoded, Heard, Listener, open_listener
from .order import Order, given
from .scenes import Scenes, Vectors
from .scores import write_scores
from .shelf import Shelf
from .smoke import Rehearsal, random_tokens

INSTRUCTION = "Represent the audio caption:"
LONGEST = 30
"""Tokens of a caption that are learnt, and said."""
BART_WORDS, NEW_WORDS = 50_265, 2_000
"""Tokens of BART-base; and about as many as prepared scenes teach a new one."""
PARTS = 64
"""Clips that are captioned at once."""


class EdtcRecipe(
    msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, tag_field="kind", tag="edtc"
):
    """Everything that decides a captioner of EDTC, besides the sounds."""

    name: str
    version: str
    licence: str
    corpora: tuple[Name, ...] = ()
    """What is taught, and what the test split of the first scores. None: prepared scenes (--scenes)."""
    ears: tuple[str, ...] = ("cnn14", "htsat", "convnext")
    """The frozen encoders: of models/public.py with corpora, of papers/ears.py with scenes."""
    bart: str = "bart-base"
    """Its folder in the folder of weights; "": a new one of `model.bart`'s sizes, on our own words."""
    text: str = "instructor-base"
    """The text branch's folder; "" takes the packaged MiniLM."""
    model: EdtcConfig = EdtcConfig()
    epochs: Annotated[float, Meta(gt=0)] = 20
    batch: Annotated[int, Meta(ge=2)] = 32
    learning_rate: Annotated[float, Meta(gt=0)] = 3e-5
    weight_decay: Annotated[float, Meta(ge=0)] = 0.01
    cycle: Annotated[float, Meta(gt=0)] = 4
    """Epochs of one cosine down to a tenth and back; after each the highest rate is halved."""
    checks: Annotated[int, Meta(ge=0)] = 3
    """How often an epoch the validation split is captioned, for the best CIDEr-D; 0: never."""
    patience: Annotated[int, Meta(ge=1)] = 4
    """Epochs without a better one that end the training."""
    checked: Annotated[int, Meta(ge=2)] = 1045
    """Validation clips that a check captions."""
    smoothing: Rate = 0.1
    spec_augment: bool = True
    """In front of every encoder, in training; scenes are heard once, without."""
    beam: Annotated[int, Meta(ge=1)] = 4
    least_count: Annotated[int, Meta(ge=1)] = 1
    """A word that comes less often is none of ours (of a new BART)."""
    seed: int = 1


class Batch(NamedTuple):
    """Clips: what each encoder heard (B, T, dᵢ), captions' tokens (B, S) and token vectors (B, T, d)."""

    heard: list[Tensor]
    tokens: Tensor
    words: Tensor | None


Decode = Callable[[Tensor], list[str]]
"""Tokens (B, S) -> sentences."""


class Language(NamedTuple):
    """How captions become tokens and back, and token vectors for the twin."""

    encode: Callable[[Sequence[str]], Tensor]
    decode: Decode
    words: Callable[[Sequence[str]], Tensor]
    pad: int
    tokenizer: CaptionTokenizer | None = None
    """Where the words are our own."""


class Clips(NamedTuple):
    """Clips to caption: what is heard of rows of them, and what people said of each."""

    heard: Callable[[Sequence[int]], list[Tensor]]
    captions: list[tuple[str, ...]]


def cyclic_cosine(cycle: int) -> Callable[[int], float]:
    """From one to a tenth and back within `cycle` steps; each cycle half as high as the one before."""

    def factor(step: int) -> float:
        number, at = divmod(step, cycle)
        return float(0.5**number * (0.1 + 0.45 * (1 + np.cos(2 * np.pi * at / cycle))))

    return factor


def loss_of(model: Edtc, smoothing: float, pad: int) -> Callable[[Batch], Loss]:
    """L_ce + L_cl (eq. 8); without a twin L_ce alone."""

    def loss(batch: Batch) -> Loss:
        logits, last = model(batch.heard, batch.tokens)
        words = next_token(logits.float(), batch.tokens, smoothing, pad)
        figures = {"words": words.detach()}
        if model.twin is None or batch.words is None:
            return words, figures
        heard, read = (F.normalize(x.float(), dim=-1) for x in (last, model.read(batch.words)))
        near = clip_contrastive(heard, read, model.times)
        return words + near, {**figures, "contrastive": near.detach()}

    return loss


def train_captioner(
    model: Edtc, recipe: EdtcRecipe, batches: Callable[[int], Iterator[Batch]], per_epoch: int, pad: int,
    run: Run, judge: Callable[[], float], progress: Progress = lambda done, what: None,
) -> None:  # fmt: skip
    """Train in place, the best of the validation split kept. per_epoch: batches of an epoch."""
    workers, checks = team(), recipe.checks
    every, patience = max(1, per_epoch // max(1, checks)), recipe.patience * checks
    judged = Judge(score=judge, every=every, patience=patience) if checks else None

    loss = loss_of(model, recipe.smoothing, pad)
    model.to(workers.device).requires_grad_(True).train()
    fit(model, batches, in_half(loss, workers.device), Stage(
        steps=max(1, round(recipe.epochs * per_epoch)),
        optimiser=torch.optim.AdamW(decayed(model, recipe.weight_decay), lr=recipe.learning_rate),
        schedule=cyclic_cosine(max(1, round(recipe.cycle * per_epoch))), clip=1.0, run=run, workers=workers,
        progress=progress, judge=judged, after=model.merge,
    ))  # fmt: skip
    model.cpu().requires_grad_(False)


@torch.inference_mode()
def say(model: Edtc, heard: list[Tensor], decode: Decode, beam: int) -> list[str]:
    """A sentence for each clip; heard: each encoder's (B, T, dᵢ)."""
    device = model.scale.device
    memory = model.translate([x.to(device) for x in heard]).said
    bart: Any = model.bart
    tokens = bart.generate(
        inputs_embeds=memory, attention_mask=torch.ones(memory.shape[:2], device=device), num_beams=beam,
        max_new_tokens=LONGEST, min_new_tokens=4, no_repeat_ngram_size=3, do_sample=False,
    )  # fmt: skip
    return decode(tokens)


def caption_clips(model: Edtc, clips: Clips, decode: Decode, beam: int) -> list[str]:
    """A sentence for every clip."""
    rows = range(len(clips.captions))
    return [
        sentence
        for start in range(0, len(rows), PARTS)
        for sentence in say(model, clips.heard(rows[start : start + PARTS]), decode, beam)
    ]


def cider_of(model: Edtc, clips: Clips, decode: Decode) -> float:
    """CIDEr-D of greedy captions: what a check during the training asks."""
    said = [tokenise(sentence) for sentence in caption_clips(model, clips, decode, 1)]
    references = [[tokenise(one) for one in captions] for captions in clips.captions]
    return float(cider_d(said, references).mean())


def own_language(recipe: EdtcRecipe, captions: Sequence[str]) -> Language:
    """Our own words, for a new BART; token vectors by the packaged MiniLM, each caption read once."""
    return language_of(recipe, build_tokenizer(captions, recipe.least_count))


def language_of(recipe: EdtcRecipe, tokenizer: CaptionTokenizer) -> Language:
    """The same of a tokeniser that is there."""
    read = token_model(recipe.model.steps) if recipe.model.translator == "twin" else None
    known: dict[str, Tensor] = {}

    def words(some: Sequence[str]) -> Tensor:
        assert read is not None
        new = sorted(set(some) - known.keys())
        if new:
            known.update(zip(new, read(new).half(), strict=True))
        return torch.stack([known[caption] for caption in some]).float()

    return Language(
        lambda some: tokenizer.encode(some, LONGEST),
        lambda tokens: [tokenizer.decode(row) for row in tokens.tolist()],
        words, PAD, tokenizer,
    )  # fmt: skip


def published_language(recipe: EdtcRecipe, weights: Path, device: str) -> Language:
    """BART's own word pieces, and INSTRUCTOR's token vectors."""
    pieces: Any = public.text_tokenizer(weights / recipe.bart)
    read = token_model(recipe.model.steps, weights / recipe.text, INSTRUCTION, device)

    def encode(captions: Sequence[str]) -> Tensor:
        rows = pieces(list(captions), padding=True, truncation=True, max_length=LONGEST, return_tensors="pt")
        tokens: Tensor = rows["input_ids"]
        # As BART was trained: its end token stands before a sentence's first.
        return torch.cat([torch.full((len(tokens), 1), pieces.eos_token_id), tokens], dim=1)

    def decode(tokens: Tensor) -> list[str]:
        return [text.strip() for text in pieces.batch_decode(tokens, skip_special_tokens=True)]

    return Language(encode, decode, read, pieces.pad_token_id)


def scene_clips(scenes: Scenes, ears: Sequence[str], steps: int) -> Clips:
    """Prepared scenes as clips, everything they were heard as stretched to T steps once."""

    def resized(vectors: Vectors) -> Tensor:
        rows = (torch.from_numpy(one).float()[None] for one in vectors)
        return torch.cat([to_steps(row, steps) for row in rows]).half()

    table = [resized(scenes.heard[ear]) for ear in ears]
    captions = [(plan.caption, *plan.others) for plan in scenes.plans]
    return Clips(lambda rows: [stream[list(rows)].float() for stream in table], captions)


def scene_batches(
    clips: Clips, recipe: EdtcRecipe, language: Language, seed: int
) -> Callable[[int], Iterator[Batch]]:
    """Batches of different scenes, each with one of its captions, from a step on; for ever."""

    def batches(begin: int) -> Iterator[Batch]:
        torch.manual_seed(seed + begin)
        rng = np.random.default_rng([seed, begin])
        size = min(recipe.batch, len(clips.captions))
        while True:
            rows = rng.choice(len(clips.captions), size, replace=False).tolist()
            said = [clips.captions[row][int(rng.integers(len(clips.captions[row])))] for row in rows]
            words = language.words(said) if recipe.model.translator == "twin" else None
            yield Batch(clips.heard(rows), language.encode(said), words)

    return batches


def smoke_edtc(recipe: EdtcRecipe) -> Iterator[Rehearsal]:
    """The training at its own sizes, on random features and words."""
    vocabulary = BART_WORDS if recipe.bart else NEW_WORDS
    model = Edtc(recipe.model, new_bart(recipe.model.bart, vocabulary)).train()
    config, clips = recipe.model, recipe.batch

    def batch(device: torch.device) -> Batch:
        heard = [torch.randn(clips, config.steps, width, device=device) for width in config.inputs]
        words = torch.randn(clips, config.steps, config.text, device=device)
        return Batch(heard, random_tokens(device, clips, LONGEST, vocabulary), words)

    loss = loss_of(model, recipe.smoothing, PAD)
    yield Rehearsal("captioner", model, batch, loss, recipe.learning_rate, model.merge, recipe.weight_decay)


def train_small(recipe: EdtcRecipe, order: Order) -> Path:
    """On prepared scenes, as the encoders of papers/ears.py heard them: minutes to an hour on two cores."""
    why = f"{recipe.name} learns from scenes and what public encoders hear of them"
    scenes = given(order.scenes, "--scenes", recipe.name, why)
    weights = given(order.weights, "--weights", recipe.name, why)
    workers, bundle = team(), Bundle.open(order.bundle)
    torch.manual_seed(recipe.seed)
    corpus = open_corpus(order.corpus, order.cache, order.progress)
    shelf = Shelf(corpus, scenes, weights, bundle, order.output, progress=order.progress)
    judged: Split = "val" if recipe.checks else "train"
    splits: tuple[Split, ...] = ("train", judged, order.scored)
    heard = {split: shelf.scenes(split, recipe.ears) for split in dict.fromkeys(splits)}
    clips = {split: scene_clips(some, recipe.ears, recipe.model.steps) for split, some in heard.items()}
    language = own_language(recipe, [said for captions in clips["train"].captions for said in captions])
    assert language.tokenizer is not None
    model = Edtc(recipe.model, new_bart(recipe.model.bart, len(language.tokenizer)))
    model.standardise(clips["train"].heard(range(len(clips["train"].captions))))
    causes = {"recipe": recipe, "heard": shelf.heard(("train",), recipe.ears)}
    run = _claimed(order, causes, workers)
    checked = _some(clips[judged], recipe.checked)
    per_epoch = max(1, len(clips["train"].captions) // recipe.batch)
    batches = scene_batches(clips["train"], recipe, language, recipe.seed)

    def judge() -> float:
        return cider_of(model, checked, language.decode)

    train_captioner(model, recipe, batches, per_epoch, PAD, run, judge, order.progress)
    folder = order.output / "model"
    if workers.leads:
        edtc_files.save(model, folder, language.tokenizer, recipe.ears, bundle, _about(recipe))
        for ear in recipe.ears:
            copy_graphs(ear, weights, folder)
        asked = clips[order.scored]
        said = caption_clips(model, asked, language.decode, recipe.beam)
        names = [plan.id for plan in heard[order.scored].plans]
        write_scores(said, names, asked.captions, order.scored, order.output)
    return folder


def train_published(recipe: EdtcRecipe, order: Order) -> Path:
    """On a public corpus and public weights: one GPU of 24 GB, or several by torchrun."""
    workers = team()
    torch.manual_seed(recipe.seed)
    listener = open_listener(
        recipe.ears, order.weights, recipe.model.steps, [recipe.bart, recipe.text], recipe.name
    )
    corpora = read_corpora(order.corpus, recipe.corpora)
    assert order.weights is not None  # the listener's weights were found there
    language = published_language(recipe, order.weights, str(workers.device))
    model = Edtc(recipe.model, public.open_text(order.weights / recipe.bart, "BartForConditionalGeneration"))
    run = _claimed(order, {"recipe": recipe, "extractors": listener.digest}, workers)
    listener.to(workers.device)
    decoded = Decoded(corpora.split("train"), recipe.batch)

    def batches(begin: int) -> Iterator[Batch]:
        torch.manual_seed(recipe.seed + begin + 1_000_003 * workers.rank)
        for _, sounds, said in decoded.batches(recipe.seed, begin, workers.rank):
            heard = listener.hear(sounds, recipe.spec_augment)
            words = language.words(said).to(workers.device) if recipe.model.translator == "twin" else None
            yield Batch(heard, language.encode(said).to(workers.device), words)

    checked = _heard_once(listener, corpora.split("val")[: recipe.checked], order)

    def judge() -> float:
        return cider_of(model, checked, language.decode)

    per_epoch = max(1, decoded.pairs // (recipe.batch * workers.size))
    train_captioner(model, recipe, batches, per_epoch, language.pad, run, judge, order.progress)
    folder = order.output / "model"
    if workers.leads:
        edtc_files.save_published(model, folder, _about(recipe))
        scored = corpora.split(order.scored, of=recipe.corpora[0])
        if scored:
            clips = _heard_once(listener, scored, order)
            said = caption_clips(model.to(workers.device), clips, language.decode, recipe.beam)
            write_scores(said, [r.id for r in scored], clips.captions, order.scored, order.output)
    return folder


def _heard_once(listener: Listener, recordings: Sequence[Any], order: Order) -> Clips:
    heard = Heard.of(listener, recordings, order.progress)
    return Clips(heard.rows, [recording.captions for recording in recordings])


def _claimed(order: Order, causes: dict[str, Any], workers: Team) -> Run:
    with workers.leader_first():
        made_from.claim(order.output / "captioner", causes, anew=order.anew)
    return Run(order.output, "captioner")


def _some(clips: Clips, count: int) -> Clips:
    return Clips(clips.heard, clips.captions[:count])


def _about(recipe: EdtcRecipe) -> dict[str, Any]:
    return {
        "name": recipe.name, "version": recipe.version, "licence": recipe.licence, "sources": recipe.corpora,
        "commit": made_from.commit(),
    }  # fmt: skip
