"""The publisher over real sockets, with plain ZeroMQ readers; one of them is another program."""

import json
import os
import select
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Literal

import pytest
import zmq

from edgecap.runtime.errors import ConfigError, UnavailableError
from edgecap.runtime.events import Caption, Sound
from edgecap.runtime.telling import publisher as publisher_module
from edgecap.runtime.telling import wire
from edgecap.runtime.telling.control import REQUESTS_A_POLL
from edgecap.runtime.telling.endpoint import is_local
from tests.station import Station

ANY = "tcp://127.0.0.1:*"
RUN = 1_769_853_600_000
START = datetime(2026, 1, 31, 10, tzinfo=UTC)
PATIENCE_MS = 5000
QUIET_MS = 100

Socket = zmq.Socket[bytes]

# A reader that has nothing but pyzmq.
READER = """
import json, sys, zmq
reader = zmq.Context().socket(zmq.SUB)
reader.connect(sys.argv[1])
reader.setsockopt_string(zmq.SUBSCRIBE, "caption.kitchen")
reader.setsockopt_string(zmq.SUBSCRIBE, "status.kitchen")
while True:
    topic, message = reader.recv_multipart()
    print(topic.decode(), message.decode(), flush=True)
    if json.loads(message).get("state") == "stopping":
        break
"""


@pytest.fixture
def publisher() -> Iterator[Station]:
    with Station(ANY, ANY, "kitchen", "room-small 1.0", RUN) as opened:
        yield opened


class Readers:
    """Plain ZeroMQ sockets, closed together when the test is over."""

    def __init__(self) -> None:
        self._context: zmq.Context[Socket] = zmq.Context()
        self._sockets: list[Socket] = []

    def connect(self, kind: int, endpoint: str) -> Socket:
        opened = self._context.socket(kind)
        self._sockets.append(opened)
        opened.connect(endpoint)
        return opened

    def sleeper(self, kind: int, endpoint: str) -> Socket:
        """One whose buffers are as small as can be, so that what it does not read soon backs up."""
        opened = self._context.socket(kind)
        self._sockets.append(opened)
        opened.setsockopt(zmq.RCVHWM, 1)
        opened.setsockopt(zmq.RCVBUF, 4096)
        if kind == zmq.SUB:
            opened.setsockopt(zmq.SUBSCRIBE, b"")
        opened.connect(endpoint)
        return opened

    def close(self) -> None:
        self._context.destroy(linger=0)


@pytest.fixture
def readers() -> Iterator[Readers]:
    opened = Readers()
    yield opened
    opened.close()


def say(
    publisher: Station, number: int, kind: Literal["new", "update", "end"] = "new"
) -> wire.CaptionMessage:
    is_over = kind == "end"
    caption = Caption(
        kind=kind,
        id=str(number),
        text=f"Sound {number} is heard.",
        confidence=0.83333,
        sounds=(Sound("dog", 0.91234),),
        start=32_000,
        end=64_000 if is_over else None,
        priority="urgent",
        semantic=bytes([1, 128, 127]),
    )
    return publisher.caption(caption, START, START + timedelta(seconds=1) if is_over else None)


def tell(publisher: Station, state: wire.State = "listening", level: float = -41.23) -> wire.StatusMessage:
    return publisher.status(state, at=START, level=level, gaps=0, capture="healthy", uptime=3600.04)


def request(after: int, run: int = RUN, room: str = "kitchen") -> bytes:
    return wire.encode(wire.ReplayRequest(room=room, run=run, after=after))


def rounds(publisher: Station, reader: Socket | None = None) -> Iterator[int]:
    """The daemon's rounds: what each poll answered, until the reader has something or patience ends."""
    deadline = time.monotonic() + PATIENCE_MS / 1000
    while time.monotonic() < deadline:
        yield publisher.poll()
        if reader is None:
            time.sleep(0.002)  # the request is under way in ZeroMQ's own thread
        elif reader.poll(5):
            return
    pytest.fail("no answer")


