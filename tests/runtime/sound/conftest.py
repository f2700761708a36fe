"""The sound server that the tests of microphones share."""

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.listener import ROOM
from tests.pulse import SoundServer, missing


@pytest.fixture(scope="module")
def machine() -> Iterator[SoundServer]:
    lacking = missing()
    if lacking and os.environ.get("CI") == "true":
        pytest.fail(f"CI must have {lacking}")
    if lacking:
        pytest.skip(f"needs {lacking}")
    with tempfile.TemporaryDirectory(prefix="edgecap-") as folder, SoundServer(Path(folder), ROOM) as running:
        yield running


@pytest.fixture
def server(machine: SoundServer) -> Iterator[SoundServer]:
    """The server, in this process's environment, with the room's microphone and no other left behind."""
    with machine.in_this_process():
        yield machine
        machine.unplug("other")
        machine.unplug(ROOM)
        machine.plug(ROOM)
