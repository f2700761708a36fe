"""Laws that hold for every stream, stated once and called from the tests of each stage."""

from collections.abc import Callable, Iterable, Sequence
from itertools import pairwise
from typing import Protocol, TypeVar

import numpy as np
from hypothesis import strategies as st

from edgecap.runtime.audio import Samples
from edgecap.runtime.events import Caption, Event, captions

T = TypeVar("T")


class Stream(Protocol):
    """What hears samples and tells events."""

    def push(self, samples: Samples) -> list[Event]: ...
    def finish(self) -> list[Event]: ...


def chunkings(most: int = 12, longest: int = 40_000) -> st.SearchStrategy[list[int]]:
    """Ways to cut a stream: lengths of its pieces in samples, empty ones included."""
    sizes = st.one_of(st.integers(0, 700), st.integers(0, longest), st.sampled_from([320, 10_240, 20_480]))
    return st.lists(sizes, max_size=most)


def cut(samples: Sequence[T] | Samples, sizes: Iterable[int]) -> list[Samples]:
    """The samples in pieces of these sizes; what is left is the last piece."""
    bounds = np.minimum(np.cumsum([0, *sizes]), len(samples)).tolist()
    pieces = [samples[a:b] for a, b in pairwise(bounds)]
    return [np.asarray(piece, np.float32) for piece in [*pieces, samples[bounds[-1] :]]]


def events_of(stream: Stream, pieces: Iterable[Samples]) -> list[Event]:
    """Everything that the stream tells of these pieces, to its end."""
    return [event for piece in pieces for event in stream.push(piece)] + stream.finish()


def assert_same_in_any_chunking(
    open_stream: Callable[[], Stream], samples: Samples, sizes: list[int]
) -> None:
    """The same samples give the same events, bit for bit, however they are cut."""
    whole = events_of(open_stream(), [samples])
    assert events_of(open_stream(), cut(samples, sizes)) == whole


def assert_later_changes_nothing(
    open_stream: Callable[[], Stream], samples: Samples, at: int, later: Samples
) -> None:
    """What was told of the first `at` samples does not depend on what follows them."""
    one, other = open_stream(), open_stream()
    told = one.push(samples[:at])
    assert other.push(samples[:at]) == told
    both = one.push(samples[at:]), other.push(later)
    again = open_stream()
    joined = again.push(np.concatenate([samples[:at], later]))
    assert joined == told + both[1]


def assert_every_caption_closes(events: Sequence[Event]) -> None:
    """Each `new` has exactly one `end`, updates lie between, one stands at a time, and time only grows."""
    standing: Caption | None = None
    seen: set[str] = set()
    for event in captions(events):
        if event.kind == "new":
            assert standing is None, "a caption began while another stood"
            assert event.id not in seen
            seen.add(event.id)
        else:
            assert standing is not None, f"{event.kind} without new"
            assert (event.id, event.start) == (standing.id, standing.start)
        assert (event.end is not None) == (event.kind == "end")
        if event.end is not None:
            assert event.end >= event.start
        standing = None if event.kind == "end" else event
    assert standing is None, "a caption was left open"
