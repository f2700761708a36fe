"""Opener: whatever sound there is, known by its first bytes, as blocks of mono 32 kHz.

    a file, a pipe, standard input ──► Stream ── first bytes ──► a Decoder for each recording ──► Block

What a recording says of its length decides nothing: it is compared with what came, and told when it is over.
"""

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from ..errors import DataError, EdgecapError
from . import kinds
from .blocks import BLOCK_S, Block, Converter
from .chunks import FAMILIES, open_chunked
from .containers import ContainerDecoder
from .decoder import Decoder
from .dump import DumpDecoder
from .flac import FlacDecoder
from .foreign import open_by_path, open_foreign, open_forward, open_packed
from .headers import open_au, open_htk, open_voc
from .kinds import FOREIGN, LOOK, Kind
from .mpeg import VIEW_BYTES, MpegDecoder, begins, find, tag_bytes
from .notice import Notice
from .ogg import OggDecoder
from .pcm import CODINGS, PcmDecoder
from .raw import Raw, RawDecoder
from .source import MIX, Mixing
from .stream import PIPE_SOMETHING, STANDARD_INPUT, Stream, open_stream

MOST_JUNK = 1 << 18
"""Bytes in which a recording is looked for that does not begin at the beginning: behind a damaged tag."""
HEADERS = {kinds.AU: open_au, kinds.AU_LITTLE: open_au, kinds.HTK: open_htk, kinds.VOC: open_voc}


def recording_blocks(name: Path | str, mixing: Mixing = MIX) -> Iterator[Block]:
    """All the sound in a file or a pipe. Raises as `open_stream` and `sound_blocks` do."""
    with open_stream(name) as stream:
        yield from sound_blocks(stream, mixing=mixing)


def sound_blocks(stream: Stream, raw: Raw | None = None, mixing: Mixing = MIX) -> Iterator[Block]:
    """All the sound in a stream, as it comes: of a live one, a block is given once it has been written.

    raw: how to take bytes that are no recording known here; without it they are refused. Recordings that
    follow one another are heard one after the other. What was missing is logged in the end, in one line.
    Raises DataError, or UnavailableError for want of a library, where there is no sound at all.
    """
    notice = Notice(stream.name)
    index = 0
    try:
        for decoder in _recordings(stream, raw):
            frames = 0
            converter = Converter(decoder.rate, decoder.channels, mixing, stream.name)
            for samples, count in _converted(decoder, converter):
                frames += count
                if len(samples):
                    yield Block(samples, index, converter.reading)
                    index += len(samples)
            notice.ended(decoder.ending(), frames, decoder.rate)
    except EdgecapError as broken:
        if not index:
            raise
        notice.stopped(broken.why or broken.what)
    if not index:
        raise _no_sound(stream)
    notice.tell(index)


def _converted(decoder: Decoder, converter: Converter) -> Iterator[tuple[np.ndarray, int]]:
    """(mono samples at 32 kHz, frames that they were) of one recording, a block at a time."""
    length = max(1, round(decoder.rate * BLOCK_S))
    at_end = False
    while not at_end:
        frames = decoder.read(length)
        at_end = len(frames) < length
        samples = converter.push(frames)
        yield (np.concatenate([samples, converter.flush()]) if at_end else samples), len(frames)


def _recordings(stream: Stream, raw: Raw | None) -> Iterator[Decoder]:
    """A decoder for each recording in a stream, given when the one before it has been read to its end."""
    yield _first(stream, raw)
    while decoder := _known(stream) or _mpeg(stream, VIEW_BYTES):
        yield decoder


def _first(stream: Stream, raw: Raw | None) -> Decoder:
    """For the beginning of a stream. Raises DataError for what is no recording, nor raw samples."""
    if decoder := _known(stream):
        return decoder
    view = stream.peek(LOOK)
    if not view:
        raise _no_sound(stream)
    what = next((name for name, magic in FOREIGN.items() if view.startswith(magic)), None)
    if what or kinds.is_text(view):
        raise DataError(f"{stream.name} is not a recording", why=f"it is {what or 'text'}")
    # Raw samples must not wait for more than the block that they are given in.
    ahead = _block_bytes(raw) if raw else MOST_JUNK
    if (at := kinds.found(stream.peek(ahead))) is not None:
        stream.skip(at)
        if decoder := _known(stream):
            return decoder
    if decoder := _mpeg(stream, ahead):
        return decoder
    if raw:
        return RawDecoder(stream, raw)
    is_like_mpeg = view[0] == 0xFF  # in which libsndfile would look for frames, and print about it
    if not stream.is_pipe and not is_like_mpeg:
        return open_by_path(stream)
    raise _unknown(stream)


def _unknown(stream: Stream) -> DataError:
    raw = "for raw samples: edgecap run --source stdin --sample s16le --rate 32000"
    return DataError(f"{stream.name} is not a recording that is known here", fix=raw)


def _block_bytes(raw: Raw) -> int:
    return min(VIEW_BYTES, round(raw.rate * BLOCK_S) * raw.channels * CODINGS[raw.sample].width)


def _mpeg(stream: Stream, ahead: int) -> Decoder | None:
    """For frames of MPEG audio that begin further on, in a recording whose beginning was cut off.

    ahead: how many bytes may be waited for to see it.
    """
    view = stream.peek(ahead)
    return MpegDecoder(stream) if find(view, is_all=len(view) < ahead) is not None else None


def _known(stream: Stream) -> Decoder | None:
    """For a recording whose kind its first bytes tell, behind any tags."""
    while size := tag_bytes(stream.peek(10)):
        stream.skip(size)
    start = stream.position
    kind = kinds.recognised(stream.peek(LOOK))
    if kind is None:
        return MpegDecoder(stream) if begins(stream) else None
    refused: EdgecapError | None = None
    for opens in _ways(kind):
        if stream.position != start:
            stream.seek(start)
        try:
            return opens(stream, kind)
        except EdgecapError as error:
            refused = refused or error
            if stream.is_pipe and stream.position != start:
                break
    assert refused
    raise refused


def _ways(kind: Kind) -> Iterator[Callable[[Stream, Kind], Decoder]]:
    """What decodes a kind, the best first. A pipe can be read once, so there the first must do."""
    if kind in FAMILIES or kind in HEADERS:
        yield _open_container
    elif kind is kinds.FLAC:
        yield FlacDecoder
    elif kind is kinds.OGG:
        yield OggDecoder
    elif kind in kinds.FORWARD:
        yield open_forward
        yield open_by_path
    elif kind is kinds.DUMP:
        yield DumpDecoder
    elif kind is kinds.CAF_PACKED:
        yield open_packed
        yield open_by_path
    if kind.demuxer:
        yield ContainerDecoder


def _open_container(stream: Stream, kind: Kind) -> Decoder:
    opened = HEADERS[kind](stream, kind) if kind in HEADERS else open_chunked(stream, kind, FAMILIES[kind])
    form = opened.form
    if form.coding is None:
        return open_foreign(stream, kind, opened)
    return PcmDecoder(opened.payload, form.coding, form.rate, form.channels)


def _no_sound(stream: Stream) -> DataError:
    unsaid = "the program before the pipe wrote no sound"
    if stream.name == STANDARD_INPUT:
        return DataError("Nothing came on standard input", why=unsaid, fix=PIPE_SOMETHING)
    if stream.is_pipe:
        return DataError(f"Nothing came through {stream.name}", why=unsaid)
    why = "there is nothing behind its header" if stream.length else "it is empty"
    return DataError(f"{stream.name} holds no sound", why=why, fix="check that it was copied whole")
