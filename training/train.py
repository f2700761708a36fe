"""A recipe, run from start to end: encoder, semantic encoder, decoder; resumed wherever it stopped.

recipe.yaml + corpus + teacher -> OUTPUT/{encoder-1,…,head,semantic,decoder}/ (checkpoints, log, curves)
                               -> OUTPUT/model/ (what `edgecap export` takes)
                               -> OUTPUT/encoder.safetensors (what a later training may go on from)
"""

import csv
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
import torch

from ..runtime.errors import ConfigError
from ..runtime.model.manifest import Calibration, PolicyThresholds, SegmentThresholds, Thresholds
from ..runtime.model.manifest import Label as BundleLabel
from . import made_from
from .data.corpus import Clip, Label, open_corpus
from .data.licences import LICENCES, LeftOut, card_section, left_out
from .distributed import team
from .loop import Progress
from .models import room
from .models import text as text_side
from .models.checkpoint import write_json
from .models.gpt import GptConfig
from .prepare.plan import open_plans
from .recipe import Recipe
from .room import opinion
from .room import stream_features as segments_of
from .room.encoder import train_encoder
from .room.head import train_head
from .room.opinion import train_opinion
from .room.see_stages import train_decoder, train_semantic
from .room.teacher import Teacher
from .room.text_side import train_text
from .room.warm_start import begin_from, keep_encoder, open_start
from .run_folder import Run
from .sentence import sentence_digest, sentence_model
from .sound.bank import sound_labels
from .sound.compose import Composer
from .sound.taxonomy import cadence, priority
from .sound.templates import sayable
from .tokenizer import FREE, CaptionTokenizer, build_tokenizer


