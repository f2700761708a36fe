"""A daemon with a real microphone: it survives what happens to it, and says so on the wire."""

import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile
import zmq

from edgecap.runtime.audio import RATE, Samples
from edgecap.runtime.config.schema import Config
from edgecap.runtime.daemon import HUNG_EXIT, Daemon
from edgecap.runtime.events import Event
from edgecap.runtime.sound.source import Source
from edgecap.runtime.telling import wire
from edgecap.runtime.telling.outlet import Outlet
from tests import handmade
from tests.listener import ROOM
from tests.pulse import SoundServer


@pytest.mark.mic
def test_a_daemon_that_falls_behind_drops_counts_and_says_so(server: SoundServer) -> None:
    statuses: list[wire.StatusMessage] = []

    def watch(message: wire.CaptionMessage | wire.StatusMessage) -> None:
        if isinstance(message, wire.StatusMessage):
            statuses.append(message)
            if message.state == "overloaded":
                daemon.stop()

    anywhere = "tcp://127.0.0.1:*"
    config = Config(publish=anywhere, replay=anywhere, source=Source("microphone", ROOM))
    outlet: Outlet[wire.CaptionMessage | wire.StatusMessage] = Outlet("test", watch)
    daemon = Daemon(config, handmade.model(), "handmade 1.0", outlets=[outlet])
    session = daemon.rooms[config.room].session
    push = session.push

    def dawdle(samples: Samples) -> list[Event]:
        session.push = push  # type: ignore[method-assign]  # once
        time.sleep(4.5)  # the ring holds 3 s
        return push(samples)

    session.push = dawdle  # type: ignore[method-assign]  # for one call
    assert daemon.run() == 0
    assert outlet.close(60)
    assert "overloaded" in [status.state for status in statuses]
    assert statuses[-1].gaps > RATE


DAEMON = """
import sys
from edgecap.runtime.config.schema import Config, Source
from edgecap.runtime.daemon import Daemon, run_with_signals
from tests import handmade
anywhere = "tcp://127.0.0.1:*"
config = Config(room="den", publish=anywhere, replay=anywhere, source=Source("microphone", sys.argv[1]))
daemon = Daemon(config, handmade.model(), "handmade 1.0")
print(daemon.publish_endpoint, flush=True)
sys.exit(run_with_signals(daemon))
"""


def in_state(*states: str) -> Callable[[wire.Message], bool]:
    return lambda message: isinstance(message, wire.StatusMessage) and message.state in states


class Reader:
    """Another program's view of the daemon: plain messages from a SUB socket."""

    def __init__(self, endpoint: str) -> None:
        self._context = zmq.Context()
        self._socket = self._context.socket(zmq.SUB)
        self._socket.setsockopt(zmq.LINGER, 0)
        self._socket.subscribe(b"")
        self._socket.connect(endpoint)
        self.messages: list[wire.Message] = []

    def until(self, true: Callable[[wire.Message], bool], within_s: float) -> wire.Message:
        deadline = time.monotonic() + within_s
        while True:
            left_ms = round(1000 * (deadline - time.monotonic()))
            assert left_ms > 0, f"not within {within_s} s; last: {self.messages[-3:]}"
            if self._socket.poll(left_ms):
                message = wire.decode(self._socket.recv_multipart()[1])
                self.messages.append(message)
                if true(message):
                    return message

    def close(self) -> None:
        self._socket.close()
        self._context.term()


@pytest.mark.mic
def test_a_sound_system_that_hangs_for_good_ends_the_daemon_for_systemd_to_restart(
    server: SoundServer,
) -> None:
    impatient = "import edgecap.runtime.daemon as daemon\ndaemon.HUNG_S = 2.5\n"  # not 20 s in a test
    environment = server.environment() | {"PYTHONPATH": str(Path.cwd())}
    program = subprocess.Popen(
        [sys.executable, "-c", impatient + DAEMON, ROOM], stdout=subprocess.PIPE, text=True, env=environment
    )
    with program:
        assert program.stdout is not None
        reader = Reader(program.stdout.readline().strip())
        try:
            reader.until(in_state("listening", "quiet"), 5)
            server.freeze()
            reader.until(in_state("no-microphone"), 5)
            reader.until(in_state("stopping"), 5)
            assert program.wait(5) == HUNG_EXIT
        finally:
            program.kill()
            reader.close()
            server.thaw()


@pytest.mark.mic
def test_a_daemon_survives_its_microphone_and_captions_again(server: SoundServer, tmp_path: Path) -> None:
    def new(message: wire.Message) -> bool:
        return isinstance(message, wire.CaptionMessage) and message.event == "new"

    recording = tmp_path / "bell.wav"
    soundfile.write(recording, np.concatenate([handmade.bell(2), handmade.silence(0.5)]), RATE)
    environment = server.environment() | {"PYTHONPATH": str(Path.cwd())}
    program = subprocess.Popen(
        [sys.executable, "-c", DAEMON, ROOM], stdout=subprocess.PIPE, text=True, env=environment
    )
    with program:
        assert program.stdout is not None
        reader = Reader(program.stdout.readline().strip())
        try:
            reader.until(in_state("listening", "quiet"), 5)
            with server.play(recording):
                reader.until(new, 5)
            server.unplug(ROOM)
            reader.until(in_state("no-microphone"), 5)
            time.sleep(1)
            server.plug(ROOM)
            with server.play(recording), server.play(recording):
                reader.until(new, 5)
            program.send_signal(signal.SIGTERM)
            reader.until(in_state("stopping"), 5)
            assert program.wait(5) == 0
        finally:
            program.kill()
            reader.close()
    for kind in (wire.CaptionMessage, wire.StatusMessage):
        numbers = [message.seq for message in reader.messages if isinstance(message, kind)]
        assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))
