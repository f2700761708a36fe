"""The whole way: real clips into a microphone, `edgecap run`, and a program that knows ZeroMQ alone."""

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from queue import Empty, Queue
from typing import Any

import pytest
import soundfile

from tests.pulse import SoundServer, missing

CLIPS = Path(__file__).parent / "data" / "clips"
SHIPPED = Path(__file__).parent.parent / "runtime" / "bundles" / "room-small"
WORDS = {"dog_bark": ("dog", "bark"), "siren": ("siren",), "rain": ("rain",), "door_knock": ("knock",)}

READER = """
import sys
import zmq
reader = zmq.Context().socket(zmq.SUB)
reader.subscribe(b"")
reader.connect(sys.argv[1])
while True:
    topic, message = reader.recv_multipart()
    print(topic.decode(), message.decode(), flush=True)
"""
CAPTION_FIELDS = ["v", "type", "room", "run", "seq", "id", "event", "text", "confidence", "sounds"]
CAPTION_FIELDS += ["start", "end", "model", "at", "priority", "language", "semantic"]
STATUS_FIELDS = ["v", "type", "room", "run", "seq", "at", "state", "live", "last", "level", "gaps"]
STATUS_FIELDS += ["capture", "hop", "model", "uptime", "held"]


class Room:
    """A sound server, `edgecap run` on its microphone, and another program that reads what goes out."""

    def __init__(self, server: SoundServer, bundle: Path, *flags: str) -> None:
        self.server = server
        self.messages: list[tuple[str, dict[str, Any]]] = []
        self._arriving: Queue[str] = Queue()
        publish, replay = (f"tcp://127.0.0.1:{port}" for port in free_ports())
        command = [sys.executable, "-m", "edgecap", "run", "--bundle", str(bundle), "--name", "room"]
        command += ["--room", "den", "--publish", publish, "--replay", replay, *flags]
        self.daemon = subprocess.Popen(
            command,
            env=server.environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.reader = subprocess.Popen(
            [sys.executable, "-c", READER, publish], stdout=subprocess.PIPE, text=True
        )
        threading.Thread(target=self._read, daemon=True).start()

    def __enter__(self) -> "Room":
        return self

    def __exit__(self, *_: object) -> None:
        for program in (self.daemon, self.reader):
            program.kill()
            program.communicate()

    def until(self, kind: str, within_s: float, **fields: object) -> dict[str, Any]:
        """The next message of that type with those fields."""
        deadline = time.monotonic() + within_s
        while True:
            try:
                line = self._arriving.get(timeout=max(0.0, deadline - time.monotonic()))
            except Empty:
                pytest.fail(f"no {kind} with {fields} within {within_s} s; last: {self.messages[-2:]}")
            topic, _, text = line.partition(" ")
            message = json.loads(text)
            self.messages.append((topic, message))
            if message["type"] == kind and all(message[name] == value for name, value in fields.items()):
                return dict(message)

    def catch_up(self) -> None:
        """Read all that was sent until now."""
        now = datetime.now(UTC)
        while datetime.fromisoformat(self.until("status", 5)["at"]) < now:
            pass

    def captions(self) -> list[dict[str, Any]]:
        return [message for _, message in self.messages if message["type"] == "caption"]

    def play(self, clip: str, folder: Path) -> None:
        """To its end, and a pause. As WAV, whatever paplay was built with."""
        samples, rate = soundfile.read(CLIPS / f"{clip}.opus")
        soundfile.write(folder / f"{clip}.wav", samples, rate)
        with self.server.play(folder / f"{clip}.wav") as player:
            assert player.wait(15) == 0
        time.sleep(1)

    def _read(self) -> None:
        assert self.reader.stdout is not None
        for line in self.reader.stdout:
            self._arriving.put(line)


def free_ports() -> list[int]:
    with socket.socket() as one, socket.socket() as other:
        one.bind(("127.0.0.1", 0))
        other.bind(("127.0.0.1", 0))
        return [one.getsockname()[1], other.getsockname()[1]]


@pytest.fixture
def server() -> Iterator[SoundServer]:
    lacking = missing()
    if lacking and os.environ.get("CI") == "true":
        pytest.fail(f"CI must have {lacking}")
    if lacking:
        pytest.skip(f"needs {lacking}")
    with tempfile.TemporaryDirectory(prefix="edgecap-") as folder, SoundServer(Path(folder)) as running:
        yield running


def assert_is_wire_version_1(messages: list[tuple[str, dict[str, Any]]]) -> None:
    """By the letter of docs/wire.md, without our own code."""
    for kind, fields in (("caption", CAPTION_FIELDS), ("status", STATUS_FIELDS)):
        of_kind = [(topic, message) for topic, message in messages if message["type"] == kind]
        assert [topic for topic, _ in of_kind] == [f"{kind}.den"] * len(of_kind)
        assert all(list(message) == fields for _, message in of_kind)
        numbers = [message["seq"] for _, message in of_kind]
        assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))
    captions = [message for _, message in messages if message["type"] == "caption"]
    assert len({message["run"] for _, message in messages}) == 1
    for caption in captions:
        assert datetime.fromisoformat(caption["start"]).tzinfo
        assert caption["text"].endswith(".")
        assert (caption["end"] is None) == (caption["event"] != "end")
    news = [caption["id"] for caption in captions if caption["event"] == "new"]
    ends = [caption["id"] for caption in captions if caption["event"] == "end"]
    assert sorted(news) == sorted(ends)


@pytest.mark.mic
def test_real_clips_become_messages_and_the_room_survives_its_microphone(
    server: SoundServer, tiny_bundle: Path, tmp_path: Path
) -> None:
    """Random weights that may say anything: what is said is another test's business."""
    with Room(server, tiny_bundle, "--confidence", "0", "--hedge", "0", "--quiet") as room:
        room.until("status", 10, capture="healthy")
        room.play("dog_bark", tmp_path)
        room.until("caption", 5, event="end")
        server.unplug("room")
        lost = room.until("status", 5, state="no-microphone")
        assert lost["live"] is None or lost["live"]["event"] != "end"
        time.sleep(2)
        server.plug("room")
        room.until("status", 5, capture="healthy")
        room.play("door_knock", tmp_path)
        room.until("caption", 5, event="new")
        room.daemon.send_signal(signal.SIGTERM)
        last = room.until("status", 5, state="stopping")
        _, errors = room.daemon.communicate(timeout=5)
        assert room.daemon.returncode == 0
        assert "Microphone 'room' is gone" in errors
        assert last["gaps"] > 2 * 32_000
        assert_is_wire_version_1(room.messages)


@pytest.mark.mic
@pytest.mark.skipif(not SHIPPED.exists(), reason="no bundle ships yet: train and export one first")
def test_the_shipped_model_names_what_it_hears(server: SoundServer, tmp_path: Path) -> None:
    with Room(server, SHIPPED) as room:
        room.until("status", 10, capture="healthy")
        named = 0
        for clip, words in WORDS.items():
            heard = len(room.captions())
            room.play(clip, tmp_path)
            room.catch_up()
            said = " ".join(caption["text"].lower() for caption in room.captions()[heard:])
            named += any(word in said for word in words)
        room.daemon.send_signal(signal.SIGTERM)
        room.until("status", 5, state="stopping")
        assert named >= len(WORDS) // 2
        assert_is_wire_version_1(room.messages)
