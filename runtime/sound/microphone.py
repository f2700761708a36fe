"""Microphone: PyAudio, by the few rules under which PortAudio neither hangs nor crashes.

Callback mode only; the callback copies bytes into a ring. A stream is closed, never stopped
(`stop_stream` hangs on a suspended source). Device indices change with every `PyAudio()`, so a
device is found anew by name each time, and an index is checked: PortAudio crashes on a foreign one.
"""

import time
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from typing import Any, NamedTuple

import numpy as np

from ..audio import RATE
from ..errors import MicrophoneError
from .blocks import BLOCK_S, Block, Converter, Delivery
from .devices import choose, inputs_of, stable_name
from .frame_count import FrameCount
from .meter import Reading
from .portaudio import PORTAUDIO, quiet_refusal
from .ring import Ring
from .sound_server import Attachment, widest_source
from .source import MIX, Mixing

RATES = (RATE, 48_000, 44_100)
"""What is tried in turn: many devices have no 32 kHz."""
MOST_CHANNELS = 8
"""Of a card, from the first on: no room needs more, and each costs. One that is named is among them."""
UNSUPPORTED = (-9997, -9998, -9994)
"""PortAudio's invalid rate, channel count and format: the next combination may do."""
OVERFLOW = 2
"""PortAudio's paInputOverflow."""
FOLLOWERS = ("default", "pulse", "pipewire", "sysdefault")
"""Devices that stand for whatever the sound server prefers; being moved is their purpose."""


class _Chunk(NamedTuple):
    data: bytes
    arrived_at: float


class Microphone:
    """An open microphone. What ends it is told by silence alone, so whoever reads watches the time."""

    _stream: Any = None
    _server: Attachment | None = None

    def __init__(
        self, wanted: str, mixing: Mixing = MIX, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """Opens it, with all its channels. Raises MicrophoneError where it is missing or refuses, DataError
        where it has no such channel as is to be heard alone, else as `devices` does."""
        self._clock, self._mixing = clock, mixing
        with PORTAUDIO.turn():
            self._audio = PORTAUDIO.start()
            try:
                self.device = choose(inputs_of(self._audio), wanted)
                self._server = Attachment() if self.device.name not in FOLLOWERS else None
                with self._server.watching() if self._server else nullcontext():
                    self._stream, self.rate, self.channels = self._open()
                self._converter = Converter(self.rate, self.channels, mixing, f"Microphone {self.name!r}")
            except BaseException as refused:
                self._let_go()
                if isinstance(refused, MicrophoneError):
                    PORTAUDIO.look_again()
                raise
        self._expected_frame = self._base = self._produced = 0

    @property
    def name(self) -> str:
        """What `edgecap devices` calls it."""
        return self.device.name

    def read(self, timeout_s: float) -> Delivery | None:
        """The next block; None where none came in time. A gap shows in the block's index."""
        item = self._ring.get(timeout_s)
        if item is None:
            return None
        if item.index > self._expected_frame:  # a gap: what the resampler holds back is from before it
            self._converter.flush()
            self._base, self._produced = round(item.index * RATE / self.rate), 0
        self._expected_frame = item.index + item.size
        frames = np.frombuffer(item.value.data, "<i2")
        samples = self._converter.push(frames)
        block = Block(samples, self._base + self._produced, self._converter.reading)
        self._produced += len(samples)
        return Delivery(block, item.size / self.rate, item.value.arrived_at)

    def reading(self, least_s: int) -> Reading:
        """What is known of it by now; of its channels by no less than so many seconds."""
        return self._converter.judge(least_s)

    def was_moved(self) -> bool | None:
        """Whether the sound server now feeds us from another source. None where it can't be asked.

        PulseAudio and PipeWire move a stream silently to the default source when its own goes, and
        it keeps delivering; nothing in PortAudio tells. Also true while all must close for a moment, so that
        the microphone of another room is found.
        """
        if PORTAUDIO.is_outdated:
            return True
        return self._server.has_changed() if self._server else False

    def close(self) -> None:
        """Let go of the device."""
        with PORTAUDIO.turn():
            self._let_go()

    def _let_go(self) -> None:
        if self._server:
            self._server.close()
        if self._stream:
            self._stream.close()
        PORTAUDIO.stop(self._audio)

    def _open(self) -> tuple[Any, int, int]:
        import pyaudio

        refusal: OSError | None = None
        for rate in RATES:
            for channels in self._channel_counts():
                self._ring: Ring[_Chunk] = Ring(2 * rate)
                try:
                    with quiet_refusal():
                        stream = self._audio.open(
                            rate=rate,
                            channels=channels,
                            format=pyaudio.paInt16,
                            input=True,
                            input_device_index=self.device.index,
                            frames_per_buffer=round(rate * BLOCK_S),
                            stream_callback=self._callback(self._ring, FrameCount(rate)),
                        )
                    return stream, rate, channels
                except OSError as refused:
                    refusal = refused
                    if refused.args[0] not in UNSUPPORTED:
                        raise self._refused(refused) from refused
        raise self._refused(refusal) from refusal

    def _channel_counts(self) -> list[int]:
        """What to ask for in turn: all that there are, then fewer."""
        device = self.device
        there = device.channels
        if stable_name(device) == device.name:  # no card, but a way to the sound server, perhaps
            there = min(there, widest_source(device.name in FOLLOWERS) or 2)
        most = min(there, max(MOST_CHANNELS, self._mixing.channel or 0))
        return [most, *(count for count in (2, 1) if count < most)]

    def _callback(self, ring: Ring[_Chunk], count: FrameCount) -> Callable[..., tuple[None, int]]:
        clock = self._clock

        def copy(data: bytes, frames: int, times: Mapping[str, float], status: int) -> tuple[None, int]:
            # Runs in PortAudio's thread; what is raised here would surface in the main thread.
            try:
                now = clock()
                recorded_at = times["input_buffer_adc_time"]
                ring.skip(count.missing_before(frames, recorded_at, now, bool(status & OVERFLOW)))
                ring.put(_Chunk(data, now), frames)
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


def opener(
    wanted: str, mixing: Mixing = MIX, clock: Callable[[], float] = time.monotonic
) -> Callable[[], Microphone]:
    """What opens the same microphone at each call, under whatever index it comes back."""

    def open_again() -> Microphone:
        nonlocal wanted
        microphone = Microphone(wanted, mixing, clock)
        if wanted.isdecimal():  # an index means another device after the next plug
            wanted = stable_name(microphone.device)
        return microphone

    return open_again
