"""Does anything grow? Hours of sound through the whole daemon, as fast as it can.

    make soak            # ten hours, some five minutes
    make soak HOURS=72

The scene again and again, each time another seed, with a lost second between them. Every hour of
sound prints memory, threads and open files. Exits with 1 if memory grew by more than 1 MB an hour
from the second hour on.
"""

import argparse
import os
import sys
from collections.abc import Iterator

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # as `edgecap run` has it; before numpy comes

import numpy as np
import psutil

from edgecap.runtime.audio import RATE, seconds
from edgecap.runtime.config.schema import Config
from edgecap.runtime.daemon import Daemon
from edgecap.runtime.demo import scene
from edgecap.runtime.model.bundle import Bundle
from edgecap.runtime.session import Model
from edgecap.runtime.sound.blocks import Block
from edgecap.runtime.sound.feed import feed_of
from edgecap.runtime.telling.outlet import Outlet
from edgecap.runtime.telling.wire import CaptionMessage, StatusMessage

SCENES = 5
"""Different ones; synthesising each anew would cost more than captioning it."""
MOST_GROWTH_MB = 1.0


class Soak:
    """The endless source, which also looks at the process as each hour of sound has passed."""

    def __init__(self, hours: float) -> None:
        self._end = round(hours * 3600 * RATE)
        self._process = psutil.Process()
        self.captions = 0
        self.memory_mb: list[float] = []

    def blocks(self) -> Iterator[Block]:
        """Scenes in turn until the hours are over."""
        scenes = [scene.synthesise(seed) for seed in range(SCENES)]
        offset = turn = 0
        while offset < self._end:
            played = scenes[turn % SCENES]
            for block in scene.blocks(played):
                yield Block(block.samples, offset + block.index)
            offset += len(played.samples) + RATE  # a second is lost here
            turn += 1
            if seconds(offset) >= 3600 * (len(self.memory_mb) + 1):
                self._look()

    def count(self, message: CaptionMessage | StatusMessage) -> None:
        """One more caption event."""
        self.captions += isinstance(message, CaptionMessage)

    def _look(self) -> None:
        self.memory_mb.append(self._process.memory_info().rss / 1e6)
        hours, threads, files = len(self.memory_mb), self._process.num_threads(), self._process.num_fds()
        print(
            f"{hours:>4} h  {self.memory_mb[-1]:7.1f} MB  {threads:>3} threads  {files:>3} files"
            f"  {self.captions:>6} events",
            flush=True,
        )


def main() -> int:
    """Exit code: 0 steady, 1 growing."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--hours", type=float, default=10.0)
    parser.add_argument("--bundle", default=Config().bundle)
    arguments = parser.parse_args()
    opened = Bundle.open(arguments.bundle)
    soak = Soak(arguments.hours)
    anywhere = Config(publish="tcp://127.0.0.1:*", replay="tcp://127.0.0.1:*")
    counted: Outlet[CaptionMessage | StatusMessage] = Outlet("the count", soak.count)
    feeds = {anywhere.room: feed_of(soak.blocks())}
    Daemon(anywhere, Model.load(opened), opened.title, feeds=feeds, outlets=[counted]).run()
    counted.close()
    settled = soak.memory_mb[1:]
    if len(settled) < 2:
        print("too short to tell: the first hour is left out, and two more are needed")
        return 0
    slope = float(np.polyfit(np.arange(len(settled)), settled, 1)[0])
    print(f"{slope:+.2f} MB an hour from the second hour on")
    return int(slope > MOST_GROWTH_MB)


if __name__ == "__main__":
    sys.exit(main())
