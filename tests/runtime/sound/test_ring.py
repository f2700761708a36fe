"""Ring: bounded, in order, and nothing is ever lost without being counted."""

import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgecap.runtime.sound.ring import Closed, Ring

OPERATIONS = st.lists(
    st.one_of(
        st.tuples(st.just("put"), st.integers(1, 12)),
        st.tuples(st.just("skip"), st.integers(0, 30)),
        st.tuples(st.just("get"), st.just(0)),
    ),
    max_size=60,
)


@given(capacity=st.integers(1, 40), operations=OPERATIONS)
def test_whatever_is_put_or_lost_has_its_place(capacity: int, operations: list[tuple[str, int]]) -> None:
    ring: Ring[int] = Ring(capacity)
    written: dict[int, int] = {}  # index -> size
    read: list[tuple[int, int]] = []
    for operation, size in [*operations, *[("get", 0)] * 60]:
        if operation == "put":
            written[ring.end] = size
            ring.put(ring.end, size)
            assert ring.held <= max(capacity, size)  # only a single item larger than the ring exceeds it
        elif operation == "skip":
            ring.skip(size)
        elif (item := ring.get(0)) is not None:
            assert item.value == item.index
            assert written[item.index] == item.size
            read.append((item.index, item.size))
    assert ring.held == 0
    assert ring.reached == ring.end
    assert read == sorted(read)
    assert sum(size for _, size in read) + ring.dropped == sum(written.values())


@given(sizes=st.lists(st.integers(1, 12), min_size=1, max_size=40), capacity=st.integers(1, 40))
def test_when_full_the_newest_stay(sizes: list[int], capacity: int) -> None:
    ring: Ring[int] = Ring(capacity)
    for number, size in enumerate(sizes):
        ring.put(number, size)
    kept = []
    while (item := ring.get(0)) is not None:
        kept.append(item.value)
    assert kept == list(range(len(sizes) - len(kept), len(sizes)))
    oldest_dropped = len(sizes) - len(kept) - 1
    if oldest_dropped >= 0:  # it would not have fitted any more
        assert sum(sizes[oldest_dropped:]) > capacity


def test_a_gap_shows_in_the_next_index() -> None:
    ring: Ring[str] = Ring(10)
    ring.put("a", 4)
    ring.skip(100)
    ring.put("b", 4)
    items = [ring.get(0), ring.get(0)]
    assert [(item.value, item.index) for item in items if item] == [("a", 0), ("b", 104)]


def test_closed_gives_the_rest_first() -> None:
    ring: Ring[str] = Ring(10)
    ring.put("last", 1)
    ring.close()
    item = ring.get(None)
    assert item is not None
    assert item.value == "last"
    with pytest.raises(Closed):
        ring.get(None)


def test_the_writers_first_error_reaches_the_reader() -> None:
    ring: Ring[str] = Ring(10)
    ring.close(OSError("lost"))
    ring.close()
    with pytest.raises(OSError, match="lost"):
        ring.get(None)


def test_a_patient_writer_loses_nothing() -> None:
    ring: Ring[int] = Ring(5)

    def write() -> None:
        for number in range(200):
            ring.put_patiently(number, 2)
        ring.close()

    writer = threading.Thread(target=write)
    writer.start()
    read = []
    with pytest.raises(Closed):
        while True:
            item = ring.get(5)
            assert item is not None
            read.append(item.value)
    writer.join()
    assert read == list(range(200))
    assert ring.dropped == 0


def test_closing_frees_a_patient_writer() -> None:
    ring: Ring[int] = Ring(1)
    ring.put(0, 1)
    writer = threading.Thread(target=ring.put_patiently, args=(1, 1))
    writer.start()
    ring.close()
    writer.join(5)
    assert not writer.is_alive()


def test_get_waits_no_longer_than_told() -> None:
    assert Ring(1).get(0.01) is None  # and not for ever
