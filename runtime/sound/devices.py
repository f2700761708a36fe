"""Devices: the microphones that PortAudio knows, by names that outlast a restart of it."""

import ctypes
import os
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
    with quiet_stderr():  # JACK is loaded by this very call, at the first
        return pyaudio.PyAudio()


@contextmanager
def quiet_stderr() -> Iterator[None]:
    """PortAudio itself prints a line for each combination that a device refuses, whoever asks it not to.

    The whole process's standard error is elsewhere meanwhile, for milliseconds; PORTAUDIO must be held.
    Where it is closed there is nothing to quieten.
    """
    try:
        saved = os.dup(2)
    except OSError:
        yield
        return
    null = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(null, 2)
        yield
    finally:
        os.dup2(saved, 2)
        os.close(null)
        os.close(saved)


@cache
def _silence_libraries() -> None:
    """ALSA and JACK print some 80 lines to standard error at each start, past Python: asked not to here."""
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
