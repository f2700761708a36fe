"""SEE as in the paper, on public corpora: frozen ConvNeXt-Tiny features, stage 1, stage 2, then the score.

recipe.yaml + corpus + public weights -> OUTPUT/{features,semantic,decoder}/ -> OUTPUT/model/, scores.json

Of the decoder's steps those weights are kept that say most of the validation recordings as people do. What is
tried is compared there too; the test split is scored where it is asked for, and each such look is counted.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
import torch
from msgspec import Meta
from torch import Tensor, nn
from torch.nn import functional as F

from ...runtime.errors import InputMissingError
from ...runtime.saying.decoder import Search
from .. import made_from
from ..data.corpora import Corpora, Name, digest, read_corpora
from ..data.features import Features, extract
from ..distributed import team
from ..evaluation.metrics.text import cider_d, tokenise
from ..loop import Loss, Progress
from ..losses import bag_of_words, info_nce, next_token
from ..models import room
from ..models.checkpoint import write_json, write_tensors
from ..models.convnext import SIZES, load_public
from ..models.gpt import GptConfig, GptDecoder, GptSizes
from ..models.see import AdapterConfig, SemanticAdapter
from ..room.see_stages import StageSettings, train_decoder, train_semantic
from ..run_folder import Run
from ..sentence import sentence_digest, sentence_model
from ..tokenizer import CaptionTokenizer, build_tokenizer
from ..torch_engine import decoder_of
from .order import Order
from .scores import Scored, write_scores
from .smoke import Rehearsal, random_tokens

MELS, WORDS = 224, 4371
"""Of a rehearsal: the extractor's bins, and Clotho's words."""


class PaperRecipe(
    msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, tag_field="kind", tag="see"
):
    """Everything that decides a captioner of the paper, besides the sounds."""

    name: str
    version: str
    licence: str
    corpora: Annotated[tuple[Name, ...], Meta(min_length=1)]
    """What is taught; the test split of the first is what is scored."""
    extractor: str = "convnext_tiny_465mAP_BL_AC_70kit.pth"
    """The public ConvNeXt's file, in the folder of weights."""
    size: Literal["tiny", "nano"] = "tiny"
    """The extractor's; nano is for tests."""
    sentence: str = "bge-base-en-v1.5"
    """The sentence model's folder, in the folder of weights; "" takes the packaged one."""
    adapter: AdapterConfig
    decoder: GptSizes
    semantic_stage: StageSettings = StageSettings()
    """Left out where the adapter has no layers: the paper's Simple."""
    decoder_stage: StageSettings = StageSettings()
    seed: int = 1


AS_PUBLISHED = Search(least=3, stops_early=False)
"""The DCASE 2024 baseline's beam (SEE-7)."""
JUDGED = 300
"""Validation recordings that a decoder is judged by."""


class PaperCaptioner(nn.Module):
    """What is trained: the adapter and the decoder. config.encoder is the windowed extractor's size."""

    def __init__(self, config: room.RoomConfig) -> None:
        super().__init__()
        self.config = config
        self.adapter = SemanticAdapter(
            config.adapter, SIZES[config.encoder].widths[-1], config.decoder.width, config.decoder.vocabulary
        )
        self.decoder = GptDecoder(config.decoder)