def train(
    recipe: Recipe, corpus_folder: Path, teacher_folder: Path | None, output: Path, cache: Path,
    papers: Mapping[str, Path] = {}, scenes: Path | None = None, start: str = "",
    progress: Progress = lambda done, what: None, *, anew: bool = False,
) -> Path:  # fmt: skip
    """Run the recipe's stages that are not done yet; returns the folder of the finished checkpoint.

    scenes: what `edgecap prepare` made of people's captions; without it the model has our wording only.
    start: the encoder goes on from this one, a bundle's or one that was kept (room/warm_start.py), by the
    last of the encoder's stages alone. "": it begins as new.
    papers: what goes along as it is, by its name there: MODEL_CARD.md, LICENSE.
    anew: a stage that was made from something else is made again; else UsageError says what changed.
    """
    workers = team()
    torch.manual_seed(recipe.seed)
    with workers.leader_first():
        corpus = open_corpus(corpus_folder, cache, progress)
    allows = LICENCES[recipe.sources]
    if strange := set(recipe.leave_out) - {label.name for label in corpus.labels}:
        raise ConfigError(
            f"leave_out: the corpus has no label {sorted(strange)[0]}", fix="labels.csv has their names"
        )
    clips = [clip for clip in corpus.split("train", allows) if clip.label not in recipe.leave_out]
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
    sounds = {
        "corpus": corpus.digest, "clips": made_from.digest(clips), "labels": made_from.digest(labels),
    }  # fmt: skip

    def stage(name: str, **causes: Any) -> Run:
        with workers.leader_first():
            made_from.claim(output / name, causes, anew=anew)
        return Run(output, name)

    teacher = Teacher(teacher_folder, torch.get_num_threads()) if teacher_folder else None
    stages = list(enumerate(recipe.encoder_stages, 1))
    begins = f"new, {recipe.size}, {recipe.mels} mels, seed {recipe.seed}"
    if start:
        known = open_start(start, model.encoder)
        begin_from(model.encoder, known, labels)
        stages = stages[-1:]
        begins = f"{known.title}, {made_from.of_module(model.encoder)}"
    for number, settings in stages:
        run = stage(
            f"encoder-{number}", settings=settings, begins=begins, sounds=sounds,
            teacher=teacher.digest if teacher else "none",
        )  # fmt: skip
        is_new = number == 1 and not start
        train_encoder(model.encoder, composer, teacher, run, settings, progress, is_new=is_new)
        begins = made_from.of_module(model.encoder)
    if recipe.head_stage:
        run = stage("head", settings=recipe.head_stage, encoder=begins, sounds=sounds)
        train_head(model.encoder, composer, clips, run, recipe.head_stage, progress)
    kept = output / "segments.npz"
    heard = {
        "hours": recipe.hours, "seed": recipe.seed, "encoder": made_from.of_module(model.encoder),
        "sounds": sounds, "scenes": made_from.digest(plans),
    }  # fmt: skip
    with workers.leader_first():
        if not made_from.is_current(kept, heard):
            made_from.begin(kept)
            made = segments_of.encode_streams(
                model.encoder, composer, recipe.hours, recipe.seed, plans=plans, progress=progress
            )
            segments_of.save(made, kept)
            made_from.done(kept, heard)
    segments = segments_of.load(kept, labels)
    embed = sentence_model()
    taught = {"segments": heard, "words": made_from.digest(tokenizer.words), "model": model.config}
    run = stage("semantic", settings=recipe.semantic_stage, sentences=sentence_digest(), **taught)
    train_semantic(model, segments, tokenizer, embed, run, recipe.semantic_stage, progress)
    run = stage(
        "decoder", settings=recipe.decoder_stage, semantic=made_from.of_module(model.adapter), **taught
    )
    train_decoder(model, segments, tokenizer, run, recipe.decoder_stage, progress)
    if not workers.leads:
        return output / "model"
    lost = left_out(corpus.split("train"), allows)
    folder = save_checkpoint(model, tokenizer, labels, recipe, clips, lost, output / "model")
    keep_encoder(model.encoder, labels, output / "encoder.safetensors")
    if recipe.opinion_stage and teacher:
        run = stage("opinion", settings=recipe.opinion_stage, sounds=sounds, teacher=teacher.digest)
        second = train_opinion(teacher, composer, run, recipe.opinion_stage, progress)
        (folder / opinion.GRAPH_FILE).write_bytes(opinion.graph_of(teacher, second))
    if recipe.text_stage:
        captions = corpus_folder / "captions" if (corpus_folder / "captions").is_dir() else None
        tables = [captions / f"{name}.csv.gz" for name in recipe.text_stage.captions] if captions else []
        run = stage(
            "text", settings=recipe.text_stage, labels=sounds["labels"], sentences=sentence_digest(),
            captions=made_from.of_files(*tables),
        )  # fmt: skip
        text = train_text(labels, captions, run, recipe.text_stage, progress)
        text_side.save(*text, folder)
    for name, paper in papers.items():
        shutil.copyfile(paper, folder / name)
    if lost and "MODEL_CARD.md" in papers:
        with (folder / "MODEL_CARD.md").open("a", encoding="utf-8") as card:
            card.write(card_section(lost))
    return folder


def save_checkpoint(
    model: room.RoomCaptioner, tokenizer: CaptionTokenizer, labels: list[Label], recipe: Recipe,
    clips: list[Clip], lost: list[LeftOut], folder: Path,
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
        "thresholds": msgspec.to_builtins(Thresholds(
            confidence=recipe.confidence, hedge=recipe.hedge,
            policy=PolicyThresholds(asks=recipe.asks, urgent=recipe.urgent),
            segments=SegmentThresholds(
                opinion=recipe.opinion_weight, opinion_db=recipe.opinion_db, salient_db=recipe.salient_db,
                faint=recipe.faint,
            ),
        )),
        "commit": made_from.commit(), "left_out": lost,
    }  # fmt: skip
    write_json(about, folder / "about.json")
    return folder


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
    write_json(about, path)
    return f"p = sigmoid({bias:+.3f} {slope:+.3f} logit(score)); novelty {novelty:.3f}"
