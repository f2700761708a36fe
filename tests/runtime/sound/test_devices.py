"""Devices: which microphone is meant, and that none is one sentence."""

import pytest

from edgecap.runtime.errors import MicrophoneError
from edgecap.runtime.sound.devices import Device, choose, devices, stable_name
from tests.listener import ROOM
from tests.pulse import SoundServer

FOUND = [
    Device(0, "USB Audio: - (hw:1,0)", 1, 48_000, False),
    Device(1, "usb", 1, 48_000, False),
    Device(2, "default", 2, 48_000, True),
]


@pytest.mark.parametrize(
    ("wanted", "index"), [("default", 2), ("0", 0), ("usb", 1), ("USB", 0), ("audio", 0), ("DEF", 2)]
)
def test_a_microphone_is_meant_by_index_name_or_a_part_of_it(wanted: str, index: int) -> None:
    assert choose(FOUND, wanted).index == index


def test_a_name_to_come_back_to_has_no_card_number() -> None:
    assert stable_name(FOUND[0]) == "USB Audio: -"
    assert choose(FOUND, stable_name(FOUND[0])).index == 0


def test_no_microphone_at_all_is_said() -> None:
    with pytest.raises(MicrophoneError, match=r"There is no microphone\. Connect one"):
        choose([], "default")


@pytest.mark.mic
def test_devices_are_listed_by_name(server: SoundServer) -> None:
    found = devices()
    assert {ROOM, "default", "pulse"} <= {device.name for device in found}
    assert [device.name for device in found if device.is_default] == ["default"]
    assert all(device.channels > 0 for device in found)
