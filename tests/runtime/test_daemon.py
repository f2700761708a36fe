"""Daemon: from a source to the wire and to a clean end, over real sockets, on a model made by hand."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
import soundfile
import zmq

from edgecap.runtime.audio import RATE, Samples
from edgecap.runtime.config.schema import Config
from edgecap.runtime.daemon import Daemon, Timeline
from edgecap.runtime.errors import DataError, InputMissingError, UnavailableError
from edgecap.runtime.events import captions
from edgecap.runtime.session import Session
from edgecap.runtime.sound.blocks import Block
from edgecap.runtime.sound.capture import Reader
from edgecap.runtime.sound.source import Source
from edgecap.runtime.telling import wire
from tests import handmade

ANY = "tcp://127.0.0.1:*"
CONFIG = Config(room="test", publish=ANY, replay=ANY)


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


class Audience:
    """What a daemon told."""

    def __init__(
        self, source: Iterator[Block] | None = None, config: Config = CONFIG, **options: bool
    ) -> None:
        self.captions: list[wire.CaptionMessage] = []
        self.statuses: list[wire.StatusMessage] = []
        self.session = Session(handmade.model())
        self.daemon = Daemon(
            config,
            self.session,
            "handmade 1.0",
            blocks=source,
            on_caption=self.captions.append,
            on_status=self.statuses.append,
            **options,
        )


def test_a_source_is_captioned_to_its_end() -> None:
    samples = play()
    audience = Audience(blocks(samples))
    assert audience.daemon.run() == 0
    expected = Session(handmade.model())
    events = captions(expected.push(samples) + expected.finish())
    assert events
    assert [(caption.event, caption.text) for caption in audience.captions] == [
        (event.kind, event.text) for event in events
    ]
    assert [caption.seq for caption in audience.captions] == list(range(1, len(events) + 1))
    opened = {caption.id for caption in audience.captions if caption.event == "new"}
    assert sorted(opened) == sorted(caption.id for caption in audience.captions if caption.event == "end")
    assert audience.statuses[-1].state == "stopping"
    assert audience.statuses[-1].live is None
    assert audience.statuses[-1].gaps == 0


def test_times_of_a_caption_lie_where_its_samples_were() -> None:
    audience = Audience(blocks(play()))
    audience.daemon.run()
    run_start = datetime.fromtimestamp(audience.captions[0].run / 1000, UTC)
    first = next(caption for caption in audience.captions if caption.event == "end")
    assert first.end is not None
    assert abs(wire.moment(first.start) - run_start - timedelta(seconds=1)) < timedelta(seconds=0.4)
    assert wire.moment(first.end) > wire.moment(first.start)
    starts = {caption.id: set[str]() for caption in audience.captions}
    for caption in audience.captions:
        starts[caption.id].add(caption.start)
    assert all(len(said) == 1 for said in starts.values())


def test_a_gap_is_told_to_the_session_and_to_the_room() -> None:
    samples = play()
    audience = Audience(blocks(samples, gap_at=2 * RATE, gap=5 * RATE))
    audience.daemon.run()
    assert audience.session.position == len(samples) + 5 * RATE
    assert audience.statuses[-1].gaps == 5 * RATE


def test_the_same_goes_out_over_the_wire_to_another_socket() -> None:
    started = threading.Event()

    def waiting() -> Iterator[Block]:
        started.wait(10)
        yield from blocks(play())

    audience = Audience(waiting())
    context = zmq.Context()
    try:
        reader = context.socket(zmq.SUB)
        reader.setsockopt(zmq.RCVTIMEO, 5000)
        reader.setsockopt(zmq.LINGER, 0)
        reader.subscribe(b"")
        reader.connect(audience.daemon.publish_endpoint)
        runner = threading.Thread(target=audience.daemon.run)
        runner.start()
        received = [wire.decode(reader.recv_multipart()[1])]  # a status: the subscription has arrived
        started.set()
        while not (isinstance(received[-1], wire.StatusMessage) and received[-1].state == "stopping"):
            received.append(wire.decode(reader.recv_multipart()[1]))
        runner.join(10)
        reader.close()
    finally:
        context.term()
    captions = [message for message in received if isinstance(message, wire.CaptionMessage)]
    assert captions == audience.captions
    assert any(
        isinstance(message, wire.StatusMessage) and message.state == "starting" for message in received
    )


def test_status_comes_every_second_even_when_no_sound_does() -> None:
    stopped = threading.Event()

    def silent() -> Iterator[Block]:
        stopped.wait(10)
        return
        yield

    audience = Audience(silent())
    runner = threading.Thread(target=audience.daemon.run)
    runner.start()
    time.sleep(2.5)
    audience.daemon.stop(0)
    runner.join(5)
    stopped.set()
    assert not runner.is_alive()
    assert [status.state for status in audience.statuses] == ["starting"] * 3 + ["stopping"]


def test_stopping_closes_what_is_open() -> None:
    def endless_rain() -> Iterator[Block]:
        yield from blocks(np.concatenate([handmade.silence(1), handmade.rain(10)]))
        audience.daemon.stop(130)
        yield Block(handmade.rain(1), 11 * RATE)

    audience = Audience(endless_rain())
    assert audience.daemon.run() == 130
    assert audience.captions[0].event == "new"
    assert audience.captions[-1].event == "end"


def test_an_error_of_the_source_comes_out_after_a_clean_end(tmp_path: Path) -> None:
    missing = Config(publish=ANY, replay=ANY, source=Source("file", str(tmp_path / "missing.wav")))
    audience = Audience(config=missing)
    with pytest.raises(InputMissingError, match=r"missing\.wav does not exist"):
        audience.daemon.run()
    assert audience.statuses[-1].state == "stopping"


def test_without_pyaudio_the_fix_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyaudio", None)
    audience = Audience()
    with pytest.raises(UnavailableError, match=r"Microphones need PyAudio.*pip install 'edgecap\[mic\]'"):
        audience.daemon.run()
    assert audience.statuses[-1].state == "stopping"


def test_a_cut_recording_closes_its_captions_before_it_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "cut.flac"
    soundfile.write(path, np.concatenate([handmade.silence(1), handmade.rain(20)]), RATE)
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])
    audience = Audience(config=Config(publish=ANY, replay=ANY, source=Source("file", str(path))))
    with pytest.raises(DataError, match="truncated or damaged"):
        audience.daemon.run()
    assert [caption.event for caption in audience.captions][-1] == "end"


def test_a_reader_in_thought_loses_nothing() -> None:
    reader = Reader(blocks(handmade.rain(30)))
    reader.start()
    time.sleep(0.05)
    heard = 0
    while heard < 30 * RATE:
        item = reader.ring.get(5)
        assert item is not None
        assert item.index == heard
        heard += item.size
    reader.stop()
    assert reader.lost == reader.ring.dropped == 0


def test_times_follow_a_slow_drift_smoothly_and_a_set_clock_at_once() -> None:
    noon = datetime(2026, 1, 31, 12, tzinfo=UTC)
    timeline = Timeline(noon)
    error = timedelta(0)
    for block in range(1, 10 * 3600):  # an hour, the device's clock 100 ppm slow
        now = noon + timedelta(seconds=block * 0.1 * 1.0001)
        before = timeline.utc(block * RATE // 10)
        timeline.heard(block * RATE // 10, now)
        error = max(error, abs(now - timeline.utc(block * RATE // 10)))
        assert abs(timeline.utc(block * RATE // 10) - before) < timedelta(milliseconds=1)
    assert error < timedelta(milliseconds=20)
    timeline.heard(3600 * RATE, noon)  # the clock was set back by an hour
    assert timeline.utc(3600 * RATE) == noon


CHILD = """
import sys
from edgecap.runtime.config.schema import Config, Source
from edgecap.runtime.daemon import Daemon, run_with_signals
from edgecap.runtime.session import Session
from tests import handmade
config = Config(publish="tcp://127.0.0.1:*", replay="tcp://127.0.0.1:*", source=Source(*sys.argv[1:]))
session = Session(handmade.model())
daemon = Daemon(config, session, "handmade 1.0", on_status=lambda told: print(told.state, flush=True))
sys.exit(run_with_signals(daemon))
"""


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 0), (signal.SIGINT, 130)])
def test_signals_end_it_cleanly(number: signal.Signals, code: int, tmp_path: Path) -> None:
    program = subprocess.Popen(
        [sys.executable, "-c", CHILD, "stdin"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": str(Path.cwd())},
    )
    with program:
        assert program.stdout is not None
        assert program.stdout.readline() == "starting\n"
        program.send_signal(number)
        assert program.wait(10) == code
        assert program.stdout.read().splitlines()[-1] == "stopping"
