"""The microphone through a real PulseAudio, PortAudio and PyAudio: exact, and back whenever it goes."""

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile
import zmq

from edgecap.runtime.audio import RATE, Samples
from edgecap.runtime.config.schema import Config
from edgecap.runtime.daemon import HUNG_EXIT, Daemon
from edgecap.runtime.errors import MicrophoneError
from edgecap.runtime.events import Event
from edgecap.runtime.sound.capture import Capture
from edgecap.runtime.sound.devices import Device, choose, devices, stable_name
from edgecap.runtime.sound.microphone import Microphone, opener
from edgecap.runtime.sound.source import Source
from edgecap.runtime.telling import wire
from edgecap.runtime.telling.outlet import Outlet
from tests import handmade
from tests.pulse import SoundServer, missing

ROOM = "room"


@pytest.fixture(scope="module")
def machine() -> Iterator[SoundServer]:
    lacking = missing()
    if lacking and os.environ.get("CI") == "true":
        pytest.fail(f"CI must have {lacking}")
    if lacking:
        pytest.skip(f"needs {lacking}")
    with tempfile.TemporaryDirectory(prefix="edgecap-") as folder, SoundServer(Path(folder), ROOM) as running:
        yield running


@pytest.fixture
def server(machine: SoundServer) -> Iterator[SoundServer]:
    """The server, in this process's environment, with the room's microphone and no other left behind."""
    with machine.in_this_process():
        yield machine
        machine.unplug("other")
        machine.unplug(ROOM)
        machine.plug(ROOM)


class Listener:
    """A running capture, and all that it brought."""

    def __init__(self, wanted: str = ROOM) -> None:
        self.capture = Capture(opener(wanted))
        self.parts: list[Samples] = []
        self.position = 0
        self.gaps: list[int] = []
        self.health: list[str] = []
        self.started_at = time.monotonic()

    def __enter__(self) -> "Listener":
        self.capture.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.capture.stop()

    def until(self, true: Callable[[], bool], within_s: float) -> float:
        """Listen until it is true; how long that took. Fails after `within_s`."""
        start = time.monotonic()
        while not true():
            assert time.monotonic() - start < within_s, f"not within {within_s} s: {self.health}"
            self._take()
        return time.monotonic() - start

    def listen(self, seconds: float) -> None:
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self._take()

    def late_s(self) -> float:
        """By how much the count of samples is behind the time that has passed."""
        return time.monotonic() - self.started_at - self.position / RATE

    def is_healthy(self) -> bool:
        return self.capture.health == "healthy"

    def _take(self) -> None:
        item = self.capture.ring.get(0.05)
        if self.capture.health not in self.health[-1:]:
            self.health.append(self.capture.health)
        if item is not None:
            if item.index > self.position:
                self.gaps.append(item.index - self.position)
            self.parts.append(item.value.samples)
            self.position = item.index + item.size


def noise_file(folder: Path, seconds: float) -> tuple[Path, Samples]:
    noise = np.random.default_rng(5).integers(-9000, 9000, round(seconds * RATE)).astype(np.int16)
    path = folder / "noise.wav"
    soundfile.write(path, noise, RATE)
    return path, noise / np.float32(32768)


@pytest.mark.mic
def test_devices_are_listed_by_name(server: SoundServer) -> None:
    found = devices()
    assert {ROOM, "default", "pulse"} <= {device.name for device in found}
    assert [device.name for device in found if device.is_default] == ["default"]
    assert all(device.channels > 0 for device in found)


@pytest.mark.mic
def test_what_is_played_comes_back_sample_for_sample(server: SoundServer, tmp_path: Path) -> None:
    path, noise = noise_file(tmp_path, 3)
    with Listener() as listener:
        listener.until(listener.is_healthy, 3)
        with server.play(path) as player:
            listener.listen(3.5)
            assert player.wait(5) == 0
        assert listener.gaps[1:] == []
        assert listener.capture.lost == 0
    heard = np.concatenate(listener.parts)
    start = int(np.flatnonzero(heard)[0])
    np.testing.assert_array_equal(heard[start : start + len(noise)], noise[np.flatnonzero(noise)[0] :])


