"""The Subscriber: every caption once and in order, whatever the way between does to them."""

import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta

import pytest
import zmq
from hypothesis import given, settings
from hypothesis import strategies as st

from edgecap.client import Received, Subscriber, address, replay_beside
from edgecap.runtime.errors import UnavailableError, UsageError
from edgecap.runtime.events import Caption
from edgecap.runtime.telling import wire
from tests.station import Station

ANY = "tcp://127.0.0.1:*"
RUN = 1_769_853_600_000
PATIENCE_S = 5.0
QUIET_S = 0.1


class LossyRoom:
    """A room whose captions all can be replayed, and whose messages reach readers as the test wills.

    The publisher is real; what it would send is passed on by a socket of our own, in part.
    """

    def __init__(self, name: str = "kitchen", run: int = RUN, keep: int = 1000, at: str = ANY) -> None:
        self.publisher = Station(ANY, ANY, name, "room-small 1.0", run, keep=keep)
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self._pub = self._context.socket(zmq.PUB)
        self._pub.setsockopt(zmq.LINGER, 0)
        self._pub.bind(at)
        self.endpoint = self._pub.getsockopt_string(zmq.LAST_ENDPOINT)
        self.replay = self.publisher.replay_endpoint
        self._lock = threading.Lock()  # the publisher belongs to whoever holds it
        self._is_over = threading.Event()
        self._rounds = threading.Thread(target=self._poll)
        self._rounds.start()

    def captions(self, count: int) -> list[wire.CaptionMessage]:
        """So many more, kept for replay, not sent."""
        with self._lock:
            return [
                self.publisher.caption(
                    Caption("new", str(number), f"Sound {number}.", 0.9, (), 0), datetime.now(UTC), None
                )
                for number in range(count)
            ]

    def status(self, at: datetime | None = None) -> wire.StatusMessage:
        with self._lock:
            return self.publisher.status(
                "listening", at=at or datetime.now(UTC), level=-40.0, gaps=0, capture="healthy", uptime=1.0
            )

    def send(self, *messages: Received) -> None:
        for message in messages:
            self._pub.send_multipart([f"{message.type}.{message.room}".encode(), wire.encode(message)])

    def send_bytes(self, data: bytes) -> None:
        self._pub.send_multipart([b"caption.kitchen", data])

    def meet(self, subscriber: Subscriber) -> None:
        """Until a status went through: the subscriber's connection stands, and it knows the room."""
        deadline = time.monotonic() + PATIENCE_S
        while time.monotonic() < deadline:
            sent = self.status()
            self.send(sent)
            while (message := subscriber.receive(0.02)) is not None:
                if message == sent:
                    return
        pytest.fail("no connection")

    def close(self) -> None:
        self._is_over.set()
        self._rounds.join()
        self.publisher.close()
        self._context.destroy(linger=0)

    def _poll(self) -> None:
        while not self._is_over.wait(0.002):
            with self._lock:
                self.publisher.poll()


Rooms = Callable[..., LossyRoom]


@pytest.fixture
def rooms() -> Iterator[Rooms]:
    opened: list[LossyRoom] = []

    def open_room(*args: object, **kwargs: object) -> LossyRoom:
        opened.append(LossyRoom(*args, **kwargs))  # type: ignore[arg-type]  # checked where it is called
        return opened[-1]

    yield open_room
    for room in opened:
        room.close()


def received(subscriber: Subscriber, until: Received) -> list[wire.CaptionMessage]:
    """The captions up to the message `until`, which is among them if it is one."""
    captions: list[wire.CaptionMessage] = []
    while (message := subscriber.receive(PATIENCE_S)) != until:
        assert message is not None
        if isinstance(message, wire.CaptionMessage):
            captions.append(message)
    return [*captions, until] if isinstance(until, wire.CaptionMessage) else captions


def test_captions_and_status_come_typed_and_in_order(rooms: Rooms) -> None:
    room = rooms()
    with Subscriber(room.endpoint, room.replay) as subscriber:
        room.meet(subscriber)
        (first,), status, (second,) = room.captions(1), room.status(), room.captions(1)
        room.send(first, status, second)
        assert [subscriber.receive(PATIENCE_S) for _ in range(3)] == [first, status, second]
        assert subscriber.receive(QUIET_S) is None


COUNT = 8


@settings(max_examples=25, deadline=None)
@given(arrived=st.lists(st.integers(0, COUNT - 1), max_size=2 * COUNT), ends_with_status=st.booleans())
def test_every_caption_comes_once_and_in_order(arrived: list[int], ends_with_status: bool) -> None:
    """Whichever are lost, doubled or late on the way."""
    room = LossyRoom()
    try:
        with Subscriber(room.endpoint, room.replay) as subscriber:
            room.meet(subscriber)
            sent = room.captions(COUNT)
            last: Received = room.status() if ends_with_status else sent[-1]
            room.send(*(sent[number] for number in arrived if number < COUNT - 1), last)
            assert received(subscriber, until=last) == sent
            assert subscriber.lost == 0
    finally:
        room.close()


