"""How long a caption still names a sound that is over, while a noise goes on.

    python -m benchmarks.lingering room-small --corpus CLIPS --clips 60

Each clip, five seconds of it at most, comes 6 dB over household noise, which sounds 12 s before it and half a
minute after. Validation clips alone.
"""

import argparse
from pathlib import Path

import numpy as np

from edgecap.runtime.audio import RATE
from edgecap.training.data.corpus import Clip
from edgecap.training.evaluation.captioned import caption_events, sounding_power
from edgecap.training.evaluation.context import Context, Stage, open_stage
from edgecap.training.evaluation.metrics.words import related
from edgecap.training.evaluation.sounds.backgrounds import household

BEFORE_S, MOST_S, LASTS_S = 12, 5, 45
NOISE, OVER = 0.01, 2.0
"""Root mean square of the noise, and of the sound beside it, while each sounds."""


def lingers(stage: Stage, clip: Clip, seed: int) -> float | None:
    """Seconds from the clip's end until no caption names it; None where none ever did."""
    own = frozenset[str]().union(*(related(label) for label in clip.labels))
    noise = household(stage, "val", np.random.default_rng(seed), LASTS_S * RATE, without=own)
    samples = noise * np.float32(NOISE)
    sound = stage.corpus.audio(clip)[: MOST_S * RATE]
    begin, end = BEFORE_S * RATE, BEFORE_S * RATE + len(sound)
    samples[begin:end] += sound * np.float32(OVER * NOISE / np.sqrt(sounding_power(sound)))
    named, until = False, len(samples)
    for position, event in caption_events(stage.model, samples):
        if event.kind != "end" and stage.names(event.text) & frozenset(clip.labels):
            named, until = True, len(samples)
        elif named:
            until = min(until, position)
    return (until - end) / RATE if named else None


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("bundle")
    parser.add_argument("--corpus", type=Path, required=True)
    parser.add_argument("--cache", type=Path, default=Path("runs/cache"), help="of decoded clips")
    parser.add_argument("--clips", type=int, help="so many; else all")
    given = parser.parse_args()
    stage = open_stage(given.bundle, given.corpus, given.cache)
    clips = Context(stage, given.corpus, split="val", most=given.clips).clips
    taught = [clip for clip in clips if clip.label in stage.model.labels.names]
    found = [lingers(stage, clip, seed) for seed, clip in enumerate(taught)]
    late = np.array([seconds for seconds in found if seconds is not None])
    print(f"{len(taught)} clips, {len(late)} of them named; their names stay, seconds after their end:")
    median, ninth = np.quantile(late, [0.5, 0.9])
    print(f"median {median:.1f}, 90 % {ninth:.1f}, over ten seconds {np.mean(late > 10):.2f} of them")


if __name__ == "__main__":
    main()
