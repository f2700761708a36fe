"""What a second opinion adds: validation clips named right by the encoder, by the opinion, and by both.

    python -m benchmarks.second_opinion room-small --corpus CLIPS --cache CACHE --clips 400

Of each clip of a sound that was taught, in places of `edgecap evaluate --only rooms`, the best sound after
1.3 s and after 5 s of it: by the mean of the encoder's two best scores, by the opinion of that window, and by
the sum of both log-odds, the opinion's weighed. Nothing of the test split is heard.
"""

import argparse
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edgecap.runtime.audio import CHUNK_SAMPLES
from edgecap.runtime.hearing.opinion import CHUNKS, LEAD, NEAREST, Opinion
from edgecap.training.data.corpus import Clip
from edgecap.training.evaluation.captioned import BEFORE, onset
from edgecap.training.evaluation.context import Context, Stage, open_stage
from edgecap.training.evaluation.questions import rooms

AFTER = {"1.3 s": 4, "5 s": CHUNKS - LEAD}
"""Chunks of the sound that have been heard."""
WEIGHTS = (0.5, 1.0, 2.0, 3.0)
PLACES = ("quiet, as recorded", "in a room", "over noise, +10 dB", "over noise, +0 dB")


def odds(scores: NDArray[np.float32]) -> NDArray[np.float32]:
    """Log-odds, as near to certainty as `agreed` goes."""
    p = np.clip(scores, NEAREST, 1 - NEAREST)
    return np.asarray(np.log(p / (1 - p)), np.float32)


def right(stage: Stage, clip: Clip, place: str) -> list[list[bool]]:
    """Of each time after the onset: by the encoder, by the opinion, by both with each weight."""
    assert stage.model.opinion is not None
    opinion, names = Opinion(stage.model.opinion), stage.model.labels.names
    samples = rooms.compose(stage, rooms.Hearing(clip, rooms.PLACES[place], "val", 0))
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


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("bundle", help="one with an opinion")
    parser.add_argument("--corpus", type=Path, required=True)
    parser.add_argument("--cache", type=Path, default=Path("runs/cache"), help="of decoded clips")
    parser.add_argument("--clips", type=int, help="so many; else all")
    given = parser.parse_args()
    stage = open_stage(given.bundle, given.corpus, given.cache)
    if stage.model.opinion is None:
        parser.error(f"{given.bundle} gives no second opinion")
    clips = Context(stage, given.corpus, split="val", most=given.clips).clips
    taught = [clip for clip in clips if clip.label in stage.model.labels.names]
    print(f"{len(taught)} clips: after {', '.join(AFTER)}\n")
    print(f"| place | encoder | opinion | {' | '.join(f'both, {w:g}' for w in WEIGHTS)} |")
    print(f"|---|{'---:|' * (2 + len(WEIGHTS))}")
    for place in PLACES:
        shares = np.mean([right(stage, clip, place) for clip in taught], axis=0).T
        cells = (", ".join(f"{share:.3f}" for share in row) for row in shares)
        print(f"| {place} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
