"""Feed: any source, opened and running in a thread of its own. The one place that knows the kinds.

configuration's Source ── open_feed ──► Feed.ring ── get ──► a room's session
"""

import time
from collections.abc import Callable, Iterable, Iterator
from typing import Literal, Protocol

from ..audio import seconds
from . import microphone
from .blocks import Arrival, Block
from .capture import Capture
from .opener import sound_blocks
from .raw import Raw
from .reader import Reader
from .ring import Ring
from .source import Source
from .stream import is_pipe, open_stream, standard_input
from .watchdog import Health


class Feed(Protocol):
    """A source in its own thread, read by one room from `ring` until that says Closed or its error."""

    @property
    def ring(self) -> Ring[Arrival]: ...

    @property
    def is_live(self) -> bool:
        """Whether its sound comes as it sounds (microphone, pipe), or was recorded before (file)."""
        ...

    @property
    def health(self) -> Health | Literal["muted"]: ...

    @property
    def is_muted(self) -> bool: ...

    @property
    def lost(self) -> int:
        """Samples at 32 kHz that went missing: gaps of the source, and what nobody took in time."""
        ...

    def start(self) -> None: ...

    def stop(self) -> None:
        """Lets go of the source; what hangs in it is left behind with its thread."""
        ...

    def mute(self, on: bool) -> None:
        """Closes the source or opens it again. Raises UsageError where it is none of ours to close."""
        ...

    def hung_s(self, now: float) -> float:
        """How long one call into the sound system has lasted; 0 where none is in progress."""
        ...


def open_feed(source: Source, realtime: bool = False) -> Feed:
    """What the configuration names, ready to `start`.

    realtime: a recording comes as slowly as it sounds; a pipe paces itself. Raises DataError where standard
    input can't bring sound; what else is wrong with a source ends its ring with the error.
    """
    match source.kind:
        case "microphone":
            return Capture(microphone.opener(source.name))
        case "file":
            is_live = is_pipe(source.name)
            return feed_of(_file_blocks(source), realtime and not is_live, is_live=is_live)
        case "stdin":
            return feed_of(sound_blocks(standard_input(), _raw(source)), is_live=True)


def _file_blocks(source: Source) -> Iterator[Block]:
    """Opened where it is read: a pipe by its path keeps waiting who opens it, until another program does."""
    with open_stream(source.name) as stream:
        yield from sound_blocks(stream, _raw(source) if stream.is_pipe else None)


def _raw(source: Source) -> Raw:
    return Raw(source.rate, source.channels, source.sample)


def feed_of(blocks: Iterable[Block], realtime: bool = False, *, is_live: bool = False) -> Feed:
    """Ready-made blocks as a feed: a scene, a test, a source of one's own."""
    return Reader(paced(blocks) if realtime else blocks, is_live)


def paced(
    blocks: Iterable[Block],
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], object] = time.sleep,
) -> Iterator[Block]:
    """The same blocks, each given when a microphone would: once all of it has sounded."""
    start = clock()
    for block in blocks:
        sleep(max(0.0, start + seconds(block.index + len(block.samples)) - clock()))
        yield block
