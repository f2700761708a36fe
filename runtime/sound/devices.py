"""Devices: the microphones that PortAudio knows, by names that outlast a restart of it."""

import re
from typing import Any

import msgspec

from ..errors import MicrophoneError
from .portaudio import PORTAUDIO


class Device(msgspec.Struct, frozen=True):
    """A microphone, as `edgecap devices` lists it and `run` finds it."""

    index: int
    name: str
    channels: int
    rate: int
    is_default: bool


def devices() -> list[Device]:
    """The microphones that are there now. Raises UnavailableError without PyAudio."""
    with PORTAUDIO.turn():
        audio = PORTAUDIO.start()
        try:
            return inputs_of(audio)
        finally:
            PORTAUDIO.stop(audio)


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
