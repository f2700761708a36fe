"""devices: the microphones that are here."""

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
            print(msgspec.json.encode(device).decode())
        return
    width = max(len(device.name) for device in found)
    for device in found:
        channels = "1 channel " if device.channels == 1 else f"{device.channels} channels"
        mark = "  default" if device.is_default else ""
        print(f"{device.index:>3}  {device.name:<{width}}  {device.rate:>6} Hz  {channels}{mark}")
