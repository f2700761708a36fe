"""Files: recordings as blocks of mono 32 kHz, read as a stream."""

import os
import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import soundfile

from ..errors import DataError, InputMissingError
from ..paths import check_readable
from .blocks import BLOCK_S, Block, Converter
from .pipe import UNKNOWN_LENGTH


def file_blocks(path: Path) -> Iterator[Block]:
    """A recording, read as a stream. Raises InputMissingError or DataError, early where it can."""
    with _open(path) as sound:
        converter = Converter(sound.samplerate, sound.channels)
        index = frames_read = 0
        length = max(1, round(sound.samplerate * BLOCK_S))
        while True:
            try:
                frames = sound.read(length, dtype="float32", always_2d=True)
            except soundfile.LibsndfileError as damaged:
                raise _truncated(path, str(damaged.error_string)) from damaged
            frames_read += len(frames)
            at_end = len(frames) < length
            samples = (
                np.concatenate([converter.push(frames), converter.flush()])
                if at_end
                else converter.push(frames)
            )
            if len(samples):
                yield Block(samples, index)
                index += len(samples)
            if at_end:
                break
        if not frames_read:
            raise _empty(path)
        if frames_read < sound.frames:
            raise _truncated(path, f"{frames_read} of {sound.frames} frames are there")


def _open(path: Path) -> soundfile.SoundFile:
    check_readable(path)
    if not path.exists():
        raise InputMissingError(f"{path} does not exist", fix="check the path")
    if path.is_dir():
        raise DataError(f"{path} is a folder", fix="name the recordings in it, one by one or as FOLDER/*.wav")
    try:
        if path.stat().st_size == 0:
            raise _empty(path)
        sound = soundfile.SoundFile(os.fsencode(path))
    except OSError as refused:
        raise DataError(f"{path} can't be read", why=refused.strerror or str(refused)) from refused
    except soundfile.LibsndfileError as refused:
        raise DataError(
            f"{path} is not a recording that can be read",
            why=str(refused.error_string).rstrip("."),
            fix="convert it, for example with `ffmpeg -i IN OUT.wav`",
        ) from refused
    cut = _cut_in_header(sound)
    if cut or not sound.frames:
        sound.close()
        raise _truncated(path, cut) if cut else _empty(path)
    return sound


def _cut_in_header(sound: soundfile.SoundFile) -> str:
    """Why a WAV, AIFF or Ogg is shorter than it says of itself; empty if it is whole.

    libsndfile reads what is there and mentions it in its log only. A length from 2 GiB up is what
    programs write that could not know it: a recording piped to a file, not a cut one.
    """
    if "lacks an end-of-stream bit" in sound.extra_info or "Junk after the last page" in sound.extra_info:
        return "its last page is missing or cut"
    lengths = re.search(r"^ *(?:data|SSND) *: (\d+) \(should be (\d+)\)", sound.extra_info, re.MULTILINE)
    if not lengths:
        return ""
    said, found = map(int, lengths.groups())
    if found >= said or said >= UNKNOWN_LENGTH:
        return ""
    return f"it holds {found} bytes of sound where its header says {said}"


def _empty(path: Path) -> DataError:
    return DataError(f"{path} holds no sound", why="it is empty", fix="record or copy it again")


def _truncated(path: Path, why: str) -> DataError:
    return DataError(f"{path} is truncated or damaged", why=why.rstrip("."), fix="copy or convert it again")
