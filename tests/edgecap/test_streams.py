"""Standard output and error, whatever stands behind them: one sentence and a code, never a traceback."""

import io
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st

from edgecap.runtime.audio import RATE
from edgecap.streams import json_text
from tests.command import edgecap, environment, finish, start
from tests.handmade import bell, silence

FULL = "Standard output can't be written: No space left on device."
CLOSED = "Standard output can't be written: it is closed."
NAMED = "küche 台所 [x]"


@pytest.fixture(scope="module")
def room(bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder to stand in: a recording, its home, and the bundle in its configuration."""
    folder = tmp_path_factory.mktemp(NAMED)
    soundfile.write(folder / "sounds ✓.wav", np.concatenate([silence(0.5), bell(1), silence(1)]), RATE)
    (folder / ".config" / "edgecap").mkdir(parents=True)
    (folder / ".config" / "edgecap" / "config.yaml").write_text(
        f"bundle: {json.dumps(str(bundle))}\nroom: küche\n"
        f"publish: {json.dumps(f'ipc://{folder}/p')}\nreplay: {json.dumps(f'ipc://{folder}/r')}\n"
    )
    return folder


COMMANDS = {
    "help": ["caption", "--help"],
    "config": ["config"],
    "caption": ["caption", "sounds ✓.wav"],
    "caption json": ["caption", "sounds ✓.wav", "--json"],
    "run": ["run", "--source", "file", "--name", "sounds ✓.wav"],
}
each_command = pytest.mark.parametrize("command", COMMANDS.values(), ids=COMMANDS)


def closing(*descriptors: int) -> Callable[[], None]:
    return lambda: [os.close(descriptor) for descriptor in descriptors] and None


@each_command
def test_what_cannot_be_written_is_said_once_and_a_room_goes_on(command: list[str], room: Path) -> None:
    """A full disk, no standard output, a reader that left; no standard error, a full one; none of them."""
    env = environment(room)
    is_room = command[0] == "run"
    reading, writing = os.pipe()
    os.close(reading)
    with open("/dev/full", "wb") as full, os.fdopen(writing, "wb") as left:  # noqa: PTH123  # no Path to it
        ways: list[dict[str, Any]] = [
            {"stdout": full},
            {"preexec_fn": closing(1)},
            {"stdout": left},
            {"preexec_fn": closing(0, 1, 2)},
            {},
            {"stderr": full},
            {"preexec_fn": closing(2)},
        ]
        started = [start(*command, cwd=room, env=env | on(room, n), **how) for n, how in enumerate(ways)]
        on_full, on_closed, on_left, on_none, *well = map(finish, started)
    fails = 0 if is_room else 74
    for (code, _, said), why, sentence in (
        (on_full, "No space left on device", FULL),
        (on_closed, "it is closed", CLOSED),
    ):
        assert code == fails, said
        assert said.count(why) == 1
        assert ("The rooms go on." if is_room else f"edgecap: {sentence}") in said
    assert on_left[0] == 0
    assert ("its reader has gone" in on_left[2]) if is_room else ("Standard output" not in on_left[2])
    assert on_none == (fails, b"", "")
    assert [code for code, _, _ in well] == [0, 0, 0]
    assert all(out for _, out, _ in well)


def on(room: Path, number: int) -> dict[str, str]:
    """A configuration with sockets of its own, for those that run at once."""
    folder = room / f"{number}" / "edgecap"
    if not folder.exists():
        folder.mkdir(parents=True)
        written = (room / ".config" / "edgecap" / "config.yaml").read_text()
        (folder / "config.yaml").write_text(
            written.replace('/p"', f'/p{number}"').replace('/r"', f'/r{number}"')
        )
    return {"XDG_CONFIG_HOME": str(folder.parent)}


@each_command
def test_what_an_encoding_cannot_show_is_replaced(command: list[str], room: Path) -> None:
    encodings = "ascii:strict", "latin-1", "utf-16"
    started = [
        start(*command, cwd=room, env=environment(room, PYTHONIOENCODING=encoding) | on(room, number))
        for number, encoding in enumerate(encodings)
    ]
    for encoding, (code, out, said) in zip(encodings, map(finish, started), strict=True):
        assert code == 0, said
        is_file = "--json" in command or "--format" in command or command[0] == "config"
        text = out.decode("utf-8" if is_file else encoding.split(":")[0])
        assert text
        if "--json" in command:
            assert {json.loads(line)["type"] for line in text.splitlines()} == {"caption"}


def test_a_printed_configuration_can_be_read_whatever_the_encoding(room: Path) -> None:
    printed = [
        edgecap("config", cwd=room, env=environment(room, **more))[1]
        for more in (
            {},
            {"PYTHONIOENCODING": "ascii"},
            {"LC_ALL": "C"},
            {"LC_ALL": "POSIX", "PYTHONUTF8": "0"},
        )
    ]
    assert "room: küche\n" in printed[0].decode()
    assert {*printed} == {printed[0]}


def test_ports_that_were_not_named_are_told(room: Path) -> None:
    anywhere = ["--publish", "tcp://127.0.0.1:*", "--replay", "tcp://127.0.0.1:*"]
    _, _, said = edgecap(*COMMANDS["run"], *anywhere, cwd=room, env=environment(room))
    assert re.search(r"Published on tcp://127\.0\.0\.1:\d+, replay tcp://127\.0\.0\.1:\d+\.", said)


def test_what_is_closed_is_given_to_nobody_else(room: Path) -> None:
    """A file that is opened where standard output was would be written into."""
    code = "import os, sys; from edgecap import streams; streams.open_standard(); sys.exit(os.open('.', 0))"
    for closed in ((0,), (1,), (2,), (0, 1), (1, 2), (0, 1, 2)):
        done = subprocess.run(
            [sys.executable, "-c", code],
            preexec_fn=closing(*closed), cwd=room, env=environment(room), check=False,
        )  # fmt: skip
        assert done.returncode > 2, closed


def test_a_descriptor_that_does_not_block_is_waited_for(room: Path) -> None:
    """As one is that was shared with a program that set it so."""
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    many = ["caption", *["sounds ✓.wav"] * 40, "--json"]
    process = start(*many, cwd=room, env=environment(room), stdout=writing)
    os.close(writing)
    with os.fdopen(reading) as lines:
        events = [json.loads(line) for line in lines]
    assert finish(process)[0] == 0
    assert [event["event"] for event in events] == ["new", "end"] * 40


def test_lines_come_as_they_are_found(room: Path) -> None:
    """The first is read while there is more to caption: a pipe that nobody reads holds 64 KiB and no more."""
    for style, first in ((["--json"], b'"new"'), (["--format", "csv"], b"file,"), ([], b"caption")):
        process = start("caption", *["sounds ✓.wav"] * 2000, *style, cwd=room, env=environment(room))
        assert process.stdout is not None
        assert first in process.stdout.readline()
        assert process.poll() is None
        process.kill()
        process.communicate()


@given(st.dictionaries(st.text(), st.text() | st.integers() | st.none()))
def test_json_keeps_its_meaning_and_shows_no_control_characters(value: dict[str, object]) -> None:
    for ascii_only in (True, False):
        text = json_text(json.dumps(value, ensure_ascii=ascii_only))
        assert json.loads(text) == value
        assert text.isprintable()


def test_a_command_run_inside_another_program_leaves_its_streams_alone() -> None:
    """As tests do: only the program itself puts its own in their place."""
    from typer.testing import CliRunner

    from edgecap.cli import app

    before = sys.stdout, sys.stderr
    assert "Usage" in CliRunner().invoke(app, ["--help"]).stdout
    assert (sys.stdout, sys.stderr) == before
    assert isinstance(sys.stdout, io.TextIOBase)
