"""What a second, longer look is worth: a room's captions of held-out scenes beside the same, thoroughly.

    python benchmarks/thorough.py BUNDLE --corpus ../shared/data --plans PLANS --split val --scenes 300

BUNDLE is one that `edgecap export` made of a captioner of EDTC (training/recipes/thorough.yaml). Each scene
of PLANS/SPLIT is heard as in a quiet room; its captions, joined to one sentence, are held against people's.
Three answers: the session's, the session's in better words (`edgecap caption --thorough`), and the fuser's
alone of the whole scene. CIDEr-D, and F1 of the sounds named, with paired intervals; and the time of each.
"""

import argparse
import sys
import time
from pathlib import Path

import numpy as np

from edgecap.runtime.audio import CHUNK_SAMPLES, RATE
from edgecap.runtime.errors import EdgecapError
from edgecap.runtime.model.bundle import Bundle
from edgecap.runtime.session import Model
from edgecap.runtime.thorough import Thorough
from edgecap.training.data.corpus import open_corpus
from edgecap.training.evaluation.captioned import caption_events
from edgecap.training.evaluation.context import Stage
from edgecap.training.evaluation.metrics.text import cider_d, tokenise
from edgecap.training.evaluation.metrics.words import Names
from edgecap.training.evaluation.sounds.scenes import Shown, Spec, caption, join, make, plain
from edgecap.training.papers.edtc_table import event_f1
from edgecap.training.papers.scenes import Scenes, choose
from edgecap.training.papers.statistics import compare

SYSTEMS = ("room", "room, thoroughly", "fuser alone")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("bundle", help="with a fuser")
    parser.add_argument("--corpus", type=Path, required=True, help="the clips that the plans play")
    parser.add_argument("--plans", type=Path, required=True, help="val and test by edgecap prepare")
    parser.add_argument("--split", choices=("val", "test"), default="val")
    parser.add_argument("--scenes", type=int, default=300)
    parser.add_argument("--cache", type=Path, default=Path("runs/cache"), help="of decoded clips")
    arguments = parser.parse_args()
    try:
        run(arguments)
    except EdgecapError as error:
        sys.exit(f"{error}")


def run(arguments: argparse.Namespace) -> None:
    bundle = Bundle.open(arguments.bundle)
    model = Model.load(bundle)
    thorough, corpus = Thorough.load(bundle, model), open_corpus(arguments.corpus, arguments.cache)
    stage = Stage(model, corpus, Names(corpus.labels))
    plans = choose(arguments.plans, arguments.split, arguments.scenes)
    said: dict[str, list[str]] = {name: [] for name in SYSTEMS}
    spent, heard_s = dict.fromkeys(SYSTEMS, 0.0), 0.0
    for number, plan in enumerate(plans):
        sounding = make(corpus, Spec(arguments.split, number, 0, plan))
        heard_s += len(sounding.samples) / RATE
        began = time.process_time()
        said["room"].append(join(caption(stage, sounding.samples)))
        room_s = time.process_time() - began
        events = [event for _, event in caption_events(model, sounding.samples)]
        began = time.process_time()
        better = thorough.reworded(events, [sounding.samples])
        words_s = time.process_time() - began
        shown = [
            Shown(plain(one.text), stage.names(one.text), one.start / RATE, (one.end or one.start) / RATE)
            for one in better
            if one.kind == "end"
        ]
        said["room, thoroughly"].append(join(shown))
        began = time.process_time()
        stretch = sounding.samples[sounding.first * CHUNK_SAMPLES : sounding.last * CHUNK_SAMPLES]
        said["fuser alone"].append(thorough.describe(stretch)[0])
        for name, took in zip(SYSTEMS, (room_s, room_s + words_s, time.process_time() - began), strict=True):
            spent[name] += took
        print(f"\r{number + 1} of {len(plans)}", end="", file=sys.stderr, flush=True)
    print(file=sys.stderr)
    show(
        said, Scenes(arguments.split, plans, {}), stage.names, {n: s / heard_s * 60 for n, s in spent.items()}
    )


def show(said: dict[str, list[str]], scenes: Scenes, names: Names, minute: dict[str, float]) -> None:
    references = [[tokenise(text) for text in (plan.caption, *plan.others)] for plan in scenes.plans]
    figures = {
        name: {
            "CIDEr-D": cider_d([tokenise(text) for text in texts], references),
            "event F1": event_f1(texts, scenes, names),
        }
        for name, texts in said.items()
    }
    print(f"{len(scenes.plans)} scenes of {scenes.split}\n")
    print("| captions | CIDEr-D | event F1 | CPU seconds a minute of sound |\n|---|---:|---:|---:|")
    for name, by_figure in figures.items():
        cells = " | ".join(f"{values.mean():.3f}" for values in by_figure.values())
        print(f"| {name} | {cells} | {minute[name]:.2f} |")
    print()
    for name in SYSTEMS[1:]:
        for figure in ("CIDEr-D", "event F1"):
            ours, room = (figures[one][figure][None] for one in (name, "room"))
            print(f"- {name} over room in {figure}: {compare(ours, room, scenes.alike().tolist())}")
    for number in np.random.default_rng(0).permutation(len(scenes.plans))[:6].tolist():
        print(f"\n{scenes.plans[number].caption!r}: {[texts[number] for texts in said.values()]}")


if __name__ == "__main__":
    main()
