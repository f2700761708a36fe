"""Of recordings as people upload them, how many does the automatic gain raise?

    python benchmarks/gain.py --corpus CLIPS [--cache DIR]

Each clip of the training and validation splits is a source of its own. Prints how many there are, how many
were ever raised, and of each of those the loudest 40 ms before it was (dBFS) and the most that it was raised.
"""

import argparse
from pathlib import Path

import numpy as np

from edgecap.runtime.audio import Samples
from edgecap.runtime.sound.gain import WINDOW, Gain
from edgecap.training.data.corpus import open_corpus


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--corpus", type=Path, required=True)
    parser.add_argument("--cache", type=Path, default=Path("runs/cache"), help="of decoded clips")
    options = parser.parse_args()
    corpus = open_corpus(options.corpus, options.cache)
    clips = [*corpus.split("train"), *corpus.split("val")]
    raised = {}
    for clip in clips:
        samples = corpus.audio(clip)
        if (most_db := most_raised_db(samples)) > 0:
            raised[clip.id] = (loudest_db(samples), most_db)
    print(f"| clips | {len(clips)} |")
    print(f"| raised | {len(raised)} |")
    for name, (level_db, most_db) in raised.items():
        print(f"| {name} | loudest {level_db:.0f} dBFS, raised by {most_db:.0f} dB |")


def most_raised_db(samples: Samples) -> float:
    """The greatest gain that it ever had."""
    gain, most_db = Gain(), 0.0
    for begin in range(0, len(samples), WINDOW):
        gain.push(samples[begin : begin + WINDOW])
        most_db = max(most_db, gain.db)
    return most_db


def loudest_db(samples: Samples) -> float:
    windows = samples[: len(samples) // WINDOW * WINDOW].reshape(-1, WINDOW)
    return float(10 * np.log10(windows.var(axis=1).max() + 1e-13))


if __name__ == "__main__":
    main()
