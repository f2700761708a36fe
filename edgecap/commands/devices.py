"""devices: the microphones that are here."""

from edgecap.runtime.names import visible

from ..console import say
from ..streams import print_json
from . import options


def devices(json: options.Json = False) -> None:
    """The microphones, as `run --name` takes them: by index, or by part of the name."""
    from edgecap.runtime.errors import MicrophoneError
    from edgecap.runtime.sound.devices import devices as microphones

    found = microphones()
    if not found:
        raise MicrophoneError(
            "There is no microphone", fix="connect one; `edgecap doctor` says what else may be missing"
        )
    if json:
        import msgspec

        for device in found:
            print_json(msgspec.json.encode(device))
        return
    width = max(len(visible(device.name)) for device in found)
    for device in found:
        channels = "1 channel " if device.channels == 1 else f"{device.channels} channels"
        mark = "  default" if device.is_default else ""
        say(f"{device.index:>3}  {visible(device.name):<{width}}  {device.rate:>6} Hz  {channels}{mark}")
