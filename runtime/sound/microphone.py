"""Microphone: PyAudio, by the few rules under which PortAudio neither hangs nor crashes.

Callback mode only; the callback copies bytes into a ring. A stream is closed, never stopped
(`stop_stream` hangs on a suspended source). Device indices change with every `PyAudio()`, so a
device is found anew by name each time, and an index is checked: PortAudio crashes on a foreign one.
"""

import os
import re
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from threading import Lock
from typing import Any, NamedTuple

import msgspec
import numpy as np

from ..audio import RATE
from ..errors import MicrophoneError, UnavailableError
from .blocks import BLOCK_S, Block, Converter
from .ring import Ring

RATES = (RATE, 48_000, 44_100)
CHANNELS = (1, 2)
"""What is tried in turn: many devices have neither 32 kHz nor one channel."""
UNSUPPORTED = (-9997, -9998, -9994)
"""PortAudio's invalid rate, channel count and format: the next combination may do."""
FOLLOWERS = ("default", "pulse", "pipewire", "sysdefault")
"""Devices that stand for whatever the sound server prefers; being moved is their purpose."""


class Device(msgspec.Struct, frozen=True):
    """A microphone, as `edgecap devices` lists it and `run` finds it."""

    index: int
    name: str
    channels: int
    rate: int
    is_default: bool


class Heard(NamedTuple):
    """A block from a microphone. Its index counts from the opening; `arrived_at` is the clock's."""

    block: Block
    length_s: float
    is_zeros: bool
    arrived_at: float


class _Chunk(NamedTuple):
    data: bytes
    arrived_at: float


def devices() -> list[Device]:
    """The microphones that are there now. Raises UnavailableError without PyAudio."""
    audio = _audio()
    try:
        return _inputs(audio)
    finally:
        audio.terminate()


def choose(found: list[Device], wanted: str) -> Device:
    """The device meant by "default", an index, a name or a part of one, whatever its case.

    Raises MicrophoneError, which names those that are there.
    """
    if wanted == "default":
        matches = [device for device in found if device.is_default]
    elif wanted.isdecimal():
        matches = [device for device in found if device.index == int(wanted)]
    else:
        matches = [device for device in found if device.name == wanted]
        matches += [device for device in found if wanted.casefold() in device.name.casefold()]
    if matches:
        return matches[0]
    if not found:
        raise MicrophoneError(
            "There is no microphone", fix="connect one, or caption a recording with `edgecap caption FILE`"
        )
    raise MicrophoneError(
        f"There is no microphone {wanted!r}",
        why="there are " + ", ".join(f"{device.index} {device.name!r}" for device in found),
        fix="choose one of them, or connect it",
    )


def stable_name(device: Device) -> str:
    """Its name without the card's number, which changes when it is plugged in again."""
    return re.sub(r" *\(hw:\d+,\d+\)$", "", device.name)


