"""A sound server of the tests' own: PulseAudio with a null sink whose monitor is a microphone.

No sound hardware, no running user session: its sockets, its HOME and its .asoundrc lie in one folder.
What is played into the sink comes out of the microphone sample for sample.
"""

import importlib.util
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Self

SINK = "sink_name={name} rate=32000 channels={channels} norewinds=1"
"""norewinds: else the first callback comes 1.5 s late and sound is lost."""
SCRIPT = """
.fail
load-module module-native-protocol-unix auth-anonymous=1 socket={folder}/native
"""
# ALSA's door to the server: PortAudio knows no other. The hint makes a PCM visible by its name.
ASOUNDRC = """
pcm.!default { type pulse hint.description "PulseAudio default" }
ctl.!default { type pulse }
"""
MICROPHONE = """
pcm.{name} {{ type pulse device "{name}.monitor" hint {{ show on description "{name} monitor" }} }}
"""


def missing() -> str:
    """What these tests would need and this machine lacks; empty if nothing."""
    tools = [tool for tool in ("pulseaudio", "pactl", "paplay") if not shutil.which(tool)]
    modules = [name for name in ("pyaudio", "pulsectl") if not importlib.util.find_spec(name)]
    return ", ".join(tools + modules)


class SoundServer:
    """A PulseAudio server with one null sink, and a microphone of the same name that hears it.

    Sinks that are plugged in as `other` are microphones of that name, too.
    """

    def __init__(self, folder: Path, microphone: str = "room", other: str = "other") -> None:
        # Short: a socket's path holds 107 bytes.
        self.folder, self.microphone, self._other = folder, microphone, other
        self.variables = {
            "HOME": str(folder),
            "XDG_RUNTIME_DIR": str(folder),
            "PULSE_RUNTIME_PATH": str(folder),
            "PULSE_SERVER": f"unix:{folder}/native",
        }
        self._server: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self.folder.chmod(0o700)
        (self.folder / "server.pa").write_text(SCRIPT.format(folder=self.folder))
        microphones = [MICROPHONE.format(name=name) for name in (self.microphone, self._other)]
        (self.folder / ".asoundrc").write_text("".join([ASOUNDRC, *microphones]))
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        """Up and answering within 0.1 s, with its sink."""
        command = ["pulseaudio", "-n", "-F", str(self.folder / "server.pa"), "--daemonize=no"]
        command += ["--exit-idle-time=-1", "--disable-shm=yes", "--use-pid-file=no", "--log-target=null"]
        self._server = subprocess.Popen(command, env=self.environment())
        deadline = time.monotonic() + 10
        while self._pactl("info").returncode:
            assert time.monotonic() < deadline, "PulseAudio did not start within 10 s"
            time.sleep(0.02)
        self.plug(self.microphone)

    def stop(self) -> None:
        if self._server:
            self._server.send_signal(signal.SIGTERM)
            self._server.wait(10)
            self._server = None

    def freeze(self) -> None:
        """It neither answers nor goes away."""
        assert self._server
        self._server.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        assert self._server
        self._server.send_signal(signal.SIGCONT)

    def plug(self, name: str, channels: int = 1) -> None:
        """A sink, and with it the source NAME.monitor, as a device that is plugged in."""
        self.tell("load-module", "module-null-sink", *SINK.format(name=name, channels=channels).split())
        if name == self.microphone:
            self.tell("set-default-sink", name)
            self.tell("set-default-source", f"{name}.monitor")

    def unplug(self, name: str) -> None:
        for line in self.tell("list", "short", "modules").splitlines():
            if f"sink_name={name} " in line:
                self.tell("unload-module", line.split("\t")[0])

    def streams(self) -> list[str]:
        """The source of every stream that is being recorded."""
        names = dict(line.split("\t")[:2] for line in self.tell("list", "short", "sources").splitlines())
        outputs = self.tell("list", "short", "source-outputs").splitlines()
        return [names[line.split("\t")[1]] for line in outputs]

    def move_streams(self, source: str) -> None:
        """As a user does with a mixer."""
        for line in self.tell("list", "short", "source-outputs").splitlines():
            self.tell("move-source-output", line.split("\t")[0], source)

    def play(self, recording: Path, sink: str = "") -> subprocess.Popen[bytes]:
        """Into a sink, the microphone's unless told otherwise; returns at once."""
        command = ["paplay", f"--device={sink or self.microphone}", str(recording)]
        return subprocess.Popen(command, env=self.environment())

    def tell(self, *words: str) -> str:
        answer = self._pactl(*words)
        assert answer.returncode == 0, f"pactl {' '.join(words)}: {answer.stderr}"
        return answer.stdout

    def environment(self) -> dict[str, str]:
        """For a program that shall use this server and no other."""
        return os.environ | self.variables

    @contextmanager
    def in_this_process(self) -> Iterator[None]:
        before = {name: os.environ.get(name) for name in self.variables}
        os.environ.update(self.variables)
        try:
            yield
        finally:
            for name, value in before.items():
                if value is None:
                    del os.environ[name]
                else:
                    os.environ[name] = value

    def _pactl(self, *words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["pactl", *words], env=self.environment(), capture_output=True, text=True, timeout=10, check=False
        )