def poll_once_more(publisher: Station) -> None:
    """Rounds until one request came."""
    next(answered for answered in rounds(publisher) if answered)


def answers(publisher: Station, reader: Socket) -> list[wire.Message]:
    """Everything up to the replay-end."""
    received: list[wire.Message] = []
    while not (received and isinstance(received[-1], wire.ReplayEnd)):
        for _ in rounds(publisher, reader):
            pass
        received.append(wire.decode(reader.recv()))
    return received


def replayed(readers: Readers, publisher: Station, after: int, run: int = RUN) -> tuple[list[int], int]:
    """The seq of each caption that replay gives, and the `last` behind them."""
    dealer = readers.connect(zmq.DEALER, publisher.replay_endpoint)
    dealer.send(request(after, run))
    *captions, end = answers(publisher, dealer)
    assert isinstance(end, wire.ReplayEnd)
    return [caption.seq for caption in captions if isinstance(caption, wire.CaptionMessage)], end.last


def test_another_program_with_plain_pyzmq_reads_valid_messages_in_order(publisher: Station) -> None:
    command = [sys.executable, "-c", READER, publisher.publish_endpoint]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as reader:
        assert reader.stdout
        while not select.select([reader.stdout], [], [], 0.02)[0]:
            tell(publisher, "starting")  # it is there once the first of these arrives
        sent = [say(publisher, 1), say(publisher, 1, "update"), say(publisher, 1, "end"), say(publisher, 2)]
        tell(publisher, "stopping")
        lines = reader.stdout.read().splitlines()
    topics = [line.split(" ", 1)[0] for line in lines]
    messages = [wire.decode(line.split(" ", 1)[1].encode()) for line in lines]
    captions = [message for message in messages if isinstance(message, wire.CaptionMessage)]
    statuses = [message for message in messages if isinstance(message, wire.StatusMessage)]
    assert captions == sent
    assert [caption.seq for caption in captions] == [1, 2, 3, 4]
    first = statuses[0].seq
    assert [status.seq for status in statuses] == list(range(first, first + len(statuses)))
    assert {message.run for message in captions} | {message.run for message in statuses} == {RUN}
    assert topics == ["status.kitchen"] * (len(statuses) - 1) + ["caption.kitchen"] * 4 + ["status.kitchen"]


def test_the_ten_lines_of_the_document_print_captions(publisher: Station) -> None:
    document = (Path(__file__).parents[3] / "docs" / "wire.md").read_text(encoding="utf-8")
    ten_lines = document.split("```python\n")[1].split("```")[0]
    program = ten_lines.replace("tcp://127.0.0.1:7310", publisher.publish_endpoint)
    command = [sys.executable, "-u", "-c", program]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as reader:
        assert reader.stdout
        while not select.select([reader.stdout], [], [], 0.02)[0]:
            say(publisher, 1)
        assert reader.stdout.readline() == "2026-01-31T10:00:00.000Z new Sound 1 is heard.\n"
        reader.kill()


def test_a_caption_goes_out_with_utc_times_and_rounded_scores(publisher: Station) -> None:
    sent = json.loads(wire.encode(say(publisher, 7, "end")))
    assert abs(wire.moment(sent.pop("at")) - datetime.now(UTC)) < timedelta(hours=1)
    assert sent == {
        "v": 1,
        "type": "caption",
        "room": "kitchen",
        "run": RUN,
        "seq": 1,
        "id": f"{RUN}-7",
        "event": "end",
        "text": "Sound 7 is heard.",
        "confidence": 0.833,
        "sounds": [{"label": "dog", "score": 0.912}],
        "start": "2026-01-31T10:00:00.000Z",
        "end": "2026-01-31T10:00:01.000Z",
        "model": "room-small 1.0",
        "priority": "urgent",
        "language": "en",
        "semantic": "AYB/",
    }


def test_status_carries_the_open_caption_and_the_newest_seq(publisher: Station) -> None:
    assert tell(publisher).live is None
    opened = say(publisher, 1)
    assert (tell(publisher).live, tell(publisher).last) == (opened, 1)
    revised = say(publisher, 1, "update")
    assert tell(publisher).live == revised
    say(publisher, 1, "end")
    closed = tell(publisher)
    assert (closed.live, closed.last, closed.seq) == (None, 3, 5)


