"""A recipe, run from start to end: encoder, semantic encoder, decoder; resumed wherever it stopped.

recipe.yaml + corpus + teacher -> OUTPUT/{encoder-1,…,head,semantic,decoder}/ (checkpoints, log, curves)
                               -> OUTPUT/model/ (what `edgecap export` takes)
"""

import csv
import shutil
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Literal

import msgspec
import torch
import yaml
from msgspec import Meta

from ..runtime.errors import ConfigError, InputMissingError
from ..runtime.model.bundle import Bundle
from ..runtime.model.manifest import Calibration, Thresholds
from ..runtime.model.manifest import Label as BundleLabel
from .data.corpus import Clip, Label, open_corpus
from .data.licences import LICENCES, Licence
from .models import room
from .models import text as text_side
from .models.gpt import GptConfig, GptSizes
from .models.see import AdapterConfig
from .papers.see import PaperRecipe
from .prepare.plan import open_plans
from .room import stream_features as segments_of
from .room.encoder import EncoderSettings, train_encoder
from .room.head import HeadSettings, train_head
from .room.see_stages import StageSettings, train_decoder, train_semantic
from .room.teacher import Teacher
from .room.text_side import TextSettings, train_text
from .room.warm_start import begin_from
from .run_folder import Run, team
from .sentence import sentence_model
from .sound.bank import sound_labels
from .sound.compose import Composer
from .sound.taxonomy import cadence, priority
from .sound.templates import sayable
from .tokenizer import FREE, CaptionTokenizer, build_tokenizer

Progress = Callable[[float, str], None]


