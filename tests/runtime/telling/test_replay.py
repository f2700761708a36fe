"""Replay over real sockets: what was missed comes again, and whoever asks, nothing else is disturbed."""

import socket
import time

import pytest
import zmq

from edgecap.runtime.telling import publisher as publisher_module
from edgecap.runtime.telling import wire
from edgecap.runtime.telling.control import REQUESTS_A_POLL
from tests.readers import (
    PATIENCE_MS,
    QUIET_MS,
    RUN,
    Readers,
    answers,
    poll_once_more,
    replayed,
    request,
    rounds,
    say,
)
from tests.station import ANY, Station


@pytest.mark.parametrize(
    ("after", "run", "expected"),
    [
        (0, RUN, [3, 4, 5, 6, 7]),
        (4, RUN, [5, 6, 7]),
        (7, RUN, []),
        (99, RUN, []),
        (99, RUN - 5, [3, 4, 5, 6, 7]),
        (0, 0, [3, 4, 5, 6, 7]),
    ],
    ids=["all kept", "the missed", "nothing missed", "ahead", "of an earlier run", "run unknown"],
)
def test_replay_gives_what_is_kept_behind_a_seq(
    readers: Readers, after: int, run: int, expected: list[int]
) -> None:
    with Station(ANY, ANY, "kitchen", "m", RUN, keep=5) as publisher:
        for number in range(7):
            say(publisher, number)
        assert replayed(readers, publisher, after, run) == (expected, 7)


def test_replay_gives_the_captions_as_they_were(publisher: Station, readers: Readers) -> None:
    sent = [say(publisher, 1), say(publisher, 1, "update"), say(publisher, 1, "end")]
    dealer = readers.connect(zmq.DEALER, publisher.replay_endpoint)
    dealer.send(request(after=1))
    assert answers(publisher, dealer) == [*sent[1:], wire.ReplayEnd(room="kitchen", run=RUN, after=1, last=3)]


def test_a_req_socket_gets_its_one_answer(publisher: Station, readers: Readers) -> None:
    say(publisher, 1)
    req = readers.connect(zmq.REQ, publisher.replay_endpoint)
    req.send(request(after=0))
    poll_once_more(publisher)
    assert req.poll(PATIENCE_MS)
    assert isinstance(wire.decode(req.recv()), wire.CaptionMessage)


@pytest.mark.parametrize(
    "frames",
    [
        [b""],
        [b"\xff\x00"],
        [b"{"],
        [b'{"v":2,"type":"replay"}'],
        [request(0)[:-1]],
        [b"", b"", request(0)],
        [request(0), b""],
    ],
    ids=["empty", "bytes", "brace", "version 2", "cut", "deep", "reversed"],
)
def test_garbage_is_counted_and_not_answered(
    publisher: Station, readers: Readers, frames: list[bytes]
) -> None:
    dealer = readers.connect(zmq.DEALER, publisher.replay_endpoint)
    dealer.send_multipart(frames)
    poll_once_more(publisher)
    assert publisher.refused == 1
    assert not dealer.poll(QUIET_MS)
    dealer.send(request(0))
    assert answers(publisher, dealer) == [wire.ReplayEnd(room="kitchen", run=RUN, after=0, last=0)]


def test_a_giant_request_reaches_no_memory_of_ours(publisher: Station, readers: Readers) -> None:
    readers.connect(zmq.DEALER, publisher.replay_endpoint).send(b"x" * 1_000_000)
    assert replayed(readers, publisher, 0) == ([], 0)
    assert publisher.refused == 0  # its connection ended before it was a message


def test_a_crowd_of_requests_is_answered_a_few_a_poll(publisher: Station, readers: Readers) -> None:
    crowd = [readers.connect(zmq.DEALER, publisher.replay_endpoint) for _ in range(3 * REQUESTS_A_POLL)]
    for dealer in crowd:
        dealer.send(request(0))
    left = len(crowd)
    for answered in rounds(publisher):
        assert answered <= REQUESTS_A_POLL
        left -= answered
        if not left:
            break
    for dealer in crowd:
        assert dealer.poll(PATIENCE_MS)


def test_a_reader_that_left_after_asking_changes_nothing(publisher: Station, readers: Readers) -> None:
    for number in range(1000):
        say(publisher, number)
    for _ in range(5):
        dealer = readers.connect(zmq.DEALER, publisher.replay_endpoint)
        dealer.send(request(0))
        poll_once_more(publisher)
        dealer.close(linger=0)
    assert replayed(readers, publisher, 998) == ([999, 1000], 1000)


def test_a_reader_that_asks_but_never_reads_cannot_fill_the_memory(readers: Readers) -> None:
    with Station(ANY, ANY, "kitchen", "m", RUN, keep=10) as publisher:
        for number in range(10):
            say(publisher, number)
        dealer = readers.sleeper(zmq.DEALER, publisher.replay_endpoint)
        deadline = time.monotonic() + PATIENCE_MS / 1000
        while not publisher.refused and time.monotonic() < deadline:
            dealer.send(request(0))
            publisher.poll()
        assert publisher.refused  # its queue is full: its answers are dropped
        assert replayed(readers, publisher, 8) == ([9, 10], 10)


def test_who_connects_and_says_nothing_is_sent_away(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(publisher_module, "HANDSHAKE_MS", 100)
    with Station(ANY, ANY, "kitchen", "m", RUN) as publisher:
        port = int(publisher.replay_endpoint.rpartition(":")[2])
        with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE_MS / 1000) as silent:
            while silent.recv(100):  # the greeting, then the end
                pass
