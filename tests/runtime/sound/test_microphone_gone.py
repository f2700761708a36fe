"""A microphone that goes, hangs or was never there: it is missed, and comes back by itself."""

import time
from pathlib import Path

import numpy as np
import pytest
import soundfile

from edgecap.runtime.audio import RATE
from edgecap.runtime.sound.portaudio import PORTAUDIO
from tests.listener import ROOM, Listener, noise_file
from tests.pulse import SoundServer


@pytest.mark.mic
@pytest.mark.parametrize("gone", [ROOM, "other"])
def test_of_two_microphones_the_one_that_goes_is_missed_and_no_other(server: SoundServer, gone: str) -> None:
    """PulseAudio moves its stream to the other's source, so that both hear the same there."""
    server.plug("other")
    with Listener() as room, Listener("other") as other:
        listeners = {ROOM: room, "other": other}
        lost, kept = listeners.pop(gone), next(iter(listeners.values()))
        for listener in (lost, kept):
            listener.until(listener.is_healthy, 5)
        server.unplug(gone)
        while lost.capture.health != "lost":
            lost.listen(0.1)
            kept.listen(0.1)
        assert kept.is_healthy()
        assert "lost" not in kept.health
        assert kept.capture.lost == 0
        server.plug(gone)  # plugging the default one, PulseAudio moves all streams there
        while not (lost.is_healthy() and kept.is_healthy() and len(set(server.streams())) == 2):
            lost.listen(0.1)
            kept.listen(0.1)


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
@pytest.mark.parametrize("step", [0, 1], ids=["zeros", "dither"])
def test_nothing_but_zeros_is_said_within_thirty_seconds(
    server: SoundServer, tmp_path: Path, step: int
) -> None:
    path, _ = noise_file(tmp_path, 2)
    silence = np.random.default_rng(1).integers(-step, step + 1, 40 * RATE).astype(np.int16)
    soundfile.write(tmp_path / "silence.wav", silence, RATE)
    with server.play(tmp_path / "silence.wav") as player, Listener() as listener:
        listener.until(lambda: listener.capture.health == "zeros", 30)
        listener.listen(1)
        assert listener.health == ["starting", "healthy", "zeros"]
        player.kill()
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
def test_a_microphone_that_came_after_another_was_opened_is_found(
    server: SoundServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """PortAudio lists the devices for its first user only, so all must let go of it for a moment."""
    cards = tmp_path / "cards"
    cards.write_text(" 0 [Room]\n")
    monkeypatch.setattr(PORTAUDIO, "_cards", cards)
    configuration = server.folder / ".asoundrc"
    with_other = configuration.read_text()
    configuration.write_text(with_other[: with_other.index("pcm.other")])
    try:
        with Listener() as room, Listener("other") as other:
            room.until(room.is_healthy, 5)
            other.until(lambda: other.capture.health == "lost", 5)
            server.plug("other")
            configuration.write_text(with_other)
            for _ in range(20):
                other.listen(0.1)
                room.listen(0.1)
            assert other.capture.health == "lost"  # no card has come, so nobody was disturbed
            assert room.capture.lost == 0
            cards.write_text(" 0 [Room]\n 1 [Other]\n")
            while not (other.is_healthy() and room.is_healthy()):
                room.listen(0.1)
                other.listen(0.1)
            assert 0 < room.capture.lost < 4 * RATE
    finally:
        configuration.write_text(with_other)