@pytest.mark.parametrize("level", [float("-inf"), float("nan")])
def test_a_level_that_is_no_number_is_null(publisher: Station, level: float) -> None:
    assert tell(publisher, level=level).level is None
    assert tell(publisher).level == -41.2


def test_a_slow_subscriber_never_stalls_the_room(publisher: Station, readers: Readers) -> None:
    sleeper = readers.sleeper(zmq.SUB, publisher.publish_endpoint)
    while not sleeper.poll(20):
        tell(publisher)
    for number in range(10_000):
        say(publisher, number)  # if one of these waited for the sleeper, it would wait for ever
    seen = []
    while sleeper.poll(QUIET_MS):
        message = wire.decode(sleeper.recv_multipart()[1])
        if isinstance(message, wire.CaptionMessage):
            seen.append(message.seq)
    assert seen == sorted(set(seen))
    assert len(seen) < 10_000  # the rest was dropped, which the hole in seq shows
    assert replayed(readers, publisher, 9_000) == (list(range(9_001, 10_001)), 10_000)


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


def test_a_taken_port_is_one_clear_sentence(publisher: Station) -> None:
    taken = publisher.publish_endpoint
    with pytest.raises(UnavailableError) as refused:
        Station(taken, ANY, "kitchen", "m", RUN)
    assert refused.value.code == 69
    assert str(refused.value) == (
        f"--publish {taken} is taken: another edgecap may be running on it."
        " Stop that one, or choose another address with --publish."
    )
    with pytest.raises(UnavailableError, match=f"--replay {taken} is taken"):
        Station(ANY, taken, "kitchen", "m", RUN)


def test_a_refused_publisher_leaves_its_other_port_free(publisher: Station) -> None:
    with Station(ANY, ANY, "kitchen", "m", RUN) as short:
        free = short.publish_endpoint
    with pytest.raises(UnavailableError):
        Station(free, publisher.replay_endpoint, "kitchen", "m", RUN)
    Station(free, ANY, "kitchen", "m", RUN).close()


@pytest.mark.parametrize(
    ("endpoint", "local"),
    [
        ("tcp://127.0.0.1:7310", True),
        ("tcp://127.0.0.2:7310", True),
        ("tcp://[::1]:7310", True),
        ("tcp://localhost:7310", True),
        ("ipc:///run/edgecap/captions", True),
        ("tcp://*:7310", False),
        ("tcp://0.0.0.0:7310", False),
        ("tcp://[::]:7310", False),
        ("tcp://192.168.1.5:7310", False),
        ("tcp://localhost.example:7310", False),
        ("tcp://eth0:7310", False),
    ],
)
def test_what_only_this_machine_reaches(endpoint: str, local: bool) -> None:
    assert is_local(endpoint) is local


@pytest.mark.parametrize("endpoint", ["tcp://0.0.0.0:*", "tcp://*:*", "tcp://192.0.2.1:7310"])
def test_other_machines_are_kept_out_unless_let_in_aloud(endpoint: str) -> None:
    with pytest.raises(ConfigError, match="can be reached by other machines") as refused:
        Station(endpoint, ANY, "kitchen", "m", RUN)
    assert refused.value.code == 78
    with pytest.raises(ConfigError, match=r"^--replay"):
        Station(ANY, endpoint, "kitchen", "m", RUN)


def test_insecure_lets_other_machines_in() -> None:
    with Station("tcp://0.0.0.0:*", ANY, "kitchen", "m", RUN, insecure=True) as publisher:
        assert publisher.publish_endpoint.startswith("tcp://0.0.0.0:")