class Microphone:
    """An open microphone. What ends it is told by silence alone, so whoever reads watches the time."""

    def __init__(self, wanted: str, clock: Callable[[], float] = time.monotonic) -> None:
        """Opens it. Raises MicrophoneError where it is missing or refuses, else as `devices` does."""
        self._clock = clock
        self._audio = _audio()
        try:
            self.device = choose(_inputs(self._audio), wanted)
            self._stream, self.rate, self.channels = self._open()
        except BaseException:
            self._audio.terminate()
            raise
        self._converter = Converter(self.rate, self.channels)
        self._expected_frame = self._base = self._produced = 0
        self._server = _Attachment() if self.device.name not in FOLLOWERS else None

    def read(self, timeout_s: float) -> Heard | None:
        """The next block; None where none came in time. A gap shows in the block's index."""
        item = self._ring.get(timeout_s)
        if item is None:
            return None
        if item.index > self._expected_frame:  # overrun: what the resampler holds back is from before it
            self._converter.flush()
            self._base, self._produced = round(item.index * RATE / self.rate), 0
        self._expected_frame = item.index + item.size
        frames = np.frombuffer(item.value.data, "<i2")
        samples = self._converter.push(frames)
        block = Block(samples, self._base + self._produced)
        self._produced += len(samples)
        return Heard(block, item.size / self.rate, not frames.any(), item.value.arrived_at)

    def was_moved(self) -> bool | None:
        """Whether the sound server now feeds us from another source. None where it can't be asked.

        PulseAudio and PipeWire move a stream silently to the default source when its own goes, and
        it keeps delivering; nothing in PortAudio tells.
        """
        return self._server.has_changed() if self._server else False

    def close(self) -> None:
        """Let go of the device."""
        if self._server:
            self._server.close()
        self._stream.close()
        self._audio.terminate()

    def _open(self) -> tuple[Any, int, int]:
        import pyaudio

        refusal: OSError | None = None
        for rate in RATES:
            for channels in CHANNELS:
                if channels > self.device.channels:
                    continue
                self._ring: Ring[_Chunk] = Ring(2 * rate)
                try:
                    with _quiet_stderr():
                        stream = self._audio.open(
                            rate=rate,
                            channels=channels,
                            format=pyaudio.paInt16,
                            input=True,
                            input_device_index=self.device.index,
                            frames_per_buffer=round(rate * BLOCK_S),
                            stream_callback=self._callback(self._ring),
                        )
                    return stream, rate, channels
                except OSError as refused:
                    refusal = refused
                    if refused.args[0] not in UNSUPPORTED:
                        raise self._refused(refused) from refused
        raise self._refused(refusal) from refusal

    def _callback(self, ring: Ring[_Chunk]) -> Callable[..., tuple[None, int]]:
        clock = self._clock

        def copy(data: bytes, frames: int, _times: Mapping[str, float], _status: int) -> tuple[None, int]:
            # Runs in PortAudio's thread; what is raised here would surface in the main thread.
            try:
                ring.put(_Chunk(data, clock()), frames)
            except BaseException as defect:
                ring.close(defect)
            return None, 0  # paContinue

        return copy

    def _refused(self, refusal: OSError | None) -> MicrophoneError:
        return MicrophoneError(
            f"Microphone {self.device.name!r} can't be opened",
            why=f"the sound system says {refusal.args[-1]!r}" if refusal else "it has no input channels",
            fix="check that it is connected and that no other program holds it",
        )


class _Attachment:
    """Which source the sound server connects this process's newest stream to, by its own account."""

    def __init__(self) -> None:
        self._client = _sound_server()
        self._stream: int | None = None
        self._source: int | None = None

    def has_changed(self) -> bool | None:
        """None where there is no sound server to ask, or it does not know our stream (yet)."""
        if self._client is None:
            return None
        import pulsectl

        try:
            streams: dict[int, int] = {
                stream.index: stream.source
                for stream in self._client.source_output_list()
                if stream.proplist.get("application.process.id") == str(os.getpid())
            }
        except pulsectl.PulseError:  # the server has gone, and the stream ends with it
            self.close()
            return None
        if self._stream is None and streams:
            self._stream = max(streams)
        if self._stream not in streams:
            return None
        if self._source is None:
            self._source = streams[self._stream]
        return streams[self._stream] != self._source

    def close(self) -> None:
        if self._client is not None:
            self._client.close()
            self._client = None


def _sound_server() -> Any:
    """A client of PulseAudio, or of PipeWire in its place; None where there is neither."""
    try:
        import pulsectl
    except (ImportError, OSError):  # OSError: libpulse itself is missing
        return None
    client = pulsectl.Pulse("edgecap", connect=False)
    try:
        client.connect()  # refuses at once where there is no server; with a timeout it always waits that long
    except pulsectl.PulseError:
        client.close()
        return None
    return client


def _inputs(audio: Any) -> list[Device]:
    try:
        default = int(audio.get_default_input_device_info()["index"])
    except OSError:
        default = -1
    facts = [audio.get_device_info_by_index(index) for index in range(audio.get_device_count())]
    return [
        Device(
            fact["index"],
            str(fact["name"]),
            fact["maxInputChannels"],
            round(fact["defaultSampleRate"]),
            fact["index"] == default,
        )
        for fact in facts
        if fact["maxInputChannels"] > 0
    ]


def _audio() -> Any:
    try:
        import pyaudio
    except ImportError as missing:
        raise UnavailableError(
            "Microphones need PyAudio",
            why=str(missing),
            fix="run `pip install 'edgecap[mic]'`; it compiles, so first `apt install gcc portaudio19-dev`",
        ) from missing
    with _quiet_stderr():
        return pyaudio.PyAudio()


_stderr = Lock()


@contextmanager
def _quiet_stderr() -> Iterator[None]:
    """ALSA and JACK print some 80 lines to file descriptor 2 at each start, past Python's sys.stderr."""
    with _stderr:
        saved = os.dup(2)
        null = os.open(os.devnull, os.O_WRONLY)
        try:
            os.dup2(null, 2)
            yield
        finally:
            os.dup2(saved, 2)
            os.close(null)
            os.close(saved)