def test_who_comes_late_begins_with_now(rooms: Rooms) -> None:
    room = rooms()
    room.captions(5)
    with Subscriber(room.endpoint, room.replay) as subscriber:
        room.meet(subscriber)
        (now,) = room.captions(1)
        room.send(now)
        assert subscriber.receive(PATIENCE_S) == now
        assert subscriber.lost == 0


def test_history_begins_with_what_is_kept(rooms: Rooms) -> None:
    room = rooms(keep=3)
    said = room.captions(5)
    with Subscriber(room.endpoint, room.replay, history=True) as subscriber:
        while (message := subscriber.receive(0.02)) is None:
            room.send(room.status())
        (now,) = room.captions(1)
        room.send(now)
        assert [message, *received(subscriber, until=now)] == [*said[2:], now]
        assert subscriber.lost == 0  # the first two were gone before it began


def test_what_replay_no_longer_has_is_counted(rooms: Rooms) -> None:
    room = rooms(keep=3)
    with Subscriber(room.endpoint, room.replay) as subscriber:
        room.meet(subscriber)
        said = room.captions(10)
        room.send(said[-1])
        assert received(subscriber, until=said[-1]) == said[-3:]
        assert subscriber.lost == 7


@pytest.mark.parametrize("replay", [None, "tcp://127.0.0.1:9"], ids=["none", "nobody there"])
def test_without_replay_the_hole_is_counted_and_the_rest_comes(rooms: Rooms, replay: str | None) -> None:
    room = rooms()
    with Subscriber(room.endpoint, replay, replay_timeout_s=0.05) as subscriber:
        room.meet(subscriber)
        said = room.captions(5)
        room.send(said[0], said[3], status := room.status())  # which shows that the fifth was lost too
        assert received(subscriber, until=status) == [said[0], said[3]]
        assert subscriber.lost == 3


@pytest.mark.parametrize("run", [RUN + 1000, RUN - 1000], ids=["later", "its clock set back"])
def test_a_restart_begins_at_its_first_caption(rooms: Rooms, run: int) -> None:
    room = rooms()
    with Subscriber(room.endpoint, room.replay) as subscriber:
        room.meet(subscriber)
        before = room.captions(5)
        room.send(*before)
        assert received(subscriber, until=before[-1]) == before
        endpoint = room.endpoint
        room.close()
        again = rooms(run=run, at=endpoint)
        subscriber._replay = again.replay  # in life it has its address again, too
        first, second, third = again.captions(3)
        deadline = time.monotonic() + PATIENCE_S
        while (message := subscriber.receive(0.02)) is None:
            assert time.monotonic() < deadline
            again.send(third)  # the connection is made anew meanwhile; the first two went unheard
        assert [message, *received(subscriber, until=third)] == [first, second, third]
        assert subscriber.lost == 0


def test_a_room_is_not_another_that_begins_alike(rooms: Rooms) -> None:
    room = rooms("kitchen")
    with Subscriber(room.endpoint, room.replay, "kitchen") as subscriber:
        room.meet(subscriber)
        other = rooms("kitchen-2").captions(1)[0]
        (mine,) = room.captions(1)
        room.send(other, mine)
        assert subscriber.receive(PATIENCE_S) == mine


def test_rooms_behind_one_endpoint_are_counted_apart(rooms: Rooms) -> None:
    room, other = rooms("kitchen"), rooms("bedroom")
    with Subscriber(room.endpoint, room.replay) as subscriber:
        room.meet(subscriber)
        here, there = room.captions(3), other.captions(2)
        mixed = [here[0], there[0], here[1], there[1], here[2]]
        room.send(*mixed)
        assert received(subscriber, until=here[2]) == mixed
        assert subscriber.lost == 0


