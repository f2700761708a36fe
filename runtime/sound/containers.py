"""Containers: what FFmpeg decodes through PyAV, where it is installed: MP4, WebM, AAC, WMA, AMR and more.

FFmpeg is told which container it reads and may open nothing but what it is given: a list of addresses in
disguise must not make it reach for files or a network.
"""

from collections import deque
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import DataError, UnavailableError
from .decoder import Ending, Frames, as_frames, no_frames
from .kinds import Kind
from .stream import Stream

if TYPE_CHECKING:
    from av.container import InputContainer

SAVE = "save it first, as a file"
INSTALL = "install it: pip install 'edgecap[network]'; or convert the recording: ffmpeg -i IN OUT.wav"
ALONE = {"protocol_whitelist": "none", "probesize": "65536", "analyzeduration": "1000000"}
"""Opens nothing else, and looks no further ahead than it must: a live pipe has no more yet."""
MOST_FAILURES = 100
SLACK_S = 0.3
"""A container rounds its length, and counts what its codec needs before and after the sound."""


class _Bytes:
    """What PyAV reads: a stream, with seeking where it is a file's."""

    def __init__(self, stream: Stream) -> None:
        self._stream = stream
        self.error: BaseException | None = None
        if not stream.is_pipe:
            self.seek, self.tell = self._seek, self._tell

    def read(self, size: int) -> bytes:
        try:
            return self._stream.read_some(size)
        except BaseException as error:  # FFmpeg can't pass it on
            self.error = error
            return b""

    def _seek(self, offset: int, whence: int = 0) -> int:
        stream = self._stream
        assert stream.length is not None
        position = offset + (0, stream.position, stream.length)[whence]
        stream.seek(position)
        return position

    def _tell(self) -> int:
        return self._stream.position


class ContainerDecoder:
    """The first sound in a container. Raises UnavailableError without PyAV, DataError where there is none."""

    def __init__(self, stream: Stream, kind: Kind) -> None:
        try:
            import av
        except ImportError as missing:
            raise UnavailableError(
                f"{stream.name} can't be read", why=f"it is {kind.name}, which needs PyAV", fix=INSTALL
            ) from missing
        self._failures = av.FFmpegError
        self._resampler_of = av.AudioResampler
        self._bytes = _Bytes(stream)
        self._damages = self._given = 0
        self._held: deque[Frames] = deque()
        self._held_frames = 0
        try:
            self._container: InputContainer = av.open(
                self._bytes, mode="r", format=kind.demuxer, options=ALONE
            )
        except (av.FFmpegError, ValueError) as refused:
            self._raise_what_stopped()
            raise _unreadable(stream, kind, refused) from refused
        if not self._container.streams.audio:
            raise DataError(f"{stream.name} holds no sound", why=f"it is {kind.name} without any")
        self._audio = self._container.streams.audio[0]
        if self._audio.codec_context is None:  # a codec that FFmpeg has not got
            raise _unreadable(stream, kind)
        self.rate = int(self._audio.rate or 0)
        self.channels = int(self._audio.channels or 0)
        self._pieces = self._decode()
        self._hold(1)  # some codecs tell their rate only now
        if not (self.rate and self.channels and self._held_frames):
            raise _unreadable(stream, kind)

    def read(self, count: int) -> Frames:
        self._hold(count)
        parts = [no_frames(self.channels)]
        while self._held and count:
            part = self._held.popleft()
            if len(part) > count:
                self._held.appendleft(part[count:])
                part = part[:count]
            parts.append(part)
            count -= len(part)
            self._held_frames -= len(part)
            self._given += len(part)
        return np.concatenate(parts)

    def ending(self) -> Ending:
        promised = (self._container.duration or 0) / 1e6  # of microseconds
        is_short = self._given / self.rate < promised - SLACK_S
        return Ending(round(promised * self.rate) if is_short else None, damages=self._damages)

    def _hold(self, count: int) -> None:
        while self._held_frames < count and (part := next(self._pieces, None)) is not None:
            self._held.append(part)
            self._held_frames += len(part)
        self._raise_what_stopped()

    def _raise_what_stopped(self) -> None:
        if self._bytes.error:
            raise self._bytes.error

    def _decode(self) -> Iterator[Frames]:
        resampler: Any = None
        packets = self._container.demux(self._audio)
        failures = 0
        while failures < MOST_FAILURES:
            try:
                packet = next(packets, None)
                if packet is None:
                    return
                for frame in packet.decode():
                    if resampler is None:
                        self.rate, self.channels = frame.sample_rate, frame.layout.nb_channels
                        resampler = self._resampler_of(
                            format="flt", layout=frame.layout, rate=frame.sample_rate
                        )
                    self._damages += failures  # sound follows; what fails at the end is the end
                    failures = 0
                    for even in resampler.resample(frame):
                        yield as_frames(even.to_ndarray(), self.channels)
            except self._failures:
                failures += 1


def _unreadable(stream: Stream, kind: Kind, refused: Exception | None = None) -> DataError:
    if kind.demuxer == "mov" and stream.is_pipe:
        why = f"it is {kind.name} whose index does not come before its sound"
        return DataError(f"{stream.name} can't be read as it comes", why=why, fix=SAVE)
    if kind.demuxer == "mov":
        why = f"it is {kind.name} whose index is missing, which is written when a recording ends"
    elif refused is None:
        return DataError(f"{stream.name} holds no sound", why=f"nothing in {kind.name} can be decoded")
    else:
        why = f"it is {kind.name} that is damaged: {getattr(refused, 'strerror', None) or refused}"
    return DataError(f"{stream.name} can't be read", why=why)