@pytest.mark.parametrize(
    ("endpoint", "reason"),
    [
        ("tcp://192.0.2.1:7310", "Cannot assign requested address"),
        ("tcp://127.0.0.1", "Invalid argument"),
        ("ipc:///nowhere/at/all", "No such file or directory"),
        ("ipc:///tmp/" + "x" * 200, "longer than 107"),
    ],
    ids=["not here", "no port", "no folder", "long path"],
)
def test_an_address_that_can_never_be_is_configuration(endpoint: str, reason: str) -> None:
    with pytest.raises(ConfigError, match=reason) as refused:
        Station(endpoint, ANY, "kitchen", "m", RUN, insecure=True)
    assert "--publish" in refused.value.fix


def test_an_ipc_socket_is_for_its_owner_and_group(tmp_path: Path, readers: Readers) -> None:
    path = tmp_path / "captions"
    with Station(f"ipc://{path}", f"ipc://{path}-replay", "kitchen", "m", RUN) as publisher:
        assert stat.S_IMODE(path.stat().st_mode) == 0o660
        say(publisher, 1)
        assert replayed(readers, publisher, 0) == ([1], 1)
    assert not path.exists()
    assert not path.with_name("captions-replay").exists()


def test_an_ipc_path_in_use_is_not_stolen(tmp_path: Path, readers: Readers) -> None:
    endpoint, second = f"ipc://{tmp_path}/captions", f"ipc://{tmp_path}/second"
    with Station(endpoint, ANY, "kitchen", "m", RUN) as publisher:
        with pytest.raises(UnavailableError, match=f"--publish {endpoint} is taken"):
            Station(endpoint, second, "kitchen", "m", RUN)
        say(publisher, 1)
        assert replayed(readers, publisher, 0) == ([1], 1)
        assert (tmp_path / "captions").exists()
    Station(endpoint, ANY, "kitchen", "m", RUN).close()


def test_a_socket_file_left_by_a_crash_is_taken_over(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as crashed:
        crashed.bind(os.fspath(tmp_path / "captions"))
    Station(f"ipc://{tmp_path}/captions", ANY, "kitchen", "m", RUN).close()


def test_a_file_on_the_ipc_path_is_not_deleted(tmp_path: Path) -> None:
    precious = tmp_path / "thesis.txt"
    precious.write_text("years of work")
    with pytest.raises(ConfigError, match="binding would delete it"):
        Station(f"ipc://{precious}", ANY, "kitchen", "m", RUN)
    assert precious.read_text() == "years of work"


def test_closing_waits_for_nobody(readers: Readers) -> None:
    publisher = Station(ANY, ANY, "kitchen", "m", RUN)
    sleeper = readers.sleeper(zmq.SUB, publisher.publish_endpoint)
    while not sleeper.poll(20):
        tell(publisher)
    for number in range(2000):
        say(publisher, number)
    publisher.close()  # comes back, though the sleeper never takes what waits for it
    publisher.close()


def test_what_is_heard_is_wanted_only_by_who_names_it(publisher: Station, readers: Readers) -> None:
    topic = wire.heard_topic("kitchen")
    everything = readers.connect(zmq.SUB, publisher.publish_endpoint)
    everything.setsockopt(zmq.SUBSCRIBE, b"")
    while not everything.poll(5):
        tell(publisher)
    assert not publisher.publisher.is_wanted(topic)
    curious = readers.connect(zmq.SUB, publisher.publish_endpoint)
    curious.setsockopt(zmq.SUBSCRIBE, b"heard.")
    deadline = time.monotonic() + PATIENCE_MS / 1000
    while not publisher.publisher.is_wanted(topic) and time.monotonic() < deadline:
        time.sleep(0.002)  # the subscription is under way in ZeroMQ's own thread
    sent = publisher.log.heard(-41.23, [("dog_bark", 0.9123, None), ("cat", 0.1, "threshold")], START)
    publisher.send(sent)
    assert curious.poll(PATIENCE_MS)
    assert curious.recv_multipart() == [b"heard.kitchen", wire.encode(sent)]
    curious.close(linger=0)
    while publisher.publisher.is_wanted(topic) and time.monotonic() < deadline:
        time.sleep(0.002)
    assert not publisher.publisher.is_wanted(topic)