@pytest.mark.parametrize("garbage", [b"", b"\xff", b"{}", b'{"v":2,"type":"caption"}'])
def test_garbage_is_counted_and_the_rest_comes(
    rooms: Rooms, garbage: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    room = rooms()
    with Subscriber(room.endpoint, room.replay) as subscriber:
        room.meet(subscriber)
        (caption,) = room.captions(1)
        room.send_bytes(garbage)
        room.send(caption)
        assert subscriber.receive(PATIENCE_S) == caption
        assert subscriber.malformed == 1
        assert room.endpoint in caplog.text


def test_silence_ends_iteration_with_the_reason() -> None:
    with (
        Subscriber("tcp://127.0.0.1:9", None, "kitchen", timeout_s=0.05) as subscriber,
        pytest.raises(UnavailableError) as refused,
    ):
        list(subscriber)
    assert str(refused.value) == (
        "nothing from tcp://127.0.0.1:9 for 0.05 s: no edgecap publishes there, or none in a room kitchen."
        " Start `edgecap run` there, or name the address that it publishes on."
    )


@pytest.mark.parametrize("endpoint", ["nonsense", "tcp:/127.0.0.1:7310", "tcp://127.0.0.1"])
def test_what_is_no_address_is_usage(endpoint: str) -> None:
    with pytest.raises(UsageError, match=f"^{endpoint} is no address"):
        Subscriber(endpoint)


def test_what_is_stale_is_dropped_by_its_own_time(rooms: Rooms) -> None:
    room = rooms()
    with Subscriber(room.endpoint, room.replay, stale_s=60.0) as subscriber:
        room.meet(subscriber)
        old = room.status(at=datetime.now(UTC) - timedelta(minutes=2))
        fresh = room.status()
        room.send(old, fresh)
        assert subscriber.receive(PATIENCE_S) == fresh
        assert subscriber.stale == 1


@pytest.mark.parametrize(
    ("endpoint", "replay"),
    [
        ("tcp://127.0.0.1:7310", "tcp://127.0.0.1:7311"),
        ("tcp://[::1]:7400", "tcp://[::1]:7401"),
        ("tcp://kitchen.lan:7310", "tcp://kitchen.lan:7311"),
        ("ipc:///run/edgecap/captions", None),
        ("tcp://127.0.0.1", None),
    ],
)
def test_replay_is_asked_for_at_the_next_port(endpoint: str, replay: str | None) -> None:
    assert replay_beside(endpoint) == replay


def test_a_replay_that_never_answers_holds_up_one_hole_and_no_timeout() -> None:
    """receive comes back when told to; a second hole is not waited for: what comes is passed on at once."""
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    deaf = context.socket(zmq.ROUTER)
    port = deaf.bind_to_random_port("tcp://127.0.0.1")
    room = LossyRoom()
    try:
        with Subscriber(room.endpoint, f"tcp://127.0.0.1:{port}", replay_timeout_s=PATIENCE_S) as subscriber:
            room.meet(subscriber)
            lost, after = room.captions(2)
            room.send(after)
            # The status behind it shows that the hole has been seen; it waits behind the replay as well.
            room.send(room.status())
            while not deaf.poll(0):
                assert subscriber.receive(0.01) is None
            assert subscriber.receive(0.01) is None  # asked, not answered: and yet it came back
            subscriber._asking = subscriber._asking._replace(deadline=0.0)  # type: ignore[union-attr]  # its time is over
            assert subscriber.receive(PATIENCE_S) == after
            assert subscriber.lost == 1
            assert isinstance(subscriber.receive(PATIENCE_S), wire.StatusMessage)
            *_, third = room.captions(2)
            room.send(third)
            assert subscriber.receive(PATIENCE_S) == third  # no question, so no wait
            assert subscriber.lost == 2
            assert lost.seq == after.seq - 1
    finally:
        room.close()
        context.destroy(linger=0)


@pytest.mark.parametrize(
    ("words", "endpoint"),
    [
        ("7310", "tcp://127.0.0.1:7310"),
        ("7411", "tcp://127.0.0.1:7411"),
        ("kitchen", "tcp://kitchen:7310"),
        ("kitchen.local", "tcp://kitchen.local:7310"),
        ("kitchen.local:7411", "tcp://kitchen.local:7411"),
        ("192.168.1.7", "tcp://192.168.1.7:7310"),
        ("192.168.1.7:7411", "tcp://192.168.1.7:7411"),
        (":7411", "tcp://127.0.0.1:7411"),
        ("::1", "tcp://[::1]:7310"),
        ("fe80::1%eth0", "tcp://[fe80::1%eth0]:7310"),
        ("[::1]", "tcp://[::1]:7310"),
        ("[::1]:7411", "tcp://[::1]:7411"),
        ("/run/edgecap/captions", "ipc:///run/edgecap/captions"),
        ("./captions", "ipc://./captions"),
        ("tcp://kitchen:7411", "tcp://kitchen:7411"),
        ("ipc://@captions", "ipc://@captions"),
    ],
)
def test_an_address_may_be_as_people_write_it(words: str, endpoint: str) -> None:
    assert address(words) == endpoint
    assert address(endpoint) == endpoint


@pytest.mark.parametrize("words", ["0", "99999", "kitchen:", "kitchen:http", "[::1]:0", "kitchen:-1", "٣"])
def test_a_port_that_is_none_is_refused(words: str) -> None:
    with pytest.raises(UsageError, match="is no port"):
        address(words)


@given(st.text())
def test_any_words_are_an_endpoint_or_refused(words: str) -> None:
    with contextlib.suppress(UsageError):
        assert "://" in address(words)
