"""A daemon and who reads, asks and looks at it while it runs, over real sockets."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
import zmq

from edgecap.runtime.audio import CHUNK_SAMPLES
from edgecap.runtime.config.schema import Config
from edgecap.runtime.daemon import Daemon
from edgecap.runtime.sound.blocks import Block
from edgecap.runtime.sound.feed import feed_of
from edgecap.runtime.telling import wire
from edgecap.runtime.telling.outlet import Outlet
from tests import handmade
from tests.played import blocks, play

ANY = "tcp://127.0.0.1:*"
PATIENCE_S = 60.0
CONFIG = Config(room="test", publish=ANY, replay=ANY)


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
