"""`edgecap` as a user calls it: a process of its own, with the streams and the home that a test wants."""

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
PATIENCE_S = 100.0
SPEAKS = 0, 2, 65, 66, 69, 74, 78
"""Exit codes that come with a sentence, if any; 70 is a defect."""


def environment(home: Path, **more: str) -> dict[str, str]:
    """A user's, with a home of its own and no sound server."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("XDG_", "COLUMNS"))}
    at_home = dict.fromkeys(("HOME", "XDG_RUNTIME_DIR", "PULSE_RUNTIME_PATH"), str(home))
    return kept | at_home | {"PULSE_SERVER": f"unix:{home}/none", "PYTHONPATH": str(ROOT)} | more


def start(*arguments: "str | bytes | Path", by: Sequence[str] = (), **how: Any) -> "subprocess.Popen[bytes]":
    """The command, begun; its output is caught unless `how`, as Popen takes it, says else. by: its runner."""
    streams = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    return subprocess.Popen([*by, sys.executable, "-m", "edgecap", *arguments], **(streams | how))


def finish(process: "subprocess.Popen[bytes]") -> tuple[int, bytes, str]:
    """Exit code, output, and what it said; that is no traceback."""
    out, errors = process.communicate(timeout=PATIENCE_S)
    said = (errors or b"").decode()
    assert "Traceback" not in said, said
    assert "Exception ignored" not in said, said
    return process.returncode, out or b"", said


def edgecap(*arguments: "str | bytes | Path", **how: Any) -> tuple[int, bytes, str]:
    return finish(start(*arguments, **how))
