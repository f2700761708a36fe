"""PCM: samples as they are, of any width, as frames."""

import io
from typing import Any, NamedTuple

import soundfile

from .decoder import Ending, Frames, as_frames, no_frames
from .payload import FOREVER, Payload
from .source import Sample


class Coding(NamedTuple):
    """How a sample is written: libsndfile's name for it, its bytes, and which of them comes first."""

    subtype: str
    width: int
    is_big: bool = False


CODINGS: dict[Sample, Coding] = {
    "s16le": Coding("PCM_16", 2),
    "s24le": Coding("PCM_24", 3),
    "s32le": Coding("PCM_32", 4),
    "f32le": Coding("FLOAT", 4),
    "u8": Coding("PCM_U8", 1),
}


def decoded(data: bytes, coding: Coding, channels: int, rate: int = 32_000) -> Frames:
    """Whole frames as float32; a last one that is cut is dropped."""
    data = data[: len(data) - len(data) % (coding.width * channels)]
    if not data:
        return no_frames(channels)
    samples: Any = soundfile.read(
        io.BytesIO(data), dtype="float32", always_2d=True, format="RAW", subtype=coding.subtype,
        samplerate=rate, channels=channels, endian="BIG" if coding.is_big else "LITTLE",
    )[0]  # fmt: skip
    return as_frames(samples, channels)


class PcmDecoder:
    """The samples of a payload."""

    def __init__(self, payload: Payload, coding: Coding, rate: int, channels: int) -> None:
        self.rate, self.channels = rate, channels
        self._payload = payload
        self._coding = coding

    def read(self, count: int) -> Frames:
        frame_bytes = self._coding.width * self.channels
        return decoded(self._payload.read(count * frame_bytes), self._coding, self.channels, self.rate)

    def ending(self) -> Ending:
        stated = self._payload.stated
        promised = None if stated >= FOREVER else stated // (self._coding.width * self.channels)
        return Ending(promised, pieces=self._payload.pieces)