def train_paper(recipe: PaperRecipe, order: Order) -> Path:
    """Run the stages that are not done yet, then score; returns the folder of the checkpoint.

    The order's weights hold the extractor's file and the sentence model's folder.
    Raises InputMissingError that says what is to be put where.
    """
    output, progress, workers = order.output, order.progress, team()
    torch.manual_seed(recipe.seed)
    extractor_file, sentence_folder = _weights(recipe, order.weights)
    corpora = read_corpora(order.corpus, recipe.corpora)
    _say(corpora, progress)
    extractor = load_public(extractor_file)
    with workers.leader_first():
        is_noisy = recipe.adapter.noise is not None
        extract(
            extractor, corpora.recordings, output / "features", workers.device, progress, spectra=is_noisy
        )
    width, mels = SIZES[recipe.size].widths[-1], extractor.mels

    recordings = corpora.split("train")
    taught = Features(recordings, output / "features", width, mels)
    tokenizer = build_tokenizer(caption for r in recordings for caption in r.captions)
    model = PaperCaptioner(
        room.RoomConfig(
            encoder=recipe.size, mels=mels, adapter=recipe.adapter,
            decoder=GptConfig(vocabulary=len(tokenizer), **msgspec.structs.asdict(recipe.decoder)),
        )
    )  # fmt: skip

    def stage(name: str, **causes: Any) -> Run:
        with workers.leader_first():
            made_from.claim(output / name, causes, anew=order.anew)
        return Run(output, name)

    causes = {
        "extractor": made_from.of_module(extractor), "model": model.config, "seed": recipe.seed,
        "recordings": digest(recordings),
    }  # fmt: skip
    pairs = sum(len(r.captions) for r in recordings)
    first_stage, second_stage = (
        each.for_pairs(pairs) for each in (recipe.semantic_stage, recipe.decoder_stage)
    )

    def features(split: Scored) -> Features:
        return Features(corpora.split(split, of=recipe.corpora[0]), output / "features", width, mels)

    judged = features("val").some(JUDGED, recipe.seed)
    embed = sentence_model(sentence_folder, str(workers.device))
    if recipe.adapter.layers:
        sentences = sentence_digest(sentence_folder)
        run = stage("semantic", settings=first_stage, sentences=sentences, **causes)
        train_semantic(model, taught, tokenizer, embed, run, first_stage, progress)
    semantic = made_from.of_module(model.adapter)
    run = stage("decoder", settings=second_stage, semantic=semantic, **causes)
    judge = (lambda: likeness(model, tokenizer, judged)) if len(judged) > 1 else None
    train_decoder(model, taught, tokenizer, run, second_stage, progress, score=judge)
    folder = output / "model"
    if workers.leads:
        save(model, tokenizer, recipe, corpora, folder)
        held_out = features(order.scored)
        if len(held_out):
            score(model, tokenizer, held_out, order.scored, output, progress)
    return folder


def smoke_see(recipe: PaperRecipe) -> Iterator[Rehearsal]:
    """Both stages at their own sizes, on random features of the longest clips."""
    config = room.RoomConfig(
        encoder=recipe.size, adapter=recipe.adapter,
        decoder=GptConfig(vocabulary=WORDS, **msgspec.structs.asdict(recipe.decoder)),
    )  # fmt: skip
    model, adapter = PaperCaptioner(config), recipe.adapter
    width, longest = SIZES[recipe.size].widths[-1], recipe.decoder.max_tokens

    def heard(device: torch.device, clips: int) -> tuple[Tensor, Tensor, Tensor]:
        embeddings = torch.randn(clips, adapter.window, width, device=device)
        spectrogram = torch.randn(clips, 8 * adapter.window, MELS, device=device)
        return embeddings, spectrogram, random_tokens(device, clips, longest, WORDS)

    def meaning(batch: tuple[Tensor, Tensor, Tensor]) -> Loss:
        embeddings, _, tokens = batch
        adapted = model.adapter(embeddings)
        text = F.normalize(torch.randn_like(adapted.semantic), dim=-1)
        other = torch.zeros(len(text), len(text), dtype=torch.bool, device=text.device)
        words = bag_of_words(model.adapter.words(adapted.pooled).float(), tokens)
        return info_nce(adapted.semantic.float(), text.float(), other) + words, {}

    def sentence(batch: tuple[Tensor, Tensor, Tensor]) -> Loss:
        embeddings, spectrogram, tokens = batch
        memory = model.adapter(embeddings, None, spectrogram).memory
        return next_token(model.decoder(tokens[:, :-1], memory).float(), tokens), {}

    settings = recipe.semantic_stage
    if adapter.layers:
        clips = settings.batch
        model.adapter.train().projection.requires_grad_(False)
        yield Rehearsal("semantic", model, lambda on: heard(on, clips), meaning, settings.learning_rate)
    settings = recipe.decoder_stage
    model.adapter.requires_grad_(False).train_memory()
    model.adapter.projection.requires_grad_(True)
    yield Rehearsal("decoder", model, lambda on: heard(on, settings.batch), sentence, settings.learning_rate)


