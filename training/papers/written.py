"""Written sentences: what a captioner says of scenes joins people's, for a room's decoder to learn from.

    python -m edgecap.training.papers.written CAPTIONER --corpus CLIPS --scenes PLANS -o TAUGHT

CAPTIONER is runs/edtc/model (with --weights), or runs/blat/synthetic.json. PLANS is a folder that
`edgecap prepare` wrote, TAUGHT the same with a sentence more among a scene's `others`: `edgecap train …
--scenes TAUGHT` takes it as it takes PLANS. The sentences are those of a captioner of EDTC, which hears the
scenes, or what BLAT's wrote of their tags. One is kept where each sound that it names sounds in the scene: a
teacher that invents would teach to invent.

`written_table` asks what such sentences are worth where few scenes have people's.
"""

import argparse
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import msgspec
import numpy as np
import yaml
from torch import Tensor

from ...runtime.errors import DataError, EdgecapError, InputMissingError
from ...runtime.model.bundle import Bundle
from ..data.corpus import Corpus, Split, open_corpus
from ..evaluation.metrics.words import Names, related
from ..loop import Progress
from ..models import edtc_files
from ..prepare.plan import Plan, open_plans, write_plans
from ..run_folder import Run
from . import joint
from .blat import BlatRecipe
from .blat_small import describe, tag_names, tags_of, teach
from .captioning import Taught
from .edtc import EdtcRecipe, caption_clips, scene_clips
from .edtc_table import THREE, raised, recipe_of
from .scenes import Scenes, hear, open_scenes
from .shelf import Shelf
from .trial import ONCE, Claim, Scores, Trial

BEAM = 3
FEW = 1000
"""Scenes of which people's captions are known, in the table; of the others, their tags."""
PEOPLE, BLATS, EDTCS, ALL = (
    "people's of 1,000 scenes", "and BLAT's of the others", "and three encoders' of the others",
    "people's of all scenes",
)  # fmt: skip


def is_true(sentence: str, plan: Plan, names: Names) -> bool:
    """Whether it names a sound, and each that it names sounds in the scene."""
    real = {sound.label for sound in plan.sounds}
    named = names(sentence)
    return bool(named) and all(related(label) & real for label in named)


class Added(NamedTuple):
    """Plans with a captioner's sentences, and how many of them were kept."""

    plans: list[Plan]
    kept: int


def added(plans: Sequence[Plan], said: Mapping[str, str], names: Names) -> Added:
    """The plans with those of the sentences (plan's id -> sentence) that are true of them, and new to them,
    among `others`."""
    found, kept = [], 0
    for plan in plans:
        sentence = said.get(plan.id, "")
        if sentence not in (plan.caption, *plan.others) and is_true(sentence, plan, names):
            plan, kept = msgspec.structs.replace(plan, others=(*plan.others, sentence)), kept + 1
        found.append(plan)
    return Added(found, kept)


def written_table(shelf: Shelf, recipe: BlatRecipe, split: Split, steps: int | None = None) -> Trial:
    """A room's decoder (SEE's two stages, small) by people's captions of few scenes, with written ones of
    all others, and by people's of all. recipe: BLAT's; the three encoders' is edtc-small with their mean.

    The captioners that write know the few captions that the decoder knows, and no more.
    """
    train, held = shelf.scenes("train", THREE), shelf.scenes(split, ("ours",))
    names, labels = Names(shelf.corpus.labels), tag_names(shelf.corpus)
    tags = tags_of(train.plans, labels)

    def blats(few: Scenes, told: Sequence[tuple[int, ...]], seed: int, progress: Progress) -> list[str]:
        stage = recipe.captioner_stage
        long = steps or round(stage.epochs * len(train.captions(others=True)[0]) / stage.batch)
        heard = few.heard[recipe.ear]
        taught = teach(recipe, few.plans, heard, told, len(labels), seed, None, long, progress)
        known = [tuple(tag for tag in own if tag in taught.known) for own in tags]
        return describe(taught, train.heard[recipe.ear], known, 1, progress)

    def edtcs(few: Scenes, seed: int, run: Run, progress: Progress) -> list[str]:
        settings = recipe_of(edtc_small(), "mean of three", seed)
        long = steps or round(settings.epochs * len(train.plans) / settings.batch)
        model, language = raised(settings, few, long, run, progress)
        return caption_clips(
            model, scene_clips(train, settings.ears, settings.model.steps), language.decode, 1
        )

    def score(row: str, seed: int, folder: Path, progress: Progress) -> Scores:
        chosen = sorted(np.random.default_rng([seed, FEW]).permutation(len(train.plans))[:FEW].tolist())
        plans = {i: train.plans[i] for i in (range(len(train.plans)) if row == ALL else chosen)}
        if row in (BLATS, EDTCS):
            few = _rows(train, [train.plans[i] for i in chosen], chosen)
            told = [tags[i] for i in chosen]
            if row == BLATS:
                said = blats(few, told, seed, progress)
            else:
                said = edtcs(few, seed, Run(folder, "captioner"), progress)
            for i, sentence in enumerate(said):
                if i not in plans and is_true(sentence, train.plans[i], names):
                    plans[i] = msgspec.structs.replace(train.plans[i], caption=sentence, others=())
        kept = sorted(plans)
        taught = Taught(_rows(train, [plans[i] for i in kept], kept), held)
        speaker, _ = joint.train(joint.TWO_STAGES, seed, taught, shelf.sentences, folder, steps, progress)
        return {**taught.score(taught.say(speaker, "ours")), f"scenes{ONCE}": np.array([float(len(kept))])}

    claims = [
        Claim(BLATS, PEOPLE, "CIDEr-D"), Claim(EDTCS, PEOPLE, "CIDEr-D"), Claim(ALL, PEOPLE, "CIDEr-D"),
        Claim(ALL, BLATS, "CIDEr-D"),
    ]  # fmt: skip
    settings = {"blat": msgspec.to_builtins(recipe), "edtc": msgspec.to_builtins(edtc_small())}
    return Trial(
        paper="written", rows={row: {"row": row, **settings} for row in (PEOPLE, BLATS, EDTCS, ALL)},
        score=score, claims=claims,
        causes={
            "steps": steps or 0, "heard": shelf.heard(("train",), THREE),
            "asked": shelf.heard((split,), ("ours",)),
        },
    )  # fmt: skip


