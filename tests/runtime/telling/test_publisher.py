"""The publisher over real sockets, with plain ZeroMQ readers; one of them is another program."""

import json
import select
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import zmq

from edgecap.runtime.telling import wire
from tests.readers import PATIENCE_MS, QUIET_MS, RUN, START, Readers, replayed, say, tell
from tests.station import ANY, Station

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
