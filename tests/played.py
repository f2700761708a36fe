"""Made sounds as a source brings them: blocks, with gaps where a test wants one."""

from collections.abc import Iterator

import numpy as np

from edgecap.runtime.audio import RATE, Samples
from edgecap.runtime.sound.blocks import Block
from tests import handmade


def blocks(samples: Samples, gap_at: int | None = None, gap: int = 0) -> Iterator[Block]:
    for index in range(0, len(samples), RATE // 10):
        lost = gap if gap_at is not None and index >= gap_at else 0
        yield Block(samples[index : index + RATE // 10], index + lost)


def play() -> Samples:
    pieces = [
        handmade.silence(1),
        handmade.dog(2),
        handmade.silence(2),
        handmade.bell(2),
        handmade.silence(2),
    ]
    return np.concatenate(pieces)
