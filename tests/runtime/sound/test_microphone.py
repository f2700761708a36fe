"""The microphone through a real PulseAudio, PortAudio and PyAudio: exact, and back whenever it goes."""

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
import soundfile

from edgecap.commands.doctor import _microphone
from edgecap.runtime.audio import RATE
from edgecap.runtime.errors import DataError, MicrophoneError
from edgecap.runtime.sound.microphone import Microphone
from edgecap.runtime.sound.source import Mixing, Source
from tests.listener import ROOM, Listener, assert_hears, noise_file, start_of
from tests.pulse import SoundServer


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
    assert_hears(listener.heard, noise)


@pytest.mark.mic
@pytest.mark.parametrize("wanted", [ROOM, "default"])
def test_two_channels_that_are_opposed_do_not_silence_each_other(
    server: SoundServer, tmp_path: Path, wanted: str
) -> None:
    _, noise = noise_file(tmp_path, 1)
    path = tmp_path / "opposed.wav"
    soundfile.write(path, np.stack([noise, -noise], axis=1), RATE)
    server.unplug(ROOM)
    server.plug(ROOM, channels=2)
    with Listener(wanted) as listener:
        listener.until(listener.is_healthy, 3)
        with server.play(path):
            listener.until(lambda: len(listener.heard) - start_of(listener.heard) > RATE, 5)
        start = start_of(listener.heard)
        # The mix's first window, 64 ms, still holds the silence before: how much of it, chance decides.
        heard = listener.heard[start + RATE // 10 : start + RATE - 1000]
    assert np.square(heard).mean() == pytest.approx(np.square(noise).mean(), rel=0.05)


@pytest.mark.mic
@pytest.mark.parametrize(
    ("second", "sentence"), [(-1.0, "channel 2 is of opposite polarity"), (0.0, "channel 2 brings nothing")]
)
def test_doctor_says_what_is_wrong_with_a_channel(
    server: SoundServer, tmp_path: Path, second: float, sentence: str
) -> None:
    _, noise = noise_file(tmp_path, 10)
    path = tmp_path / "two.wav"
    soundfile.write(path, np.stack([noise, second * noise], axis=1), RATE)
    server.unplug(ROOM)
    server.plug(ROOM, channels=2)
    with server.play(path) as player:
        finding = _microphone(Source(name=ROOM))
        player.kill()
    assert finding.verdict == "works"
    assert f"{RATE} Hz, " in finding.found
    assert "2 channels" in finding.found
    assert sentence in finding.found


@pytest.mark.mic
def test_a_channel_that_a_microphone_has_not_is_one_sentence(server: SoundServer) -> None:
    with pytest.raises(DataError, match=r"Microphone 'room' has no channel 2: it has only one\. Choose"):
        Microphone(ROOM, Mixing(channel=2))


@pytest.mark.mic
def test_two_microphones_in_one_process_each_hear_their_own(server: SoundServer, tmp_path: Path) -> None:
    server.plug("other")
    (path, noise), (other_path, other_noise) = noise_file(tmp_path, 3), noise_file(tmp_path, 3, seed=6)
    with Listener() as listener, Listener("other") as other:
        listener.until(listener.is_healthy, 5)
        other.until(other.is_healthy, 5)
        with server.play(path), server.play(other_path, "other"):
            while (len(listener.heard) - start_of(listener.heard)) < len(noise) or (
                len(other.heard) - start_of(other.heard) < len(noise)
            ):
                listener.listen(0.1)
                other.listen(0.1)
    assert listener.capture.lost == other.capture.lost == 0
    assert_hears(listener.heard, noise)
    assert_hears(other.heard, other_noise)


@pytest.mark.mic
@pytest.mark.parametrize("wanted", [ROOM, "default"])
def test_a_short_hole_is_counted(server: SoundServer, wanted: str) -> None:
    """A source that is suspended for 0.7 s: too short to be called lost, and nothing else would tell."""
    with Listener(wanted) as listener:
        listener.until(listener.is_healthy, 5)
        listener.listen(1)
        before = listener.late_s()
        server.tell("suspend-sink", ROOM, "1")
        listener.listen(0.7)
        server.tell("suspend-sink", ROOM, "0")
        listener.until(lambda: listener.capture.lost > 0, 5)
        listener.listen(1)
        assert listener.capture.lost > RATE / 2
        assert listener.capture.lost == sum(listener.gaps[1:])
        assert abs(listener.late_s() - before) < 0.3  # a block, and its waiting


STOPPABLE = """
import sys, threading, time
from edgecap.runtime.audio import RATE
from edgecap.runtime.sound.capture import Capture
from edgecap.runtime.sound.microphone import opener
capture = Capture(opener(sys.argv[1]))
capture.start()
sys.stdin.readline()
start, position = None, 0
threading.Thread(target=lambda: (sys.stdin.readline(), capture.stop()), daemon=True).start()
while True:
    try:
        item = capture.ring.get(None)
    except BaseException:
        break
    if start is None:
        print("begun", flush=True)
        start = item.value.arrived_at - (item.index + item.size) / RATE
    late = item.value.arrived_at - (item.index + item.size) / RATE - start
    position = item.index + item.size
print(capture.lost, position, late)
"""


@pytest.mark.mic
def test_a_process_that_is_stopped_for_a_while_stays_in_step_with_time(server: SoundServer) -> None:
    """What waited for it in the sound server comes after all; what did not is counted."""
    program = subprocess.Popen(
        [sys.executable, "-c", STOPPABLE, ROOM],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=server.environment() | {"PYTHONPATH": str(Path.cwd())},
    )
    with program:
        assert program.stdin is not None
        assert program.stdout is not None
        program.stdin.write("begin\n")
        program.stdin.flush()
        assert program.stdout.readline() == "begun\n"
        time.sleep(1)
        program.send_signal(signal.SIGSTOP)
        time.sleep(0.8)
        program.send_signal(signal.SIGCONT)
        time.sleep(1)
        program.stdin.write("end\n")
        program.stdin.flush()
        lost, position, late = program.stdout.readline().split()
        assert program.wait(30) == 0
    assert int(position) > 2.5 * RATE
    assert abs(float(late)) < 0.3
    assert int(lost) < 2 * RATE  # on a busy machine the microphone is opened anew, which takes a while


@pytest.mark.mic
def test_what_others_write_to_stderr_while_a_microphone_is_opened_is_not_lost(
    server: SoundServer, capfd: pytest.CaptureFixture[str]
) -> None:
    server.unplug(ROOM)  # so that PortAudio has something to say
    opened = threading.Event()
    written = 0

    def write() -> None:
        nonlocal written
        while not opened.is_set():
            os.write(2, b"mine\n")
            written += 1
            time.sleep(0.0005)

    writer = threading.Thread(target=write)
    writer.start()
    try:
        for _ in range(3):
            with pytest.raises(MicrophoneError, match="can't be opened"):
                Microphone(ROOM)
    finally:
        opened.set()
        writer.join()
    assert written > 10
    assert capfd.readouterr().err == "mine\n" * written


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
