"""Do two versions of edgecap say the same? Every event of many clips and scenes, bit for bit.

    python benchmarks/same_events.py record CORPUS -o before.jsonl      (in the one version)
    python benchmarks/same_events.py record CORPUS -o after.jsonl       (in the other)
    python benchmarks/same_events.py compare before.jsonl after.jsonl

What is heard is made here alone, so that nothing of training or evaluation can change it: each validation
clip in a quiet room, and scenes of two or three of them, mixed by a fixed seed. Both files must come from one
machine: another processor rounds otherwise. Exit code 1 where something differs.
"""

import argparse
import csv
import json
import sys
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import soundfile
import soxr
from numpy.typing import NDArray

Samples = NDArray[np.float32]
RATE = 32_000
ROOM_DB, BEFORE_S, AFTER_S = -70.0, 1.0, 2.0
SCENE_S, MOST_IN_SCENE = 20.0, 3
BLOCK = RATE // 10


def clips(corpus: Path, split: str) -> list[tuple[str, Path]]:
    with (corpus / "clips.csv").open(encoding="utf-8", newline="") as table:
        return [(row["id"], corpus / row["file"]) for row in csv.DictReader(table) if row["split"] == split]


def read(path: Path) -> Samples:
    frames, rate = soundfile.read(path, dtype="float32", always_2d=True)
    return np.asarray(soxr.resample(frames.mean(axis=1), rate, RATE), np.float32)


def room(name: str, seconds: float) -> Samples:
    rng = np.random.default_rng(zlib.crc32(name.encode()))
    noise = rng.standard_normal(round(seconds * RATE), np.float32)
    return np.asarray(noise * np.float32(10 ** (ROOM_DB / 20)), np.float32)


def sounds(corpus: Path, split: str, scenes: int) -> Iterator[tuple[str, Samples]]:
    """(name, samples) of every clip in its room, then of the scenes."""
    known = clips(corpus, split)
    for name, path in known:
        sound = read(path)
        samples = room(name, BEFORE_S + AFTER_S + len(sound) / RATE)
        start = round(BEFORE_S * RATE)
        samples[start : start + len(sound)] += sound
        yield name, samples
    for number in range(scenes):
        rng = np.random.default_rng(number)
        samples = room(f"scene {number}", SCENE_S)
        for _ in range(rng.integers(2, MOST_IN_SCENE + 1)):
            sound = read(known[rng.integers(len(known))][1]) * np.float32(10 ** (rng.uniform(-20, 0) / 20))
            start = int(rng.integers(RATE, len(samples) - RATE))
            sound = sound[: len(samples) - start]
            samples[start : start + len(sound)] += sound
        yield f"scene {number}", samples


def record(corpus: Path, split: str, scenes: int, bundle: str, to: Path) -> None:
    """A line a sound: its name, and its events with the sample at which each came."""
    try:
        from edgecap.runtime.model.bundle import Bundle
    except ImportError:  # where it stood before the folders were the way of the data
        from edgecap.runtime.bundle import Bundle  # type: ignore[import-not-found,no-redef]  # an older checkout's
    try:
        from edgecap.runtime.hearing.model import Model
    except ImportError:
        from edgecap.runtime.session import Model  # type: ignore[attr-defined,no-redef]  # wherever this checkout has it
    from edgecap.runtime.session import Session

    model = Model.load(Bundle.open(bundle))
    with to.open("w", encoding="utf-8") as lines:
        for name, samples in sounds(corpus, split, scenes):
            session = Session(model)
            found: list[list[object]] = []
            for start in range(0, len(samples), BLOCK):
                found += (plain(session.position, e) for e in session.push(samples[start : start + BLOCK]))
            found += (plain(session.position, e) for e in session.finish())
            print(json.dumps([name, [each for each in found if each]]), file=lines)


def plain(at: int, event: object) -> list[object]:
    """A caption's fields; nothing of an event of another kind."""
    fields = "kind", "id", "text", "confidence", "start", "end"
    if not all(hasattr(event, field) for field in fields):
        return []
    heard = [[sound.label, sound.score] for sound in event.sounds]  # type: ignore[attr-defined]  # it has all of a caption's fields
    return [at, *(getattr(event, field) for field in fields), heard]


def compare(before: Path, after: Path) -> int:
    old, new = (
        [json.loads(line) for line in path.read_text("utf-8").splitlines()] for path in (before, after)
    )
    if [name for name, _ in old] != [name for name, _ in new]:
        print(f"not of the same sounds: {len(old)} and {len(new)}")
        return 1
    differing = [(name, a, b) for (name, a), (_, b) in zip(old, new, strict=True) if a != b]
    events = sum(len(found) for _, found in old)
    print(f"{len(old)} sounds, {events} events: {len(differing)} sounds differ")
    for name, a, b in differing[:20]:
        print(f"\n{name}", *(f"  - {each}" for each in a if each not in b), sep="\n")
        print(*(f"  + {each}" for each in b if each not in a), sep="\n")
    return 1 if differing else 0


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    jobs = parser.add_subparsers(dest="job", required=True)
    recording = jobs.add_parser("record")
    recording.add_argument("corpus", type=Path)
    recording.add_argument("-o", "--to", type=Path, required=True)
    recording.add_argument("--split", default="val")
    recording.add_argument("--scenes", type=int, default=300)
    recording.add_argument("--bundle", default="room-small")
    comparing = jobs.add_parser("compare")
    comparing.add_argument("before", type=Path)
    comparing.add_argument("after", type=Path)
    given = parser.parse_args()
    if given.job == "compare":
        return compare(given.before, given.after)
    record(given.corpus, given.split, given.scenes, given.bundle, given.to)
    return 0


if __name__ == "__main__":
    sys.exit(main())
