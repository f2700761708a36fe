"""Dump: MIDI's sample dump, packets of 7-bit bytes. libsndfile knows it, but not where it ends."""

import numpy as np

from ..errors import DataError
from .decoder import Ending, Frames, no_frames
from .headers import cut_in_header
from .kinds import Kind
from .stream import Stream

HEAD_BYTES = 21
PACKET_BYTES = 127
DATA = slice(5, 125)
"""Of a packet: what holds samples."""


class DumpDecoder:
    """One dump, packet by packet. Raises DataError where its header is cut."""

    channels = 1

    def __init__(self, stream: Stream, kind: Kind) -> None:
        head = stream.read(HEAD_BYTES)
        if len(head) < HEAD_BYTES:
            raise cut_in_header(stream, kind)
        self.rate = round(1e9 / max(1, _number(head[7:10])))
        self._width = -(-head[6] // 7)  # bytes of a sample
        if not (1 <= self._width <= 4 and 1_000 <= self.rate <= 384_000):
            why = f"it is {kind.name} of {head[6]} bits at {self.rate} Hz"
            raise DataError(f"{stream.name} can't be read", why=why)
        self._promised = _number(head[10:13])
        self._stream = stream
        self._held = no_frames(1)
        self._given = 0

    def read(self, count: int) -> Frames:
        while len(self._held) < count and (packet := self._packet()) is not None:
            self._held = np.concatenate([self._held, packet])
        frames, self._held = self._held[:count], self._held[count:]
        beyond = self._given + len(frames) - self._promised
        if len(frames) < count and 0 < beyond < DATA.stop - DATA.start:  # the last packet is filled up
            frames = frames[:-beyond]
        self._given += len(frames)
        return frames

    def ending(self) -> Ending:
        return Ending(self._promised)

    def _packet(self) -> Frames | None:
        if self._stream.peek(PACKET_BYTES)[:4:3] != b"\xf0\x02":
            return None
        packet = self._stream.read(PACKET_BYTES)
        if len(packet) < PACKET_BYTES:
            return None
        sevens = np.frombuffer(packet[DATA], np.uint8).astype(np.int64).reshape(-1, self._width)
        samples = sevens @ (1 << 7 * np.arange(self._width)[::-1])
        half = 1 << 7 * self._width - 1
        return (samples[:, None] / half - 1).astype(np.float32)


def _number(sevens: bytes) -> int:
    return sevens[0] | sevens[1] << 7 | sevens[2] << 14
