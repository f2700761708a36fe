"""The small table of a paper: rows trained at our scale, several seeds, intervals, verdicts on its claims.

    python benchmarks/papers.py retrieval --corpus ../shared/data --weights ../shared/weights --plans PLANS

PLANS holds train, val and test, each made by `edgecap prepare --licence all --split …`. Frozen encoders hear
the scenes once, into OUTPUT/heard; finished runs are in OUTPUT/PAPER-SPLIT and are not run again. All is
chosen on the validation split; --split test is for the table that is published, and each look is written
into OUTPUT/looks.jsonl.
"""

import argparse
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from edgecap.runtime.errors import EdgecapError
from edgecap.runtime.model.bundle import Bundle
from edgecap.training.data.corpus import Split, open_corpus
from edgecap.training.papers import blat_tables, clip_aac, edtc_table, retrieval, written
from edgecap.training.papers import trial as trials
from edgecap.training.papers.shelf import Shelf
from edgecap.training.papers.trial import Trial
from edgecap.training.recipe import read_recipe

TRIALS: dict[str, Callable[[Shelf, Any, Split, int | None], Trial]] = {
    "blat:captions": blat_tables.captions_table,
    "blat:pairs": blat_tables.pairs_table,
    "blat:unseen": blat_tables.unseen_table,
    "blat:written": written.written_table,
    "clip-aac": clip_aac.small_table,
    "edtc": edtc_table.small_table,
    "retrieval": retrieval.small_table,
}
"""Paper -> its small table: of a shelf, the recipe PAPER-small.yaml, the split to score, and how many steps
instead of the recipe's."""
RECIPES = Path(__file__).parents[1] / "training" / "recipes"


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("paper", choices=[*sorted(TRIALS), "none"], help="none: the encoders hear the scenes")
    parser.add_argument("--corpus", type=Path, required=True, help="the clips that the plans play")
    parser.add_argument("--plans", type=Path, required=True, help="train, val and test by edgecap prepare")
    parser.add_argument("--weights", type=Path, required=True, help="holds efficientat-mn04 and yamnet")
    parser.add_argument("--bundle", default="room-small", help="whose encoder is ours")
    parser.add_argument("--cache", type=Path, default=Path("runs/cache"), help="of decoded clips")
    parser.add_argument("-o", "--output", type=Path, default=Path("runs/papers"))
    parser.add_argument("--split", choices=("val", "test"), default="val", help="what is scored")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--rows", default="", help="some rows of the table, by name, | between; else all")
    parser.add_argument("--scenes", type=int, help="so many of each split; else all")
    parser.add_argument("--steps", type=int, help="of every training; else the recipe's")
    parser.add_argument("--blind", action="store_true", help="train and keep, without looking at any score")
    arguments = parser.parse_args()
    torch.set_num_threads(1)

    def progress(done: float, what: str) -> None:
        print(f"\r{done:.0%} {what}".ljust(110), end="", file=sys.stderr, flush=True)

    try:
        shelf = Shelf(
            open_corpus(arguments.corpus, arguments.cache, progress), arguments.plans, arguments.weights,
            Bundle.open(arguments.bundle), arguments.output, arguments.scenes, progress,
        )  # fmt: skip
        if arguments.paper == "none":
            for split in ("train", "val", "test"):
                shelf.scenes(split, shelf.ears)
            return
        recipe = read_recipe(RECIPES / f"{arguments.paper.partition(':')[0]}-small.yaml")
        trial = TRIALS[arguments.paper](shelf, recipe, arguments.split, arguments.steps)
        if names := [name.strip() for name in arguments.rows.split("|") if name.strip()]:
            trial = trial.only(names)
        scores = trials.run(
            trial, range(1, arguments.seeds + 1), shelf.folder / f"{trial.paper}-{arguments.split}", progress
        )
        print(file=sys.stderr)
        if arguments.blind:
            return
        print(trials.table(trial, scores))
        if arguments.split == "test":
            look = trials.note_look(shelf.folder, trial.paper, "test", list(trial.rows))
            print(f"\nLook {look} at the test split for this paper.")
    except EdgecapError as error:
        sys.exit(f"{error}")


if __name__ == "__main__":
    main()
