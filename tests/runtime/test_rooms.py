"""Several rooms in one process, on one loaded model: files, a pipe, a microphone, one that breaks."""

import os
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile

from edgecap.runtime.audio import RATE, Samples
from edgecap.runtime.config.schema import Config, RoomConfig
from edgecap.runtime.daemon import Daemon
from edgecap.runtime.errors import DataError
from edgecap.runtime.events import captions
from edgecap.runtime.session import Session
from edgecap.runtime.sound.blocks import Block
from edgecap.runtime.sound.feed import Feed, feed_of
from edgecap.runtime.sound.raw import Raw
from edgecap.runtime.sound.source import Source
from edgecap.runtime.telling import wire
from edgecap.runtime.telling.outlet import Outlet
from tests import handmade
from tests.played import blocks, play
from tests.pulse import SoundServer, missing
from tests.tones import on_a_pipe

ANY = "tcp://127.0.0.1:*"
PATIENCE_S = 60.0
MOST_MB = 8.0
"""What a further room may cost: its encoder's state, its windows, its working arrays."""


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[SoundServer]:
    lacking = missing()
    if lacking and os.environ.get("CI") == "true":
        pytest.fail(f"CI must have {lacking}")
    if lacking:
        pytest.skip(f"needs {lacking}")
    with tempfile.TemporaryDirectory(prefix="edgecap-") as folder, SoundServer(Path(folder)) as running:
        for name, value in running.environment().items():
            monkeypatch.setenv(name, value)
        yield running


def said_alone(samples: Samples) -> list[tuple[str, str]]:
    alone = Session(handmade.model())
    return [(each.kind, each.text) for each in captions(alone.push(samples) + alone.finish())]


@pytest.mark.mic
def test_two_files_a_pipe_and_a_microphone_share_a_daemon(server: SoundServer, tmp_path: Path) -> None:
    """The microphone's device goes while the others are captioned: they say what each would say alone."""
    quiet = handmade.silence(2.5)
    sounds = {
        "kitchen": np.concatenate([quiet, handmade.dog(2), quiet, handmade.bell(2), quiet]),
        "nursery": np.concatenate([quiet, handmade.rain(4), quiet, handmade.dog(2), quiet]),
        "door": np.concatenate([quiet, handmade.bell(2), quiet, handmade.rain(3), quiet]),
    }
    sounds = {
        name: (samples * 32767).round().astype(np.int16).astype(np.float32) / 32768
        for name, samples in sounds.items()
    }
    for name in ("kitchen", "nursery"):
        soundfile.write(tmp_path / f"{name}.wav", sounds[name], RATE, subtype="PCM_16")
    reading, writing = os.pipe()
    rooms = (
        RoomConfig(room="kitchen", source=Source("file", str(tmp_path / "kitchen.wav"))),
        RoomConfig(room="nursery", source=Source("file", str(tmp_path / "nursery.wav"))),
        RoomConfig(room="door", source=Source("stdin")),
        RoomConfig(room="den", source=Source("microphone", "room")),
    )
    states: list[str] = []
    heard, gone = threading.Event(), threading.Event()

    def watch(message: wire.CaptionMessage | wire.StatusMessage) -> None:
        if isinstance(message, wire.StatusMessage) and message.room == "den":
            states.append(message.state)
            if message.state in ("listening", "quiet"):
                heard.set()
            if message.state == "no-microphone" and heard.is_set():
                gone.set()

    with os.fdopen(reading, "rb", buffering=0) as pipe:
        feeds: dict[str, Feed] = {"door": feed_of(on_a_pipe(pipe, Raw()), is_live=True)}
        outlet: Outlet[wire.CaptionMessage | wire.StatusMessage] = Outlet("test", watch)
        daemon = Daemon(
            Config(publish=ANY, replay=ANY, rooms=rooms), handmade.model(), "m", feeds=feeds, outlets=[outlet]
        )
        runner = threading.Thread(target=daemon.run)
        runner.start()
        assert heard.wait(PATIENCE_S)
        server.unplug("room")
        assert gone.wait(PATIENCE_S)
        with os.fdopen(writing, "wb") as sink:  # only now: the pipe is captioned while the microphone is away
            sink.write((sounds["door"] * 32768).astype("<i2").tobytes())
        for name in sounds:
            daemon.rooms[name].over.wait(PATIENCE_S)
        daemon.stop()
        runner.join(PATIENCE_S)
        assert not runner.is_alive()
        assert outlet.close(PATIENCE_S)
    for name, samples in sounds.items():
        assert [(m.event, m.text) for m in daemon.rooms[name].log.missed(0, 0)] == said_alone(samples)
    assert states[-1] == "stopping"


MEMORY = """
import sys
from pathlib import Path
from edgecap.runtime.model.bundle import Bundle
from edgecap.runtime.session import Model, Session
from edgecap.runtime.sound.opener import recording_blocks
def resident_mb():
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096 / 1e6
model = Model.load(Bundle.open("room-small"))
blocks = [block.samples for block in recording_blocks(Path(sys.argv[1]))]
def listen(sessions):
    for session in sessions:
        for samples in blocks * 3:
            session.push(samples)
first = [Session(model)]
listen(first)
before = resident_mb()
more = [Session(model) for _ in range(8)]
listen(more)
print((resident_mb() - before) / len(more))
"""


def test_a_further_room_costs_little_memory() -> None:
    clip = Path(__file__).parents[1] / "data" / "clips" / "dog_bark.opus"
    done = subprocess.run(
        [sys.executable, "-c", MEMORY, str(clip)], capture_output=True, text=True, check=True
    )
    assert float(done.stdout) <= MOST_MB, f"{float(done.stdout):.1f} MB a room"


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