class Recipe(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Everything that decides a model, besides the sounds."""

    name: str
    version: str
    licence: str
    size: Literal["nano", "atto", "pico", "tiny"] = "atto"
    mels: int = 64
    sources: Licence = "shipping"
    """By licence: no derivatives forbidden and not research only; or free for any use; or all."""
    hours: Annotated[float, Meta(gt=0)] = 20.0
    """Composed sound that stages 1 and 2 learn from."""
    adapter: AdapterConfig = AdapterConfig()
    decoder: GptSizes = GptSizes()
    """Its vocabulary comes from the captions."""
    encoder_stages: Annotated[tuple[EncoderSettings, ...], Meta(min_length=1)] = (EncoderSettings(),)
    """One after the other, each from where the last one came: first crowded scenes, then clear sounds."""
    head_stage: HeadSettings | None = None
    """The encoder's head fitted again, held back, once its trunk stands still."""
    semantic_stage: StageSettings = StageSettings()
    decoder_stage: StageSettings = StageSettings(steps=3000)
    text_stage: TextSettings | None = None
    """A text encoder for search and alerts in plain words; without one the bundle has none."""
    confidence: Annotated[float, Meta(ge=0, le=1)] = 0.5
    hedge: Annotated[float, Meta(ge=0, le=1)] = 0.35
    """The thresholds that the bundle comes with: what is said plainly, and what with "Possibly"."""
    seed: int = 1


def read_recipe(path: Path) -> Recipe | PaperRecipe:
    """A recipe file; one that names corpora is the paper's.

    Raises InputMissingError, or ConfigError with the key's path where something in it is wrong.
    """
    if not path.is_file():
        raise InputMissingError(
            f"there is no recipe {path}", fix="see training/recipes for those that come along"
        )
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
        if isinstance(content, dict) and "corpora" in content:
            return msgspec.convert(content, PaperRecipe)
        return msgspec.convert(content, Recipe)
    except (yaml.YAMLError, msgspec.ValidationError) as error:
        raise ConfigError(
            f"{path} is not a recipe", why=str(error), fix="see the comments in training/recipes"
        ) from error


def train(
    recipe: Recipe, corpus_folder: Path, teacher_folder: Path | None, output: Path, cache: Path,
    papers: Mapping[str, Path] = {}, scenes: Path | None = None, start: Bundle | None = None,
    progress: Progress = lambda done, what: None,
) -> Path:  # fmt: skip
    """Run the recipe's stages that are not done yet; returns the folder of the finished checkpoint.

    scenes: what `edgecap prepare` made of people's captions; without it the model has our wording only.
    start: the encoder goes on from this bundle's, by the last of the encoder's stages alone.
    papers: what goes along as it is, by its name there: MODEL_CARD.md, LICENSE.
    """
    workers = team()
    torch.manual_seed(recipe.seed)
    with workers.leader_first():
        corpus = open_corpus(corpus_folder, cache, progress)
    clips = corpus.split("train", LICENCES[recipe.sources])
    labels = sound_labels(corpus, clips)
    composer = Composer(corpus, clips, labels)
    plans = open_plans(scenes) if scenes else []
    tokenizer = _vocabulary(labels, [caption for plan in plans for caption in (plan.caption, *plan.others)])
    model = room.RoomCaptioner(
        room.RoomConfig(
            encoder=recipe.size, mels=recipe.mels, sounds=len(labels), adapter=recipe.adapter,
            decoder=GptConfig(vocabulary=len(tokenizer), **msgspec.structs.asdict(recipe.decoder)),
        )
    )  # fmt: skip
    teacher = Teacher(teacher_folder, torch.get_num_threads()) if teacher_folder else None
    stages = list(enumerate(recipe.encoder_stages, 1))
    if start:
        begin_from(model.encoder, start, labels)
        stages = stages[-1:]
    for number, settings in stages:
        stage = Run(output, f"encoder-{number}")
        is_new = number == 1 and not start
        train_encoder(model.encoder, composer, teacher, stage, settings, progress, is_new=is_new)
    if recipe.head_stage:
        train_head(model.encoder, composer, clips, Run(output, "head"), recipe.head_stage, progress)
    kept = output / "segments.npz"
    with workers.leader_first():
        if not kept.exists():
            heard = segments_of.listen(
                model.encoder, composer, recipe.hours, recipe.seed, plans=plans, progress=progress
            )
            segments_of.save(heard, kept)
    segments = segments_of.load(kept, labels)
    embed = sentence_model()
    train_semantic(
        model, segments, tokenizer, embed, Run(output, "semantic"), recipe.semantic_stage, progress
    )
    train_decoder(model, segments, tokenizer, Run(output, "decoder"), recipe.decoder_stage, progress)
    if not workers.leads:
        return output / "model"
    folder = save_checkpoint(model, tokenizer, labels, recipe, clips, output / "model")
    if recipe.text_stage:
        captions = corpus_folder / "captions" if (corpus_folder / "captions").is_dir() else None
        text = train_text(labels, captions, Run(output, "text"), recipe.text_stage, progress)
        text_side.save(*text, folder)
    for name, paper in papers.items():
        shutil.copyfile(paper, folder / name)
    return folder


def save_checkpoint(
    model: room.RoomCaptioner, tokenizer: CaptionTokenizer, labels: list[Label], recipe: Recipe,
    clips: list[Clip], folder: Path,
) -> Path:  # fmt: skip
    """Everything the exporter needs of a model, in one folder."""
    room.save(model, folder)
    tokenizer.save(folder)
    meaning = {name: said for said, names in sayable(labels).items() for name in names}
    with (folder / "labels.csv").open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(BundleLabel._fields)
        table.writerows(
            BundleLabel(each.name, meaning[each.name], each.category, priority(each), cadence(each))
            for each in labels
        )
    licences = sorted({clip.licence for clip in clips})
    about = {
        "name": recipe.name, "version": recipe.version, "licence": recipe.licence,
        "sources": sorted({clip.source for clip in clips}), "licences": licences, "clips": len(clips),
        "thresholds": msgspec.to_builtins(Thresholds(confidence=recipe.confidence, hedge=recipe.hedge)),
        "commit": commit(),
    }  # fmt: skip
    (folder / "about.json").write_bytes(msgspec.json.format(msgspec.json.encode(about)))
    return folder


def commit() -> str:
    """The commit of the code that trains, "+changed" where files differ from it; empty outside a checkout."""
    here = Path(__file__).resolve().parent

    def git(*arguments: str) -> str:
        done = subprocess.run(
            ["git", "-C", str(here), *arguments], capture_output=True, text=True, check=False
        )
        return done.stdout.strip() if done.returncode == 0 else ""

    try:
        revision = git("rev-parse", "HEAD")
        return f"{revision}+changed" if revision and git("status", "--porcelain") else revision
    except OSError:  # no git here
        return ""


LEAST_COUNT = 5
"""A word of people's captions that comes less often than this is not learnt."""


def _vocabulary(labels: list[Label], captions: list[str]) -> CaptionTokenizer:
    """Every word of every clause and joint, so that the vocabulary does not hang on what was drawn; and
    the usual ones of people's captions."""
    ours = [*sayable(labels), "one, then another", "one while another"]
    if not captions:
        return build_tokenizer(ours)
    return build_tokenizer([*ours * LEAST_COUNT, *captions], LEAST_COUNT, styles=(FREE,))


def write_calibration(folder: Path, bias: float, slope: float, novelty: float) -> str:
    """Put a fitted confidence and novelty into a checkpoint's about.json; tells what they are."""
    path = folder / "about.json"
    about = msgspec.json.decode(path.read_bytes())
    thresholds = msgspec.structs.replace(
        msgspec.convert(about.get("thresholds", {}), Thresholds),
        calibration=Calibration(bias=round(bias, 4), score=round(slope, 4)),
        novelty=round(novelty, 4),
    )
    about["thresholds"] = msgspec.to_builtins(thresholds)
    path.write_bytes(msgspec.json.format(msgspec.json.encode(about)))
    return f"p = sigmoid({bias:+.3f} {slope:+.3f} logit(score)); novelty {novelty:.3f}"
