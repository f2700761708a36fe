"""EDTC as a teacher: its sentences join the scenes' own, so that a room's decoder learns from them too.

    python -m edgecap.training.papers.edtc_teacher MODEL --scenes PLANS -o TAUGHT --corpus CLIPS --weights …

PLANS is a folder that `edgecap prepare` wrote, TAUGHT the same with what the captioner says of each scene
among its `others`: `edgecap train … --scenes TAUGHT` takes it as it takes PLANS. A sentence is kept where
each sound that it names sounds in the scene: a teacher that invents would teach to invent.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import msgspec
from torch import Tensor

from ...runtime.errors import EdgecapError
from ...runtime.model.bundle import Bundle
from ..data.corpus import open_corpus
from ..evaluation.metrics.words import Names, related
from ..models import edtc_files
from ..prepare.plan import Plan, open_plans, write_plans
from . import ears
from .edtc import caption_clips, scene_clips
from .scenes import Scenes, hear, open_scenes

BEAM = 3


class Taught(NamedTuple):
    """Plans with the teacher's sentences, and how many of them were kept."""

    plans: list[Plan]
    kept: int


def taught(plans: Sequence[Plan], said: Sequence[str], names: Names) -> Taught:
    """The plans with those of the sentences that are true of them, and new to them, among `others`."""
    found = []
    for plan, sentence in zip(plans, said, strict=True):
        real = {sound.label for sound in plan.sounds}
        named = names(sentence)
        is_true = bool(named) and all(related(label) & real for label in named)
        if is_true and sentence not in (plan.caption, *plan.others):
            plan = msgspec.structs.replace(plan, others=(*plan.others, sentence))
        found.append(plan)
    kept = sum(new.others != old.others for new, old in zip(found, plans, strict=True))
    return Taught(found, kept)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("model", type=Path, help="what edgecap train left of an EDTC recipe of our scale")
    parser.add_argument("--corpus", type=Path, required=True)
    parser.add_argument("--scenes", type=Path, required=True, help="by edgecap prepare")
    parser.add_argument("--weights", type=Path, required=True, help="holds efficientat-mn04 and yamnet")
    parser.add_argument("--bundle", default="room-small", help="whose encoder is ours")
    parser.add_argument("--cache", type=Path, default=Path("runs/cache"), help="of decoded clips")
    parser.add_argument("-o", "--output", type=Path, required=True)
    arguments = parser.parse_args()
    try:
        run(arguments)
    except EdgecapError as error:
        sys.exit(f"{error}")


def run(arguments: argparse.Namespace) -> None:
    model, head, tokenizer = edtc_files.load(arguments.model)
    corpus, plans = open_corpus(arguments.corpus, arguments.cache), open_plans(arguments.scenes)
    makers = {
        "ours": lambda: ears.ours(Bundle.open(arguments.bundle)),
        "mn04": lambda: ears.mn04(arguments.weights),
        "yamnet": lambda: ears.yamnet(arguments.weights),
    }
    heard = arguments.output / "heard"
    hear(corpus, "train", plans, [makers[ear]() for ear in head.ears], heard)
    scenes: Scenes = open_scenes("train", plans, head.ears, heard)

    def decode(tokens: Tensor) -> list[str]:
        return [tokenizer.decode(row) for row in tokens.tolist()]

    said = caption_clips(model, scene_clips(scenes, head.ears, head.model.steps), decode, BEAM)
    found = taught(plans, said, Names(corpus.labels))
    write_plans(arguments.output, found.plans)
    print(f"{arguments.output}: {found.kept} of {len(plans)} scenes have a sentence more")


if __name__ == "__main__":
    main()
