"""Devices: the microphones that PortAudio knows, by names that outlast a restart of it."""

import ctypes
import os
import platform
import re
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from threading import Lock
from typing import Any

import msgspec

from ..errors import MicrophoneError, UnavailableError

PORTAUDIO = Lock()
"""Held around whatever opens or closes: PortAudio counts its users, but not safely, for all threads."""


class Device(msgspec.Struct, frozen=True):
    """A microphone, as `edgecap devices` lists it and `run` finds it."""

    index: int
    name: str
    channels: int
    rate: int
    is_default: bool


def devices() -> list[Device]:
    """The microphones that are there now. Raises UnavailableError without PyAudio."""
    with PORTAUDIO:
        audio = start_portaudio()
        try:
            return inputs_of(audio)
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


def inputs_of(audio: Any) -> list[Device]:
    """The microphones in PortAudio's list, which is as old as the first of those who use it now."""
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


def start_portaudio() -> Any:
    """A PyAudio, to be terminated; PORTAUDIO must be held. Raises UnavailableError where it is missing."""
    try:
        import pyaudio
    except ImportError as missing:
        raise UnavailableError(
            "Microphones need PyAudio",
            why=str(missing),
            fix="run `pip install 'edgecap[mic]'`; it compiles, so first `apt install gcc portaudio19-dev`",
        ) from missing
    _silence_libraries()
    return pyaudio.PyAudio()


@cache
def _silence_libraries() -> None:
    """ALSA and JACK print some 80 lines to standard error at each start, past Python; each is asked not to.

    Standard error itself stays as it is: it belongs to the whole process, and may be closed.
    """
    # A function that takes anything and does nothing, in C: PortAudio's threads must not wait for Python.
    deaf = ctypes.CDLL(None).abs
    for library, setters in (
        ("libasound.so.2", ("snd_lib_error_set_handler",)),
        ("libjack.so.0", ("jack_set_error_function", "jack_set_info_function")),
    ):
        try:
            loaded = ctypes.CDLL(library, mode=os.RTLD_NOW | os.RTLD_NOLOAD)
        except OSError:  # this PortAudio was built without it
            continue
        for setter in setters:
            getattr(loaded, setter)(deaf)


@contextmanager
def quiet_refusal() -> Iterator[None]:
    """PortAudio prints where in its sources an opening failed, and can't be asked not to.

    For so long C's `stderr` is another stream; file descriptor 2, which Python and all other threads
    write to, is left alone. PORTAUDIO must be held.
    """
    nowhere = _nowhere()
    if nowhere is None:
        yield
        return
    stream = ctypes.c_void_p.in_dll(ctypes.CDLL(None), "stderr")
    before, stream.value = stream.value, nowhere
    try:
        yield
    finally:
        stream.value = before


@cache
def _nowhere() -> int | None:
    """A C stream that discards what is written; None where `stderr` is no variable (musl)."""
    if platform.libc_ver()[0] != "glibc":
        return None
    fopen = ctypes.CDLL(None).fopen
    fopen.restype = ctypes.c_void_p
    opened: int | None = fopen(os.devnull.encode(), b"we")
    return opened
