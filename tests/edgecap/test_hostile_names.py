"""Names as people and programs make them, through the commands: shown in one way, and obeyed nowhere."""

import csv
import io
import json
import os
import shutil
import unicodedata
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from edgecap.cli import app
from edgecap.runtime.audio import RATE
from edgecap.runtime.names import visible
from tests.command import SPEAKS, edgecap, environment
from tests.handmade import bell, silence

KNOWN = [
    b"Live [/2007]", b"kitchen [night]", b"[bold]", b"[link=x]y[/link]", b":smile:", b"latin\xe9",
    b"\xff\xfe", b"esc\x1b[31mred", b"\x1b]0;title\x07", b"two\nlines", b"tab\there", b"cr\rback",
    "\x9b31m".encode(), "invoice\u202egpj".encode(), "\u200b".encode(), "küche ✓ 台所 👩‍👩‍👧".encode(),
    b"a\\x1b", b"=1+1", b"@SUM(1)", b"+1", b"- ", b"--json",
    b"%s %d {}", b"'quoted\"", b"$(reboot)", b"~", b"~root", b" ", b"a" * 240, b"*",
]  # fmt: skip
bytes_of_a_name = st.binary(min_size=1, max_size=60).filter(lambda name: not {*name} & {0, 0x2F})
text_of_a_name = (
    st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=50)
    .map(str.encode)
    .filter(lambda name: not {*name} & {0, 0x2F})
)
file_names = (bytes_of_a_name | text_of_a_name).filter(lambda name: name not in (b".", b".."))


def steers(shown: str) -> set[str]:
    """What in it would steer a terminal, line ends apart."""
    return {c for c in shown if c != "\n" and unicodedata.category(c) in ("Cc", "Cs", "Zl", "Zp")} | (
        {*shown} & {*"\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\u200e\u200f"}
    )


def told(said: str) -> list[str]:
    """Its lines, but for the progress of a slow machine."""
    assert steers(said) == set()
    return [line for line in said.split("\n") if line and not line.endswith("%")]


@settings(
    max_examples=2,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
    phases=[Phase.reuse, Phase.generate],  # to make an example smaller would take minutes
)
@given(st.lists(file_names, min_size=15, max_size=25, unique=True))
def test_recordings_of_any_name(bundle: Path, tmp_path: Path, more: list[bytes]) -> None:
    """Every one is captioned and told by its name, in every style, on standard output and in a folder."""
    room = tmp_path / "room"
    shutil.rmtree(room, ignore_errors=True)
    room.mkdir()
    out = tmp_path / "out"
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir()
    sound = io.BytesIO()
    soundfile.write(sound, np.concatenate([silence(0.3), bell(0.7), silence(0.7)]), RATE, format="WAV")
    names = [name + b".wav" for name in {*KNOWN, *more}]
    for name in names:
        path = Path(os.fsdecode(os.fsencode(room) + b"/" + name))
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(sound.getvalue())
    flags = ["--bundle", str(bundle), "--"]
    how = {"cwd": room, "env": environment(tmp_path)}
    shown = [visible(name) for name in names]

    code, printed, said = edgecap("caption", "--json", *flags, *names, **how)
    assert (code, told(said)) == (0, [])
    events = [json.loads(line) for line in printed.decode("utf-8").splitlines()]
    assert [event["file"] for event in events if event["event"] == "end"] == shown
    assert steers(printed.decode()) == set()

    code, printed, said = edgecap("caption", "--format", "csv", *flags, *names, **how)
    assert (code, told(said)) == (0, [])
    rows = [*csv.DictReader(io.StringIO(printed.decode("utf-8"), newline=""))]
    assert [row["file"].removeprefix("'") for row in rows] == [name.removeprefix("'") for name in shown]
    assert not [
        row for row in rows for cell in row.values() if cell.startswith(("=", "+", "-", "@", "\t", "\r"))
    ]

    code, printed, said = edgecap("caption", *flags, *names, **how)
    assert (code, told(said)) == (0, [])
    assert [line for line in printed.decode("utf-8").split("\n") if "bell rings" not in line][1:-1] == shown
    assert steers(printed.decode()) == set()

    code, printed, said = edgecap("caption", "--format", "srt", "-o", out, *flags, *names, **how)
    if code == 2:
        assert "would both be written to" in said  # "a" and "a.b"
    else:
        assert (code, printed, told(said)) == (0, b"", [])
        assert len([*out.iterdir()]) == len(names)


COMMANDS = [
    "caption NAME --bundle BUNDLE",
    "caption --bundle NAME x.wav",
    "caption x.wav -o none/NAME",
    "caption x.wav --format NAME",
    "config --config NAME",
    "config --room NAME",
    "config --set NAME",
    "config --set NAME=1",
    "config --set bundle=NAME",
    "config --publish NAME",
    "config --publish ipc:///tmp/NAME",
    "config --name NAME",
    "config NAME",
    "run --publish tcp://NAME:1",
    "run --bundle NAME",
    "run --bundle BUNDLE --set keys.secret=NAME --set keys.readers=NAME",
    "inspect NAME",
    "bench NAME",
    "listen NAME://x",
    "listen --room NAME ipc:///tmp/x --secret NAME",
    "listen --secret NAME --server NAME",
    "NAME",
]
"""With a name that is none of what they want, or one that they only show."""


@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.sampled_from(KNOWN) | file_names)
@pytest.mark.parametrize("command", COMMANDS, ids=str)
def test_a_name_that_is_none_is_told_in_a_sentence(
    command: str, bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: bytes
) -> None:
    monkeypatch.chdir(tmp_path)
    for variable in ("HOME", "XDG_CONFIG_HOME"):
        monkeypatch.setenv(variable, str(tmp_path / "home"))
    arguments = [
        word.replace("BUNDLE", str(bundle)).replace("NAME", os.fsdecode(name)) for word in command.split()
    ]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code in SPEAKS, result.output
    assert "Traceback" not in result.output
    assert steers(result.stdout + result.stderr) == set()
