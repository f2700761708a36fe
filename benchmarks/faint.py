"""How far what is captioned rises above the room, and how often a caption of it is right.

    python -m benchmarks.faint room-small --corpus CLIPS --hours 6 --clips 300

Captions of sparse days (`edgecap evaluate --only day`) and of clips far away in a room, nothing of them
doubted, by how many decibels their sound had risen above the room's noise floor: that is what `salient_db`
and `faint` of a bundle are chosen by. Below the table, what some such pairs would leave. Validation clips
alone.
"""

import argparse
import dataclasses
import itertools
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

import msgspec
import numpy as np

from edgecap.runtime.audio import Samples
from edgecap.runtime.events import captions
from edgecap.runtime.hearing.segment import doubted
from edgecap.runtime.model.manifest import Calibration
from edgecap.runtime.session import Session
from edgecap.training.evaluation.captioned import BLOCK
from edgecap.training.evaluation.context import Context, Stage, open_stage
from edgecap.training.evaluation.questions import day, rooms
from edgecap.training.evaluation.sounds import streams

FAR = "in that room, 15 dB quieter"
EDGES = (0, 8, 12, 16, 18, 20, 22, 25, 30, 40, 200)
PAIRS = ((18, 0.3), (20, 0.3), (22, 0.3), (25, 0.2), (25, 0.3), (25, 0.6), (28, 0.3))
"""salient_db, faint."""
LATER = 100
"""Seeds from here on: other days than those whose figures are told."""


class Told(NamedTuple):
    """A caption as it read at last: how sure it was, how far its sound had risen, whether it was right, and
    whether anything sounded."""

    confidence: float
    rise_db: float
    is_right: bool
    is_sounding: bool


def undoubted(stage: Stage) -> Stage:
    """The same bundle, which doubts nothing faint."""
    model = stage.model
    segments = msgspec.structs.replace(model.thresholds.segments, faint=0.0)
    thresholds = msgspec.structs.replace(model.thresholds, segments=segments)
    return stage._replace(model=dataclasses.replace(model, thresholds=thresholds))


def last_wordings(stage: Stage, blocks: Iterable[Samples]) -> list[tuple[int, str, float, float]]:
    """(position, text, confidence, rise in dB) of each caption of a sound as it read at last."""
    session, found = Session(stage.model), dict[str, tuple[int, str, float, float]]()
    for block in blocks:
        for start in range(0, len(block), BLOCK):
            for event in captions(session.push(block[start : start + BLOCK])):
                if event.kind != "end" and session.segmenter.open:
                    rise = session.segmenter.open.rise_db
                    found[event.id] = session.position, event.text, event.confidence, rise
    return list(found.values())


def of_days(stage: Stage, context: Context, hours: int) -> list[Told]:
    """Captions of so many hours."""
    told = []
    for hour in range(hours):
        stretch = day.Stretch(tuple(context.clips), context.split, day.STRETCH_S, (LATER + hour, 0))
        coming = day.arrivals(stretch)
        events = day.events_of(stage, coming)
        blocks = streams.lasting(day.sound(stage, stretch, coming), day.STRETCH_S)
        for at, text, confidence, rise in last_wordings(stage, blocks):
            sounding = day.sounding_at(events, at)
            told.append(Told(confidence, rise, bool(stage.names(text) & sounding), bool(sounding)))
    return told


def from_afar(stage: Stage, context: Context) -> list[Told]:
    """Captions of clips far away in a room."""
    return [
        Told(confidence, rise, bool(stage.names(text) & {*clip.labels}), is_sounding=True)
        for clip in context.clips
        for _, text, confidence, rise in last_wordings(
            stage, [rooms.compose(stage, rooms.Hearing(clip, rooms.PLACES[FAR], context.split, 0))]
        )
    ]


def left(
    told: Sequence[Told], pair: tuple[float, float], calibration: Calibration, hedge: float
) -> list[Told]:
    """Those that would be said still, doubted so."""
    salient, faint = pair
    kept = []
    for one in told:
        score = np.array([calibration.score_for(one.confidence)], np.float32)
        doubt = faint * max(0.0, salient - one.rise_db)
        if calibration.probability(float(doubted(score, doubt)[0]), 0.0) >= hedge:
            kept.append(one)
    return kept


def counts(told: Sequence[Told]) -> str:
    """Cells: captions, the share that is right, those while nothing sounded."""
    right = f"{np.mean([one.is_right for one in told]):.2f}" if told else "–"
    return f"{len(told)} | {right} | {sum(not one.is_sounding for one in told)}"


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("bundle")
    parser.add_argument("--corpus", type=Path, required=True)
    parser.add_argument("--cache", type=Path, default=Path("runs/cache"), help="of decoded clips")
    parser.add_argument("--hours", type=int, default=6, help="of sparse days")
    parser.add_argument("--clips", type=int, help="so many from afar; else all")
    given = parser.parse_args()
    stage = undoubted(open_stage(given.bundle, given.corpus, given.cache))
    days = of_days(stage, Context(stage, given.corpus, split="val"), given.hours)
    far = from_afar(stage, Context(stage, given.corpus, split="val", most=given.clips))
    print("| rise, dB | a day: captions | right | while nothing sounded | far: captions | right | |")
    print("|---|---:|---:|---:|---:|---:|---|")
    for low, high in itertools.pairwise(EDGES):
        cells = (counts([one for one in some if low <= one.rise_db < high]) for some in (days, far))
        print(f"| {low} to {high} | {' | '.join(cells)} |")
    thresholds = stage.model.thresholds
    for pair in ((0.0, 0.0), *PAIRS):
        cells = (counts(left(some, pair, thresholds.calibration, thresholds.hedge)) for some in (days, far))
        print(f"| left by {pair[0]:g}, {pair[1]:g} | {' | '.join(cells)} |")


if __name__ == "__main__":
    main()