def save(
    model: PaperCaptioner, tokenizer: CaptionTokenizer, recipe: PaperRecipe, corpora: Corpora, folder: Path
) -> None:
    """Weights, sizes, words, whose sound was heard. No bundle: the edge has no windowed encoder."""
    folder.mkdir(parents=True, exist_ok=True)
    write_json(model.config, folder / room.CONFIG_FILE)
    tokenizer.save(folder)
    about = {
        "name": recipe.name, "version": recipe.version, "licence": recipe.licence, "sources": recipe.corpora,
        "licences": sorted({r.licence for r in corpora.split("train")} - {""}),
        "clips": len(corpora.split("train")), "commit": made_from.commit(),
    }  # fmt: skip
    write_json(about, folder / "about.json")
    write_tensors(model, folder / room.TENSORS_FILE)


def say(model: PaperCaptioner, tokenizer: CaptionTokenizer, heard: Features) -> Iterator[str]:
    """What a captioner says of recordings, one after another, by the published beam."""
    decoder = decoder_of(model.config, model.adapter, model.decoder, tokenizer.words, AS_PUBLISHED)
    for row in range(len(heard)):
        yield " ".join(decoder.describe(heard.embeddings(row).astype("float32"))[0].words)


def likeness(model: PaperCaptioner, tokenizer: CaptionTokenizer, heard: Features) -> float:
    """CIDEr-D of recordings, scaled as published, wherever the model is while it trains."""
    device = next(model.parameters()).device
    model.cpu()
    said = [tokenise(caption) for caption in say(model, tokenizer, heard)]
    model.to(device)
    return float(cider_d(said, [[tokenise(one) for one in r.captions] for r in heard.recordings]).mean())


def score(
    model: PaperCaptioner, tokenizer: CaptionTokenizer, held_out: Features, split: Scored, output: Path,
    progress: Progress,
) -> None:  # fmt: skip
    """Caption held-out recordings into captions.csv, and score them into scores.json."""
    said = []
    for caption in say(model, tokenizer, held_out):
        said.append(caption)
        progress(len(said) / len(held_out), f"captioning {len(held_out)} {split} recordings")
    names, references = ([r.id for r in held_out.recordings], [r.captions for r in held_out.recordings])
    write_scores(said, names, references, split, output)


def _weights(recipe: PaperRecipe, folder: Path | None) -> tuple[Path, Path | None]:
    wanted = f"the extractor {recipe.extractor}"
    wanted += f" and the sentence model {recipe.sentence}/" if recipe.sentence else ""
    if folder is None:
        raise InputMissingError(
            f"{recipe.name} needs public weights: {wanted}",
            why="SEE trains on a frozen extractor",
            fix="put them into one folder and name it with --weights; docs/training.md says where from",
        )
    extractor = folder / recipe.extractor
    if not extractor.is_file():
        raise InputMissingError(f"{folder} has no {recipe.extractor}", why=f"{recipe.name} needs {wanted}")
    return extractor, folder / recipe.sentence if recipe.sentence else None


def _say(corpora: Corpora, progress: Progress) -> None:
    counts = {name: sum(r.split == name for r in corpora.recordings) for name in ("train", "val", "test")}
    found = ", ".join(f"{count} {name}" for name, count in counts.items())
    progress(0.0, f"{found}; {corpora.missing} recordings are missing, {corpora.leaks} held out elsewhere")
