"""FLAC: a stream of frames after a header whose length is not believed."""

from ..errors import DataError
from .decoder import Ending, Frames
from .kinds import Kind
from .payload import FOREVER, Payload
from .sndfile import Shown, SndfileDecoder
from .stream import Stream

HEAD_BYTES = 42
"""The marker and STREAMINFO, which comes first."""


class FlacDecoder:
    """One FLAC; another one may follow. Raises DataError where its header is cut."""

    def __init__(self, stream: Stream, kind: Kind) -> None:
        head = bytearray(stream.read(HEAD_BYTES))
        if len(head) < HEAD_BYTES:
            raise DataError(
                f"{stream.name} holds no sound", why=f"it is {kind.name} that ends within its header"
            )
        total = int.from_bytes(head[21:26], "big") & (1 << 36) - 1
        head[21] &= 0xF0
        head[22:26] = bytes(4)  # 0: unknown
        self._total = total or None
        self._decoder = SndfileDecoder(
            Shown(Payload(stream, FOREVER, kind).read_some, head=bytes(head)), stream.name
        )
        self.rate, self.channels = self._decoder.rate, self._decoder.channels

    def read(self, count: int) -> Frames:
        return self._decoder.read(count)

    def ending(self) -> Ending:
        return Ending(promised=self._total, damages=self._decoder.ending().damages)