@pytest.mark.mic
@pytest.mark.parametrize("other_source", [False, True], ids=["nothing left", "moved to another"])
def test_a_microphone_that_is_unplugged_is_missed_and_comes_back(
    server: SoundServer, other_source: bool
) -> None:
    """With another source left, PulseAudio moves the stream there within 0.1 s and it keeps delivering."""
    if other_source:
        server.plug("other")
    with Listener() as listener:
        listener.until(listener.is_healthy, 3)
        listener.listen(1.2)
        server.unplug(ROOM)
        assert listener.until(lambda: listener.capture.health == "lost", 5) < 2.5
        listener.listen(1)
        assert server.streams() == []
        server.plug(ROOM)
        listener.until(listener.is_healthy, 5)
        listener.listen(0.3)
        assert server.streams() == [f"{ROOM}.monitor"]
        assert listener.health[-2:] == ["recovering", "healthy"]
        assert sum(listener.gaps[1:]) == pytest.approx(listener.capture.lost, abs=RATE // 100)
        assert listener.capture.lost > RATE
        assert -0.05 < listener.late_s() < 0.6  # a block in the making, and another in PulseAudio's buffer


@pytest.mark.mic
def test_a_stream_that_was_moved_away_is_fetched_back(server: SoundServer) -> None:
    server.plug("other")
    with Listener() as listener:
        listener.until(listener.is_healthy, 3)
        server.move_streams("other.monitor")
        listener.until(lambda: "lost" in listener.health, 5)
        listener.until(listener.is_healthy, 5)
        assert server.streams() == [f"{ROOM}.monitor"]


@pytest.mark.mic
def test_an_audio_server_that_is_restarted_is_found_again(server: SoundServer) -> None:
    with Listener() as listener:
        listener.until(listener.is_healthy, 3)
        server.stop()
        listener.until(lambda: listener.capture.health == "lost", 5)
        server.start()
        listener.until(listener.is_healthy, 5)


@pytest.mark.mic
def test_a_suspended_source_does_not_hang_anything(server: SoundServer) -> None:
    with Listener() as listener:
        listener.until(listener.is_healthy, 3)
        server.tell("suspend-sink", ROOM, "1")
        listener.until(lambda: listener.capture.health == "lost", 5)
        listener.listen(1)
        server.tell("suspend-sink", ROOM, "0")
        listener.until(listener.is_healthy, 5)


@pytest.mark.mic
def test_it_waits_where_there_is_no_microphone_yet(server: SoundServer) -> None:
    server.unplug(ROOM)
    with Listener() as listener:
        listener.until(lambda: listener.capture.health == "lost", 3)
        listener.listen(1)
        server.plug(ROOM)
        listener.until(listener.is_healthy, 5)


@pytest.mark.mic
def test_a_sound_server_that_freezes_is_missed_and_found_again(server: SoundServer) -> None:
    """Every call to it hangs meanwhile, in C."""
    with Listener() as listener:
        listener.until(listener.is_healthy, 3)
        listener.listen(1.2)
        server.freeze()
        listener.until(lambda: listener.capture.health == "lost", 5)
        listener.listen(2.5)
        assert listener.capture.hung_s(time.monotonic()) > 2
        server.thaw()
        listener.until(listener.is_healthy, 5)


@pytest.mark.slow
@pytest.mark.mic
def test_nothing_but_zeros_is_said_within_thirty_seconds(server: SoundServer, tmp_path: Path) -> None:
    path, _ = noise_file(tmp_path, 2)
    with Listener() as listener:
        listener.until(lambda: listener.capture.health == "zeros", 30)
        listener.listen(1)
        assert listener.health == ["starting", "healthy", "zeros"]
        with server.play(path):
            listener.until(listener.is_healthy, 5)


@pytest.mark.mic
def test_mute_closes_the_device(server: SoundServer) -> None:
    with Listener() as listener:
        listener.until(listener.is_healthy, 3)
        listener.capture.mute(True)
        start = time.monotonic()
        while server.streams():
            assert time.monotonic() - start < 1
        listener.listen(1)
        assert listener.capture.health == "muted"
        listener.capture.mute(False)
        listener.until(listener.is_healthy, 2)
        listener.listen(0.3)
        assert -0.05 < listener.late_s() < 0.6  # time went on
        assert listener.capture.lost == 0  # but nothing was lost


@pytest.mark.mic
def test_opening_what_is_not_there_is_one_sentence_and_no_noise(
    server: SoundServer, capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(
        MicrophoneError, match="There is no microphone 'cellar': there are 0 'pulse'"
    ) as refused:
        Microphone("cellar")
    assert refused.value.code == 66
    with pytest.raises(MicrophoneError, match="There is no microphone '99'"):
        Microphone("99")
    server.unplug(ROOM)
    with pytest.raises(MicrophoneError, match="Microphone 'room' can't be opened"):
        Microphone(ROOM)
    assert capfd.readouterr().err == ""


FOUND = [
    Device(0, "USB Audio: - (hw:1,0)", 1, 48_000, False),
    Device(1, "usb", 1, 48_000, False),
    Device(2, "default", 2, 48_000, True),
]


@pytest.mark.parametrize(
    ("wanted", "index"), [("default", 2), ("0", 0), ("usb", 1), ("USB", 0), ("audio", 0), ("DEF", 2)]
)
def test_a_microphone_is_meant_by_index_name_or_a_part_of_it(wanted: str, index: int) -> None:
    assert choose(FOUND, wanted).index == index


def test_a_name_to_come_back_to_has_no_card_number() -> None:
    assert stable_name(FOUND[0]) == "USB Audio: -"
    assert choose(FOUND, stable_name(FOUND[0])).index == 0


def test_no_microphone_at_all_is_said() -> None:
    with pytest.raises(MicrophoneError, match=r"There is no microphone\. Connect one"):
        choose([], "default")


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

    session.push = dawdle  # type: ignore[method-assign]
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


@pytest.mark.mic
def test_a_closed_stderr_is_no_reason_to_fail(server: SoundServer) -> None:
    code = "from edgecap.runtime.sound.devices import devices; print([each.name for each in devices()])"
    command = f"exec {sys.executable} -c '{code}' 2>&-"
    done = subprocess.run(
        ["sh", "-c", command],
        capture_output=True,
        text=True,
        env=server.environment(),
        timeout=60,
        check=False,
    )
    assert done.returncode == 0
    assert ROOM in done.stdout
