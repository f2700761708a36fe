"""Daemon: from a source to the wire and to a clean end, over real sockets, on a model made by hand."""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import soundfile
import zmq

from edgecap.runtime.audio import RATE
from edgecap.runtime.config.schema import Config
from edgecap.runtime.daemon import Daemon
from edgecap.runtime.errors import DataError, InputMissingError, UnavailableError
from edgecap.runtime.events import captions
from edgecap.runtime.session import Session
from edgecap.runtime.sound.blocks import Block
from edgecap.runtime.sound.feed import feed_of
from edgecap.runtime.sound.source import Source
from edgecap.runtime.telling import wire
from edgecap.runtime.telling.outlet import Outlet
from tests import handmade
from tests.played import blocks, play

ANY = "tcp://127.0.0.1:*"
PATIENCE_S = 60.0
CONFIG = Config(room="test", publish=ANY, replay=ANY)


class Audience:
    """What a daemon told."""

    def __init__(self, source: Iterator[Block] | None = None, config: Config = CONFIG) -> None:
        self.captions: list[wire.CaptionMessage] = []
        self.statuses: list[wire.StatusMessage] = []
        self.has_three_statuses = threading.Event()
        self._outlet: Outlet[wire.CaptionMessage | wire.StatusMessage] = Outlet("test", self._take)
        feeds = {config.room: feed_of(source)} if source else None
        self.daemon = Daemon(config, handmade.model(), "handmade 1.0", feeds=feeds, outlets=[self._outlet])
        self.room = self.daemon.rooms[config.room]

    def _take(self, message: wire.CaptionMessage | wire.StatusMessage) -> None:
        if isinstance(message, wire.CaptionMessage):
            self.captions.append(message)
            return
        self.statuses.append(message)
        if len(self.statuses) >= 3:
            self.has_three_statuses.set()

    def listen(self) -> int:
        """Runs the daemon; what it told is then complete."""
        try:
            return self.daemon.run()
        finally:
            assert self._outlet.close(60)


def test_a_source_is_captioned_to_its_end() -> None:
    samples = play()
    audience = Audience(blocks(samples))
    assert audience.listen() == 0
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
    audience.listen()
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
    audience.listen()
    assert audience.room.session.position == len(samples) + 5 * RATE
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
        runner = threading.Thread(target=audience.listen)
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


def test_status_comes_again_and_again_even_when_no_sound_does() -> None:
    stopped = threading.Event()

    def silent() -> Iterator[Block]:
        assert stopped.wait(PATIENCE_S)
        return
        yield

    audience = Audience(silent())
    runner = threading.Thread(target=audience.listen)
    runner.start()
    assert audience.has_three_statuses.wait(PATIENCE_S)
    audience.daemon.stop(0)
    stopped.set()
    runner.join(PATIENCE_S)
    assert not runner.is_alive()
    states = [status.state for status in audience.statuses]
    assert states == ["starting"] * (len(states) - 1) + ["stopping"]
    gaps = [
        wire.moment(after.at) - wire.moment(before.at) for before, after in pairwise(audience.statuses[:-1])
    ]
    assert all(gap >= timedelta(seconds=0.9) for gap in gaps)  # at least: a busy machine may be later


def test_stopping_closes_what_is_open() -> None:
    def endless_rain() -> Iterator[Block]:
        yield from blocks(np.concatenate([handmade.silence(1), handmade.rain(10)]))
        audience.daemon.stop(130)
        yield Block(handmade.rain(1), 11 * RATE)

    audience = Audience(endless_rain())
    assert audience.listen() == 130
    assert audience.captions[0].event == "new"
    assert audience.captions[-1].event == "end"


def test_an_error_of_the_source_comes_out_after_a_clean_end(tmp_path: Path) -> None:
    missing = Config(publish=ANY, replay=ANY, source=Source("file", str(tmp_path / "missing.wav")))
    audience = Audience(config=missing)
    with pytest.raises(InputMissingError, match=r"missing\.wav does not exist"):
        audience.listen()
    assert audience.statuses[-1].state == "stopping"


def test_without_pyaudio_the_fix_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyaudio", None)
    audience = Audience()
    with pytest.raises(UnavailableError, match=r"Microphones need PyAudio.*pip install 'edgecap\[mic\]'"):
        audience.listen()
    assert audience.statuses[-1].state == "stopping"


def test_a_source_that_breaks_closes_its_captions_before_it_is_told() -> None:
    def breaking() -> Iterator[Block]:
        yield Block(np.concatenate([handmade.silence(1), handmade.rain(10)]), 0)
        raise DataError("the recording can't be read", why="its disk has gone")

    audience = Audience(breaking())
    with pytest.raises(DataError, match="its disk has gone"):
        audience.listen()
    assert [caption.event for caption in audience.captions][-1] == "end"


def test_a_cut_recording_is_captioned_to_its_end_and_what_was_missing_is_said(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "cut.flac"
    soundfile.write(path, np.concatenate([handmade.silence(1), handmade.rain(20)]), RATE)
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])
    audience = Audience(config=Config(publish=ANY, replay=ANY, source=Source("file", str(path))))
    assert audience.listen() == 0
    assert "10.1 s of 21.0 s are missing; captioned the 10.9 s that are there" in caplog.text
    assert [caption.event for caption in audience.captions][-1] == "end"


CHILD = """
import sys
from edgecap.runtime.config.schema import Config, Source
from edgecap.runtime.daemon import Daemon, run_with_signals
from edgecap.runtime.telling.outlet import Outlet
from tests import handmade
from tests.played import blocks, play
config = Config(publish="tcp://127.0.0.1:*", replay="tcp://127.0.0.1:*", source=Source(*sys.argv[1:]))
shown = Outlet("test", lambda told: print(told.state, flush=True))
daemon = Daemon(config, handmade.model(), "handmade 1.0", outlets=[shown])
code = run_with_signals(daemon)
shown.close()
sys.exit(code)
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
        assert program.wait(PATIENCE_S) == code
        assert program.stdout.read().splitlines()[-1] == "stopping"
