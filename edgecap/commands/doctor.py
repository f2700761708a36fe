"""doctor: what works here, what does not, and the fix."""

import contextlib
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Literal, NamedTuple

import typer

from edgecap.runtime.names import visible

from ..console import console
from ..streams import print_json
from . import options

if TYPE_CHECKING:
    from edgecap.runtime.config.schema import Config
    from edgecap.runtime.sound.source import Source

UNAVAILABLE = 69
LISTEN_S = 1.0


class Finding(NamedTuple):
    """One thing looked at. "missing" is what captioning a file does without; "broken" is what it needs."""

    what: str
    verdict: Literal["works", "missing", "broken"]
    found: str
    fix: str = ""


def doctor(json: options.Json = False, config_file: options.ConfigFile = None) -> None:
    """What works here, what doesn't, and the fix. Exit code 69 where captioning can't work at all."""
    findings = []
    for finding in map(_shown, _examine(config_file)):
        findings.append(finding)
        if not json:
            _print(finding)
    if json:
        import msgspec

        for finding in findings:
            print_json(msgspec.json.encode(finding._asdict()))
    if any(finding.verdict == "broken" for finding in findings):
        raise typer.Exit(UNAVAILABLE)


def _shown(finding: Finding) -> Finding:
    """With whatever stands in the names that it found made visible."""
    return finding._replace(found=visible(finding.found), fix=visible(finding.fix))


def _print(finding: Finding) -> None:
    from rich.text import Text

    sign, style = {"works": ("✓", "green"), "missing": ("–", "yellow"), "broken": ("✕", "bold red")}[
        finding.verdict
    ]
    line = Text.assemble(
        (f"{sign} {finding.verdict:<8}", style), (f"{finding.what:<15}", "bold"), finding.found
    )
    if finding.fix:
        line.append(f"\n{'':<10}→ {finding.fix}")
    console().print(line, soft_wrap=True)


def _examine(config_file: "options.ConfigFile") -> Iterator[Finding]:
    from edgecap.runtime.config import file as configuration
    from edgecap.runtime.config.schema import Config
    from edgecap.runtime.errors import ConfigError

    yield _python()
    settings = Config()
    try:
        settings = configuration.load(config_file)
        path = config_file or configuration.find()
        yield Finding("configuration", "works", str(path) if path else "the defaults; no file")
    except ConfigError as error:
        yield Finding("configuration", "broken", f"{error.what}: {error.why}", error.fix)
    yield _onnxruntime(settings)
    yield _bundle(settings)
    yield from _microphones(settings)
    for check in (_addresses, _sound_server, _systemd, _gpu):
        yield check(settings)


def _python() -> Finding:
    return Finding("Python", "works", f"{sys.version.split()[0]} in {sys.prefix}")


def _onnxruntime(_: "Config") -> Finding:
    try:
        import onnxruntime
    except ImportError as error:
        return Finding("onnxruntime", "broken", str(error), "pip install onnxruntime")
    return Finding("onnxruntime", "works", str(onnxruntime.__version__))


def _bundle(settings: "Config") -> Finding:
    from edgecap.runtime.errors import EdgecapError
    from edgecap.runtime.model.bundle import Bundle
    from edgecap.runtime.saying.limits import Limits
    from edgecap.runtime.session import Model

    try:
        opened = Bundle.open(settings.bundle)
        model = Model.load(opened, settings.provider)
        for room in settings.all_rooms():
            Limits.of(model.thresholds, room.captions)
    except EdgecapError as error:
        return Finding("bundle", "broken", f"{error.what}: {error.why}", error.fix)
    return Finding("bundle", "works", f"{opened.title}, every hash matches, loads")


def _microphones(settings: "Config") -> Iterator[Finding]:
    """One a room; named with it, where there are several."""
    for room in settings.all_rooms():
        finding = _microphone(room.source)
        yield finding._replace(found=f"{room.room}: {finding.found}") if settings.rooms else finding


def _microphone(source: "Source") -> Finding:
    """Opens the configured one and listens for a second: a device that is listed may still be deaf."""
    import time

    import numpy as np

    from edgecap.runtime.errors import MicrophoneError, UnavailableError
    from edgecap.runtime.sound.microphone import Microphone

    if source.kind != "microphone":
        return Finding("microphone", "missing", f"not asked for: the source is {source.kind}")
    try:
        microphone = Microphone(source.name)
    except (MicrophoneError, UnavailableError) as error:
        return Finding("microphone", "missing", f"{error.what}: {error.why}".rstrip(": "), error.fix)
    blocks = []
    try:
        until = time.monotonic() + LISTEN_S
        while time.monotonic() < until:
            heard = microphone.read(0.5)
            if heard is not None:
                blocks.append(heard.block.samples)
    finally:
        microphone.close()
    name = microphone.device.name
    if not blocks:
        return Finding(
            "microphone", "missing", f"{name} opens but brings nothing", "unplug and connect it again"
        )
    samples = np.concatenate(blocks)
    if not samples.any():
        return Finding(
            "microphone",
            "missing",
            f"{name} brings nothing but zeros",
            "unmute it, or choose another by --name",
        )
    level = 10 * np.log10(max(float(np.mean(samples**2)), 1e-10))
    return Finding("microphone", "works", f"{name}, {microphone.rate} Hz, {level:.0f} dB just now")


def _addresses(settings: "Config") -> Finding:
    import zmq

    from edgecap.runtime.errors import EdgecapError
    from edgecap.runtime.telling.endpoint import bind, release

    context = zmq.Context()
    try:
        for flag, endpoint in (("--publish", settings.publish), ("--replay", settings.replay)):
            socket = context.socket(zmq.PUB)
            try:
                release(endpoint, bind(socket, endpoint, flag))
            except EdgecapError as error:
                return Finding("addresses", "missing", f"{error.what}: {error.why}", error.fix)
            finally:
                socket.close(linger=0)
    finally:
        context.term()
    return Finding("addresses", "works", f"{settings.publish} and {settings.replay} are free")


def _sound_server(_: "Config") -> Finding:
    try:
        import pulsectl
    except ImportError:
        return Finding(
            "sound server",
            "missing",
            "pulsectl is not installed",
            "pip install 'edgecap[mic]', or use ALSA alone",
        )
    try:
        with pulsectl.Pulse("edgecap-doctor", connect=False) as pulse:
            pulse.connect(timeout=1)
            server = pulse.server_info()
    except (OSError, pulsectl.PulseError):  # no libpulse is an OSError
        return Finding(
            "sound server", "missing", "neither PulseAudio nor PipeWire answers; ALSA will be used"
        )
    return Finding(
        "sound server", "works", f"{server.server_name}, default source {server.default_source_name}"
    )


def _systemd(_: "Config") -> Finding:
    from pathlib import Path

    if not Path("/run/systemd/system").is_dir():
        return Finding("systemd", "missing", "not running here; start `edgecap run` by other means")
    return Finding("systemd", "works", "running; `make install-service` captions from boot on")


def _gpu(_: "Config") -> Finding:
    """Installed is not yet working: a provider may miss its hardware, which shows when it is chosen."""
    from edgecap.runtime.errors import UnavailableError
    from edgecap.runtime.model.cuda import Device
    from edgecap.runtime.model.engine import installed_providers

    found = [f"--provider {name}" for name in installed_providers() if name != "cpu"]
    with contextlib.suppress(UnavailableError):
        found.append(f"a GPU of compute capability {Device().capability}")
    if found:
        return Finding("accelerators", "works", ", ".join(found))
    return Finding("accelerators", "missing", "none, and none is needed: one CPU core does")
