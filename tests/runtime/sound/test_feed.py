"""Feed: the one place where a configured source becomes sound that can be read."""

from pathlib import Path

import numpy as np
import pytest
import soundfile

from edgecap.runtime.audio import RATE
from edgecap.runtime.errors import InputMissingError, UsageError
from edgecap.runtime.sound.blocks import Block
from edgecap.runtime.sound.feed import Feed, feed_of, open_feed, paced
from edgecap.runtime.sound.raw import Raw
from edgecap.runtime.sound.ring import Closed
from edgecap.runtime.sound.source import Source
from tests.tones import on_a_pipe


def drained(feed: Feed) -> list[tuple[int, int, float]]:
    """(index, size, arrived_at) of all that it brought."""
    items = []
    feed.start()
    try:
        while (item := feed.ring.get(10)) is not None:
            assert len(item.value.samples) == item.size
            items.append((item.index, item.size, item.value.arrived_at))
    except Closed:
        pass
    finally:
        feed.stop()
    return items


def test_a_file_comes_whole_and_is_no_live_source(tmp_path: Path) -> None:
    path = tmp_path / "noise.wav"
    soundfile.write(path, np.random.default_rng(3).standard_normal(5 * RATE) * 0.1, RATE)
    feed = open_feed(Source("file", str(path)))
    assert not feed.is_live
    items = drained(feed)
    assert sum(size for _, size, _ in items) == 5 * RATE
    assert [when for _, _, when in items] == sorted(when for _, _, when in items)
    assert feed.lost == 0


def test_a_gap_between_blocks_is_counted() -> None:
    second = np.zeros(RATE, np.float32)
    feed = feed_of([Block(second, 0), Block(second, 3 * RATE)], is_live=True)
    assert feed.is_live
    assert [index for index, _, _ in drained(feed)] == [0, 3 * RATE]
    assert feed.lost == 2 * RATE


def test_what_is_wrong_with_a_source_is_told_where_it_is_read() -> None:
    with pytest.raises(InputMissingError, match="does not exist"):
        drained(open_feed(Source("file", "/nowhere.wav")))


@pytest.mark.parametrize(("is_live", "sentence"), [(False, "A file can't be muted"), (True, "A pipe can't")])
def test_what_another_program_records_can_not_be_muted(is_live: bool, sentence: str) -> None:
    feed = feed_of([], is_live=is_live)
    with pytest.raises(UsageError, match=sentence):
        feed.mute(True)
    assert not feed.is_muted


def test_paced_blocks_come_when_a_microphone_would_give_them() -> None:
    time = [50.0]

    def sleep(seconds: float) -> None:
        time[0] += seconds

    given_at = []
    for block in paced(on_a_pipe(bytes(2 * RATE), Raw()), lambda: time[0], sleep):
        given_at.append((time[0] - 50.0, (block.index + len(block.samples)) / RATE))
        time[0] += 0.03  # the work between two blocks must not add up
    assert len(given_at) == 7  # six whole blocks of 160 ms and what is left of the second
    assert [when for when, _ in given_at] == pytest.approx([end for _, end in given_at])
