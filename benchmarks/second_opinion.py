"""What a second opinion adds: validation clips named right by the encoder, by the opinion, and by both.

    python -m benchmarks.second_opinion room-small --corpus CLIPS --cache CACHE --clips 400 --scenes 1000

Of each clip of a sound that was taught, in places of `edgecap evaluate --only rooms`, the best sound after
1.3 s and after 5 s of it: by the mean of the encoder's two best scores, by the opinion of that window, and by
the sum of both log-odds, the opinion's weighed. Then composed validation scenes in which two sounds are
heard: average precision over all pairs of scene and sound, by the greatest score that a session had for it.
Nothing of the test split is heard.
"""

import argparse
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.heads import average_precision
from edgecap.runtime.audio import CHUNK_SAMPLES
from edgecap.runtime.events import Event
from edgecap.runtime.hearing.opinion import CHUNKS, LEAD, NEAREST, Opinion
from edgecap.runtime.hearing.segment import Segment
from edgecap.runtime.model.engine import Engine
from edgecap.runtime.saying.decoder import Hypothesis
from edgecap.runtime.session import Session
from edgecap.training.data.corpus import Clip
from edgecap.training.evaluation.captioned import BEFORE, onset
from edgecap.training.evaluation.context import Context, Stage, open_stage
from edgecap.training.evaluation.questions import rooms
from edgecap.training.evaluation.sounds import scenes

AFTER = {"1.3 s": 4, "5 s": CHUNKS - LEAD}
"""Chunks of the sound that have been heard."""
WEIGHTS = (0.5, 1.0, 2.0, 3.0)
PLACES = (
    "quiet, as recorded",
    "in a room",
    "in that room, 15 dB quieter",
    "over noise, +10 dB",
    "over noise, +0 dB",
)


def odds(scores: NDArray[np.float32]) -> NDArray[np.float32]:
    """Log-odds, as near to certainty as `agreed` goes."""
    p = np.clip(scores, NEAREST, 1 - NEAREST)
    return np.asarray(np.log(p / (1 - p)), np.float32)


def right(stage: Stage, clip: Clip, place: str, least_db: float, gain_db: float) -> list[list[bool]]:
    """Of each time after the onset: by the encoder, by the opinion, by both with each weight.

    least_db: what is fainter is raised for the opinion. gain_db: of the microphone, its noise with it.
    """
    assert stage.model.opinion is not None
    opinion = Opinion(stage.model.opinion, least_db)
    names = stage.model.labels.names
    samples = rooms.compose(stage, rooms.Hearing(clip, rooms.PLACES[place], "val", 0))
    samples = samples * np.float32(10 ** (gain_db / 20))
    begin = (BEFORE + onset(stage.corpus.audio(clip))) // CHUNK_SAMPLES
    scores, found = [], []
    for at, embedding in enumerate(stage.model.hearing().follow(samples)):
        opinion.hear(samples[at * CHUNK_SAMPLES : (at + 1) * CHUNK_SAMPLES])
        scores.append(embedding.scores)
        if at + 1 - begin not in AFTER.values():
            continue
        told = odds(opinion.ask(at + 1 - begin))
        own = odds(np.sort(np.stack(scores[begin:]), axis=0)[-2:].mean(0)[: len(told)])
        judges = (own, told, *(own + w * told for w in WEIGHTS))
        found.append([names[int(np.argmax(judge))] in clip.labels for judge in judges])
    while len(found) < len(AFTER):  # a clip that was over before: as it was last, or never
        found.append(found[-1] if found else [False] * (2 + len(WEIGHTS)))
    return found


class Noted(Opinion):
    """An opinion whose greatest scores go into an array."""

    def __init__(self, engine: Engine, least_db: float, greatest: NDArray[np.float32]) -> None:
        super().__init__(engine, least_db)
        self._greatest = greatest

    def ask(self, chunks: int) -> NDArray[np.float32]:
        scores = super().ask(chunks)
        self._greatest[: len(scores)] = np.maximum(self._greatest[: len(scores)], scores)
        return scores


class Listening(Session):
    """A session that notes every sound's greatest score: the encoder's, the opinion's, and what sentences
    were chosen by."""

    def __init__(self, stage: Stage) -> None:
        super().__init__(stage.model)
        self.greatest = np.zeros((3, len(self.labels.names)), np.float32)
        assert stage.model.opinion is not None
        least_db = stage.model.thresholds.segments.opinion_db
        self.opinion = Noted(stage.model.opinion, least_db, self.greatest[1])

    def _hear(self, now: int) -> list[Event]:
        events = super()._hear(now)
        if self.segmenter.open:
            self.greatest[0] = np.maximum(self.greatest[0], self.segmenter.open.evidence())
        return events

    def _describe(self, segment: Segment) -> list[Hypothesis]:
        self.greatest[2] = np.maximum(self.greatest[2], segment.belief())
        return super()._describe(segment)


def of_two_sounds(stage: Stage, count: int) -> tuple[int, list[float]]:
    """Of so many composed scenes those with two sounds, and the average precision by each judge."""
    greatest, true = [], []
    for number in range(count):
        scene = scenes.make(stage.corpus, scenes.Spec("val", number, 0))
        if len(scene.known.labels) == 2:
            session = Listening(stage)
            session.push(scene.samples)
            session.finish()
            greatest.append(session.greatest)
            true.append([name in scene.known.labels for name in stage.model.labels.names])
    scores, found = np.stack(greatest, 1).astype(np.float64), np.array(true)
    return len(found), [average_precision(each.ravel(), found.ravel()) for each in scores]


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("bundle", help="one with an opinion")
    parser.add_argument("--corpus", type=Path, required=True)
    parser.add_argument("--cache", type=Path, default=Path("runs/cache"), help="of decoded clips")
    parser.add_argument("--clips", type=int, help="so many; else all")
    parser.add_argument("--raised", type=float, metavar="DB", help="in place of the bundle's opinion_db")
    parser.add_argument("--gain", type=float, default=0.0, metavar="DB", help="of a microphone that is faint")
    parser.add_argument(
        "--scenes", type=int, default=1000, help="to find those with two sounds among; 0: none"
    )
    given = parser.parse_args()
    stage = open_stage(given.bundle, given.corpus, given.cache)
    if stage.model.opinion is None:
        parser.error(f"{given.bundle} gives no second opinion")
    least_db = stage.model.thresholds.segments.opinion_db if given.raised is None else given.raised
    clips = Context(stage, given.corpus, split="val", most=given.clips).clips
    taught = [clip for clip in clips if clip.label in stage.model.labels.names]
    print(f"{len(taught)} clips: after {', '.join(AFTER)}\n")
    print(f"| place | encoder | opinion | {' | '.join(f'both, {w:g}' for w in WEIGHTS)} |")
    print(f"|---|{'---:|' * (2 + len(WEIGHTS))}")
    for place in PLACES:
        shares = np.mean([right(stage, clip, place, least_db, given.gain) for clip in taught], axis=0).T
        cells = (", ".join(f"{share:.3f}" for share in row) for row in shares)
        print(f"| {place} | {' | '.join(cells)} |", flush=True)
    if not given.scenes:
        return
    count, precisions = of_two_sounds(stage, given.scenes)
    told = ", ".join(f"{value:.3f}" for value in precisions)
    print(f"\n{count} scenes of two sounds, average precision by the encoder, the opinion, both: {told}")


if __name__ == "__main__":
    main()
