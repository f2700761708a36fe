"""What a bundle's thresholds are worth: validation clips by confidence and hedge, place, collection.

    python -m benchmarks.when_to_speak room-small --corpus CLIPS --pairs "0.57,0.52 0.54,0.49"

A table for each place of `edgecap evaluate --only rooms`. Collections, the sources of the corpus, part it in
two, those that --since names and all others:
a corpus that grew is easier to gain on where it grew. Nothing of the test split is heard.
"""

import argparse
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from edgecap.runtime.errors import EdgecapError
from edgecap.runtime.options import Captions
from edgecap.training.data.corpus import Clip
from edgecap.training.evaluation.captioned import BEFORE, captions_of, onset
from edgecap.training.evaluation.context import Context, Stage, open_stage, workers
from edgecap.training.evaluation.questions import rooms
from edgecap.training.evaluation.questions.naming import Uttered, naming

FIGURES = (
    "clips", "spoken", "recall", "recall_closed", "first_right", "first_open", "captions_a_clip",
    "delay_median_s",
)  # fmt: skip


def heard(stage: Stage, clip: Clip, place: str, pairs: Sequence[tuple[float, float]]) -> list[Uttered]:
    """What is said of a clip in a place, by each pair of thresholds."""
    samples = rooms.compose(stage, rooms.Hearing(clip, rooms.PLACES[place], "val", 0))
    begin = BEFORE + onset(stage.corpus.audio(clip))
    return [
        Uttered(
            clip, begin, captions_of(stage.model, [samples], stage.names, Captions(confidence=c, hedge=h))
        )
        for c, h in pairs
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("bundle")
    parser.add_argument("--corpus", type=Path, required=True)
    parser.add_argument("--cache", type=Path, default=Path("runs/cache"), help="of decoded clips")
    parser.add_argument("--pairs", required=True, help="confidence,hedge and more of them, space between")
    parser.add_argument(
        "--places", default="quiet, as recorded", help=f"| between: {' | '.join(rooms.PLACES)}"
    )
    parser.add_argument("--since", nargs="*", default=[], help="sources that the corpus has grown by")
    parser.add_argument("--clips", type=int, help="so many; else all")
    parser.add_argument("--jobs", type=int, default=2)
    given = parser.parse_args()
    pairs = [(float(c), float(h)) for c, h in (pair.split(",") for pair in given.pairs.split())]
    try:
        stage = open_stage(given.bundle, given.corpus, given.cache)
        with workers(given.bundle, given.corpus, given.cache, given.jobs) as pool:
            context = Context(stage, given.corpus, split="val", pool=pool, most=given.clips)
            for place in (each.strip() for each in given.places.split("|")):
                ask = partial(heard, place=place, pairs=pairs)
                found = context.each(ask, context.clips, place)
                print(f"\n{place}\n| thresholds | collections | {' | '.join(FIGURES)} |")
                print(f"|---|---|{'---:|' * len(FIGURES)}")
                for at, pair in enumerate(pairs):
                    said = [each[at] for each in found]
                    for name, is_new in (("all", None), ("before", False), ("since", True)):
                        some = [u for u in said if is_new in (None, u.clip.source in given.since)]
                        if some and (is_new is None or given.since):
                            row = naming(some)
                            cells = " | ".join(f"{row[figure]:.3f}" for figure in FIGURES)
                            print(f"| {pair[0]:.2f}, {pair[1]:.2f} | {name} | {cells} |", flush=True)
    except EdgecapError as error:
        sys.exit(f"{error}")


if __name__ == "__main__":
    main()