def _rows(scenes: Scenes, plans: list[Plan], rows: Sequence[int]) -> Scenes:
    heard = {ear: [vectors[row] for row in rows] for ear, vectors in scenes.heard.items()}
    return Scenes(scenes.split, plans, heard)


def edtc_small() -> EdtcRecipe:
    """The recipe edtc-small."""
    path = Path(__file__).parents[1] / "recipes" / "edtc-small.yaml"
    return msgspec.convert(yaml.safe_load(path.read_text(encoding="utf-8")), EdtcRecipe)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("captioner", type=Path, help="an EDTC recipe's model, or BLAT's synthetic.json")
    parser.add_argument("--corpus", type=Path, required=True)
    parser.add_argument("--scenes", type=Path, required=True, help="by edgecap prepare")
    parser.add_argument("--weights", type=Path, help="holds efficientat-mn04 and yamnet, where EDTC hears")
    parser.add_argument("--bundle", default="room-small", help="whose encoder is ours")
    parser.add_argument("--cache", type=Path, default=Path("runs/cache"), help="of decoded clips")
    parser.add_argument("-o", "--output", type=Path, required=True)
    arguments = parser.parse_args()
    try:
        run(arguments)
    except EdgecapError as error:
        sys.exit(f"{error}")


def run(arguments: argparse.Namespace) -> None:
    plans = open_plans(arguments.scenes)
    corpus = open_corpus(arguments.corpus, arguments.cache)
    if arguments.captioner.suffix == ".json":
        said = read_sentences(arguments.captioner)
    elif arguments.weights is None:
        raise InputMissingError("EDTC's captioner hears the scenes", fix="name --weights")
    else:
        said = heard_sentences(arguments, corpus, plans)
    found = added(plans, said, Names(corpus.labels))
    arguments.output.mkdir(parents=True, exist_ok=True)
    write_plans(arguments.output, found.plans)
    print(f"{arguments.output}: {found.kept} of {len(plans)} scenes have a sentence more")


def read_sentences(path: Path) -> dict[str, str]:
    """Plan's id -> sentence, as BLAT's training leaves it. Raises InputMissingError, DataError."""
    if not path.is_file():
        raise InputMissingError(f"there is no {path}", fix="a BLAT recipe at our scale leaves synthetic.json")
    try:
        return msgspec.json.decode(path.read_bytes(), type=dict[str, str])
    except msgspec.MsgspecError as error:
        raise DataError(f"{path} holds no sentences by a scene's id", why=str(error)) from error


def heard_sentences(arguments: argparse.Namespace, corpus: Corpus, plans: Sequence[Plan]) -> dict[str, str]:
    """Plan's id -> what EDTC's captioner says of it."""
    model, head, tokenizer = edtc_files.load(arguments.captioner)
    bundle = Bundle.open(arguments.bundle)
    shelf = Shelf(corpus, arguments.scenes, arguments.weights, bundle, arguments.output)
    heard = arguments.output / "heard"
    hear(corpus, "train", plans, [shelf.ear(ear) for ear in head.ears], heard)
    scenes = open_scenes("train", plans, head.ears, heard)

    def decode(tokens: Tensor) -> list[str]:
        return [tokenizer.decode(row) for row in tokens.tolist()]

    said = caption_clips(model, scene_clips(scenes, head.ears, head.model.steps), decode, BEAM)
    return {plan.id: sentence for plan, sentence in zip(plans, said, strict=True)}


if __name__ == "__main__":
    main()
