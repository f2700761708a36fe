"""What an export listens to, to be compared or calibrated: one stream of every loudness, without end."""

from collections.abc import Iterator
from itertools import count
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..runtime.audio import CHUNK, CHUNK_SAMPLES, RATE, Samples
from ..runtime.demo.scene import synthesise
from ..runtime.errors import InputMissingError
from ..runtime.hearing.frontend import FrontEnd
from ..runtime.sound.opener import recording_blocks

RECORDINGS = (".flac", ".mp3", ".ogg", ".opus", ".wav")


def log_mels(mels: int, sounds: Path | None, frames: int = CHUNK) -> Iterator[NDArray[np.float32]]:
    """(frames, mels) log-mel, frames a multiple of 32, of one stream without cuts.

    sounds: a folder of recordings to take turns with the synthesised scene.
    """
    frontend = FrontEnd(mels)
    past = frontend.initial_state()
    rest = np.zeros(0, np.float32)
    ready: list[NDArray[np.float32]] = []
    for piece in _pieces(sounds):
        rest = np.concatenate([rest, piece])
        while len(rest) >= CHUNK_SAMPLES:
            chunk, past = frontend.step(rest[:CHUNK_SAMPLES], past)
            rest = rest[CHUNK_SAMPLES:]
            ready.append(chunk)
            if len(ready) * CHUNK == frames:
                yield np.concatenate(ready)
                ready.clear()


def _pieces(sounds: Path | None) -> Iterator[Samples]:
    """The synthesised scene over and over, another one each time and ever quieter, between the extremes
    of what a microphone gives; each time followed by a recording, where there are any.
    """
    recordings = _recordings(sounds)
    rng = np.random.default_rng(0)
    for turn in count():
        if recordings:
            yield from (block.samples for block in recording_blocks(recordings[turn % len(recordings)]))
        yield synthesise(turn).samples * np.float32(10 ** (-6 * (turn % 6) / 20))
        yield np.zeros(RATE, np.float32)
        yield rng.uniform(-1, 1, RATE).astype(np.float32)  # as loud as can be


def _recordings(sounds: Path | None) -> list[Path]:
    if sounds is None:
        return []
    found = sorted(path for path in sounds.rglob("*") if path.suffix.lower() in RECORDINGS)
    if not found:
        raise InputMissingError(
            f"there are no recordings in {sounds}", why=f"looked for {', '.join(RECORDINGS)}"
        )
    return found
