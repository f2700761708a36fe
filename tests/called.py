"""`edgecap` called in this process, and what it is called with."""

import socket
from pathlib import Path
from typing import Any

import soundfile
from typer.testing import CliRunner, Result

from edgecap.cli import app
from edgecap.runtime.audio import RATE


def write(path: Path, samples: Any, rate: int = RATE, **more: Any) -> Path:
    soundfile.write(path, samples, rate, **more)
    return path


def edgecap(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def refused(code: int, *arguments: object) -> str:
    """The one sentence on stderr; nothing on stdout, no traceback."""
    result = edgecap(*arguments)
    assert result.exit_code == code, result.output
    assert result.stdout == ""
    assert "Traceback" not in result.stderr
    lines = result.stderr.strip().splitlines()
    assert len(lines) == 1, lines
    assert lines[0].startswith("edgecap: ")
    return lines[0]


def free_endpoints() -> tuple[str, str]:
    with socket.socket() as one, socket.socket() as two:
        one.bind(("127.0.0.1", 0))
        two.bind(("127.0.0.1", 0))
        return f"tcp://127.0.0.1:{one.getsockname()[1]}", f"tcp://127.0.0.1:{two.getsockname()[1]}"


def publishing() -> list[str]:
    publish, replay = free_endpoints()
    return ["--publish", publish, "--replay", replay]
