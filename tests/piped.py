"""`edgecap run` on a pipe: the real command, fed and read by a test."""

import os
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np
import zmq

from edgecap.runtime.telling import wire

ROOT = Path(__file__).parents[1]
PATIENCE_S = 60.0

# The real command on the handmade model, whose every sentence is known; its ports are told on a pipe.
RUN = """
import os, sys
from edgecap import live
from edgecap.runtime import daemon
from tests import handmade
live.load_model = lambda settings: (handmade.model(), "handmade 1.0")
opened, ports = daemon.Daemon.__init__, int(sys.argv[1])
def tell(self, *given, **named):
    opened(self, *given, **named)
    os.write(ports, f"{self.publish_endpoint} {self.replay_endpoint}\\n".encode())
    os.close(ports)
daemon.Daemon.__init__ = tell
sys.argv[1:] = ["run", "--source", "stdin", "--publish", "tcp://127.0.0.1:*", "--replay", "tcp://127.0.0.1:*",
                "--room", "den", *sys.argv[2:]]
from edgecap.cli import main
main()
"""


class PipedRoom:
    """The running command, its sound by a pipe, and a subscriber in this process."""

    def __init__(self, stdout: int, *flags: str, before: Callable[[], object] | None = None) -> None:
        """before: what the command's process does before it begins."""
        told, tell = os.pipe()
        heard, self._sound = os.pipe()
        self.process = subprocess.Popen(
            [sys.executable, "-c", RUN, str(tell), *flags],
            stdin=heard, stdout=stdout, stderr=stdout, cwd=ROOT, pass_fds=[tell],
            env={**os.environ, "PYTHONPATH": str(ROOT), "TERM": "xterm"}, preexec_fn=before,
        )  # fmt: skip
        os.close(tell)
        os.close(heard)
        with os.fdopen(told) as lines:
            publish, replay = lines.readline().split()
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self.sub = self._context.socket(zmq.SUB)
        self.dealer = self._context.socket(zmq.DEALER)
        for socket, endpoint in ((self.sub, publish), (self.dealer, replay)):
            socket.setsockopt(zmq.RCVTIMEO, round(1000 * PATIENCE_S))
            socket.connect(endpoint)
        self.sub.subscribe(b"")

    def play(self, *sounds: np.ndarray) -> None:
        """Into the command's standard input, in another thread: the command may be slow to take it."""
        samples = np.concatenate(sounds)
        data = (samples * 32767).astype("<i2").tobytes()
        threading.Thread(target=self._write, args=(data,), daemon=True).start()

    def _write(self, data: bytes) -> None:
        rest = memoryview(data)
        while rest:
            rest = rest[os.write(self._sound, rest) :]

    def next_new(self) -> str:
        """The next caption that appears."""
        while True:
            message = wire.decode(self.sub.recv_multipart()[1])
            if isinstance(message, wire.CaptionMessage) and message.event == "new":
                return message.text

    def next_status(
        self, true: Callable[[wire.StatusMessage], bool] = lambda status: True
    ) -> wire.StatusMessage:
        """The next that is so."""
        while True:
            message = wire.decode(self.sub.recv_multipart()[1])
            if isinstance(message, wire.StatusMessage) and true(message):
                return message

    def replayed(self) -> list[str]:
        self.dealer.send(wire.encode(wire.ReplayRequest(room="den", run=0, after=0)))
        texts = []
        while isinstance(message := wire.decode(self.dealer.recv()), wire.CaptionMessage):
            texts.append(message.text)
        return texts

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        os.close(self._sound)
        self._context.destroy(linger=0)
