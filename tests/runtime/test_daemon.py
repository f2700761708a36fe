"""Daemon: from a source to the wire and to a clean end, over real sockets, on a model made by hand."""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import soundfile
import zmq

from edgecap.runtime.audio import CHUNK_SAMPLES, RATE, Samples
from edgecap.runtime.config.schema import Config, RoomConfig
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

ANY = "tcp://127.0.0.1:*"
PATIENCE_S = 60.0
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


def test_of_several_rooms_each_error_is_said_once(caplog: pytest.LogCaptureFixture) -> None:
    """While others go on it is logged; the last one is raised, and so said by who runs the daemon."""
    first_is_over = threading.Event()

    def breaking(words: str, wait: bool) -> Iterator[Block]:
        yield from blocks(handmade.silence(1))
        assert not wait or first_is_over.wait(PATIENCE_S)
        raise DataError(words)

    daemon = several(kitchen=breaking("the cable was cut", True), hall=breaking("the plug was drawn", False))
    daemon.rooms["hall"].over = first_is_over
    with pytest.raises(DataError, match="the cable was cut"):
        daemon.run()
    assert [record.getMessage() for record in caplog.records] == ["hall: the plug was drawn."]


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


class Reader:
    """A subscriber and a requester in this process, as another program would have them."""

    def __init__(self, daemon: Daemon) -> None:
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self.sub = self._context.socket(zmq.SUB)
        self.sub.subscribe(b"")
        self.sub.connect(daemon.publish_endpoint)
        self.dealer = self._context.socket(zmq.DEALER)
        self.dealer.connect(daemon.replay_endpoint)
        for each in (self.sub, self.dealer):
            each.setsockopt(zmq.RCVTIMEO, round(1000 * PATIENCE_S))

    def until(self, wanted: Callable[[wire.Message], bool]) -> wire.Message:
        while not wanted(message := wire.decode(self.sub.recv_multipart()[1])):
            pass
        return message

    def ask(self, request: wire.Message) -> list[wire.Message]:
        self.dealer.send(wire.encode(request))
        answers = [wire.decode(self.dealer.recv())]
        while isinstance(answers[-1], wire.CaptionMessage):
            answers.append(wire.decode(self.dealer.recv()))
        return answers

    def close(self) -> None:
        self._context.destroy(linger=0)


@contextmanager
def running(daemon: Daemon) -> Iterator[Reader]:
    runner = threading.Thread(target=daemon.run)
    runner.start()
    reader = Reader(daemon)
    try:
        yield reader
    finally:
        daemon.stop()
        runner.join(PATIENCE_S)
        reader.close()
    assert not runner.is_alive()


def is_caption(text: str, kind: str = "new") -> Callable[[wire.Message], bool]:
    return lambda m: isinstance(m, wire.CaptionMessage) and (m.text, m.event) == (text, kind)


@pytest.mark.parametrize("is_stuck", [True, False], ids=["stuck", "raises"])
def test_a_view_that_hangs_or_raises_stops_nothing_else(is_stuck: bool) -> None:
    """Captions, status and replay go on; what the view missed is counted."""
    let_go, subscribed = threading.Event(), threading.Event()

    def show(_: object) -> None:
        if is_stuck:
            assert let_go.wait(PATIENCE_S)
        else:
            raise RuntimeError("a view's own defect")

    def sounds() -> Iterator[Block]:
        assert subscribed.wait(PATIENCE_S)
        yield from blocks(play())
        assert let_go.wait(PATIENCE_S)

    outlet: Outlet[wire.CaptionMessage | wire.StatusMessage] = Outlet("view", show, queue=2)
    daemon = Daemon(CONFIG, handmade.model(), "m", feeds={"test": feed_of(sounds())}, outlets=[outlet])
    with running(daemon) as reader:
        reader.until(lambda message: isinstance(message, wire.StatusMessage))
        subscribed.set()
        reader.until(is_caption("A dog barks."))
        reader.until(is_caption("A bell rings."))
        reader.until(lambda message: isinstance(message, wire.StatusMessage))
        *captions, end = reader.ask(wire.ReplayRequest(room="test", run=0, after=0))
        assert isinstance(end, wire.ReplayEnd)
        assert len(captions) == end.last >= 3
        assert outlet.dropped >= 1
        let_go.set()
    outlet.close(PATIENCE_S)


def test_requests_reach_the_daemon_and_a_file_says_why_it_cannot_be_muted() -> None:
    done = threading.Event()

    def sounds() -> Iterator[Block]:
        yield from blocks(handmade.silence(1))
        assert done.wait(PATIENCE_S)

    daemon = Daemon(CONFIG, handmade.model(), "m", feeds={"test": feed_of(sounds())})
    with running(daemon) as reader:
        (refused,) = reader.ask(wire.MuteRequest(room="test"))
        assert isinstance(refused, wire.Refused)
        assert "microphone" in refused.why + refused.fix
        (elsewhere,) = reader.ask(wire.MuteRequest(room="cellar"))
        assert isinstance(elsewhere, wire.Refused)
        assert (elsewhere.why, elsewhere.fix) == ("there is no room 'cellar' here", "the rooms are test")
        done.set()


def several(**sounds: Iterator[Block]) -> Daemon:
    config = Config(
        publish=ANY, replay=ANY, rooms=tuple(RoomConfig(room=name, source=Source("stdin")) for name in sounds)
    )
    feeds = {name: feed_of(source) for name, source in sounds.items()}
    return Daemon(config, handmade.model(), "m", feeds=feeds)


def test_rooms_of_one_daemon_say_what_each_would_say_alone() -> None:
    """They share the model, the sockets and a thread; one of them breaks halfway, another ends early."""
    sounds = {
        "kitchen": play(),
        "nursery": np.concatenate([handmade.rain(4), play()]),
        "hall": play()[: 3 * RATE],
    }

    def broken() -> Iterator[Block]:
        yield from blocks(handmade.dog(3))
        raise DataError("the cable was cut")

    daemon = several(**{name: blocks(samples) for name, samples in sounds.items()}, cellar=broken())
    with pytest.raises(DataError, match="the cable was cut"):
        daemon.run()
    for name, samples in sounds.items():
        alone = Session(handmade.model())
        expected = captions(alone.push(samples) + alone.finish())
        said = daemon.rooms[name].log.missed(0, 0)
        assert [(m.event, m.text, m.seq) for m in said] == [
            (event.kind, event.text, number) for number, event in enumerate(expected, 1)
        ]
        assert {m.room for m in said} == {name}
    assert [m.event for m in daemon.rooms["cellar"].log.missed(0, 0)][-1] == "end"


def test_what_is_heard_goes_to_who_asks_for_it() -> None:
    subscribed, done = threading.Event(), threading.Event()

    def sounds() -> Iterator[Block]:
        assert subscribed.wait(PATIENCE_S)
        for start in range(600):  # until it has been seen
            yield Block(handmade.rain(0.32), start * CHUNK_SAMPLES)
            if done.is_set():
                return

    daemon = Daemon(CONFIG, handmade.model(), "m", feeds={"test": feed_of(sounds())})
    with running(daemon) as reader:
        reader.sub.subscribe(b"heard.")
        reader.until(lambda message: isinstance(message, wire.StatusMessage))
        subscribed.set()
        heard = reader.until(lambda message: isinstance(message, wire.HeardMessage))
        done.set()
    assert isinstance(heard, wire.HeardMessage)
    assert "rain" in [sound.label for sound in heard.sounds]
    scores = [sound.score for sound in heard.sounds]
    assert scores == sorted(scores, reverse=True)
