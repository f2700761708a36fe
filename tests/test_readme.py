"""The examples of the pages, run: every shell command and every Python block, or the reason why not.

A new example fails here until it runs or stands in NOT_RUN.
"""

import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
import soundfile
import zmq

from edgecap.runtime.telling.wire import encode
from tests.said import said

ROOT = Path(__file__).parent.parent
CLIPS = Path(__file__).parent / "data" / "clips"
PAGES = ("README.md", "docs/configuration.md", "docs/history.md", "docs/wire.md", "docs/training.md")
SHELL_PAGES = ("README.md", "docs/configuration.md", "docs/history.md")
"""The shell of the others is training, exporting and evaluating, by the hour."""
PUBLISH = "tcp://127.0.0.1:7310"
"""The address in the examples; here each gets free ports in its place."""

NOT_RUN = {
    "make run": "it would set up and caption until Ctrl-C; `edgecap run` is run below",
    "make test": "this is it",
    "edgecap up": "it would go on until Ctrl-C; tests/edgecap/test_up.py runs it",
    "make install-service": "it changes the machine; tests/test_systemd.py checks what it installs",
    "make setup-dev": "it downloads torch",
    "edgecap prepare": "it wants a corpus; tests/training/prepare runs it on one made there",
    "edgecap train": "hours; tests/training trains each stage for some steps",
    "edgecap export": "it wants the checkpoint of that training; tests/export exports a small one",
    "edgecap evaluate": "it wants a corpus; tests/training/evaluation runs it on one made there",
    "edgecap run --bundle mine": "it wants the bundle of that export; others are run all over these tests",
}


def blocks(page: str, language: str) -> list[str]:
    text = (ROOT / page).read_text(encoding="utf-8")
    fenced = re.findall(r"^```(\w*)\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)
    return [block for written_in, block in fenced if written_in == language]


def shell_lines() -> list[str]:
    """Every command of the pages' shell blocks, without its comment; .venv/bin left out."""
    lines = [line for page in SHELL_PAGES for block in blocks(page, "") for line in block.splitlines()]
    commands = (line.split("  #")[0].strip().removeprefix(".venv/bin/") for line in lines)
    return [each for each in commands if each.split(" ")[0] in ("make", "edgecap", "mkdir")]


def excused(line: str) -> bool:
    return any(line == known or line.startswith(f"{known} ") for known in NOT_RUN)


LINES = [line for line in shell_lines() if not excused(line)]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where a user would stand: holiday.wav is there, a home, and no sound server."""
    samples, rate = soundfile.read(CLIPS / "door_knock.opus")
    soundfile.write(tmp_path / "holiday.wav", samples, rate)
    (tmp_path / ".config" / "edgecap").mkdir(parents=True)
    return tmp_path


def environment(folder: Path) -> dict[str, str]:
    at_home = dict.fromkeys(("HOME", "XDG_RUNTIME_DIR", "PULSE_RUNTIME_PATH"), str(folder))
    nowhere = {"PULSE_SERVER": f"unix:{folder}/none", "PYTHONPATH": str(ROOT)}
    elsewhere = ("XDG_CONFIG_HOME", "XDG_STATE_HOME", "STATE_DIRECTORY")
    kept = {name: value for name, value in os.environ.items() if name not in elsewhere}
    return kept | at_home | nowhere


def start(command: str, folder: Path) -> "subprocess.Popen[str]":
    """A line of shell as it stands in the page, with this interpreter's edgecap."""
    command = re.sub(r"^edgecap ", f"exec '{sys.executable}' -u -m edgecap ", command)
    return subprocess.Popen(
        ["bash", "-c", command],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=folder,
        env=environment(folder),
    )


def finish(command: str, folder: Path) -> tuple[int, str, str]:
    process = start(command, folder)
    out, errors = process.communicate(timeout=100)
    assert "Traceback" not in errors
    return process.returncode, out, errors


def two_ports() -> tuple[str, str]:
    """One free and the one after it, where a reader looks for missed captions by itself."""
    while True:
        with socket.socket() as one, socket.socket() as next_one:
            one.bind(("127.0.0.1", 0))
            port = one.getsockname()[1]
            try:
                next_one.bind(("127.0.0.1", port + 1))
            except OSError:
                continue
            return f"tcp://127.0.0.1:{port}", f"tcp://127.0.0.1:{port + 1}"


def on(publish: str, replay: str) -> str:
    return f" --publish {publish} --replay {replay}"


def test_what_is_not_run_is_still_in_the_pages() -> None:
    lines = shell_lines()
    assert [
        known for known in NOT_RUN if not any((line + " ").startswith(f"{known} ") for line in lines)
    ] == []
    assert len(LINES) > 5


@pytest.mark.parametrize("line", LINES)
def test_a_line_of_shell_does_what_the_page_says(line: str, folder: Path) -> None:
    """Every one has its case here; there is no other way out than by a check."""
    name = line.removeprefix("edgecap ").split(" ")[0]
    if name == "demo":  # at real time it would take 79 s
        code, out, errors = finish(f"{line} --fast{on(*two_ports())}", folder)
        assert code == 0, errors
        assert "the scene held" in errors
        assert "alarm" in out
    elif name == "caption":
        code, out, errors = finish(line, folder)
        assert code == 0, errors
        assert re.match(r"1\n\d\d:\d\d:\d\d,\d{3} --> .*\n.*\bknocks\b.*\n", out), out
    elif name == "devices":
        pytest.importorskip("pyaudio")
        code, out, errors = finish(line, folder)
        assert (code == 0 and out) or (code == 66 and "There is no microphone" in errors)
    elif name == "doctor":
        code, out, errors = finish(line, folder)
        assert code == 0, out + errors
        assert re.search(r"works +bundle +room-small", out)
    elif name == "config" or line.startswith("mkdir "):
        assert finish(line, folder)[0] == 0
        if name == "config":
            code, again, _ = finish("edgecap config", folder)
            assert again == (folder / ".config" / "edgecap" / "config.yaml").read_text(encoding="utf-8")
    elif name == "run" and "kind: file" in line:
        code, out, errors = finish(line + on(*two_ports()), folder)
        assert code == 0, errors
        assert "knocks" in out
    elif name == "run":
        pytest.importorskip("pyaudio")
        is_published_until_it_is_ended(line, folder)
    elif name in ("history", "search"):
        heard_lately(folder)
        code, out, errors = finish(line, folder)
        assert code == 0, errors
        assert "Someone knocks on a door" in out or "Water is running from a tap." in out
    elif name == "access":
        code, out, errors = finish(line, folder)
        assert (code == 0 and "/pair there, and type " in out) or (code == 69 and "in no network" in errors)
    elif name == "serve":
        face = start(f"{line} --listen 127.0.0.1:0", folder)
        assert face.stdout is not None
        try:
            said = iter(face.stdout.readline, "")
            assert any(each.startswith("The page is at http://127.0.0.1:") for each in said)
            face.send_signal(signal.SIGTERM)
            assert face.communicate(timeout=60)[1] == ""
            assert face.returncode == 0
        finally:
            face.kill()
            face.communicate()
    else:
        pytest.fail(f"{line}: neither run here nor in NOT_RUN with a reason")


def heard_lately(folder: Path) -> None:
    """Knocks and running water, in the kitchen, now and a day ago, in the history of the user's home."""
    now = datetime.now(UTC)
    messages = [
        said(text, seq, caption=seq, start=now - timedelta(hours=hours), event="end", lasted_s=2)
        for seq, (text, hours) in enumerate(
            [
                (text, hours)
                for hours in (24, 0)
                for text in ("Someone knocks on a door.", "Water is running from a tap.")
            ],
            1,
        )
    ]
    (folder / "heard.jsonl").write_bytes(b"".join(encode(message) + b"\n" for message in messages))
    assert finish("edgecap history import heard.jsonl", folder)[0] == 0


def is_published_until_it_is_ended(line: str, folder: Path) -> None:
    """With a microphone or, as here, without one: then it says so, and waits."""
    publish, replay = two_ports()
    room = match[1] if (match := re.search(r"--room (\S+)", line)) else "room"
    context = zmq.Context()
    reader = context.socket(zmq.SUB)
    process = start(line + on(publish, replay), folder)
    try:
        reader.connect(publish)
        reader.subscribe(f"status.{room}")
        assert reader.poll(60_000), f"nothing came from {line}"
        process.send_signal(signal.SIGTERM)
        _, errors = process.communicate(timeout=60)
        assert process.returncode == 0, errors
    finally:
        process.kill()
        process.communicate()
        reader.close(linger=0)
        context.term()


@contextmanager
def kitchen(folder: Path, publish: str, replay: str) -> Iterator[None]:
    """`edgecap run` on knocks at the door for two minutes, so that a reader that is late hears one too."""
    samples, rate = soundfile.read(folder / "holiday.wav")
    pause = np.zeros(2 * rate)
    soundfile.write(folder / "knocks.wav", np.tile(np.concatenate([samples, pause]), 17), rate)
    command = "edgecap run --room kitchen --source file --name knocks.wav --quiet"
    process = start(command + on(publish, replay), folder)
    try:
        yield
    finally:
        process.kill()
        process.communicate()


PYTHON = [(page, code) for page in PAGES for code in blocks(page, "python")]
READERS = [(page, code) for page, code in PYTHON if PUBLISH in code]


@pytest.mark.parametrize(("page", "code"), READERS, ids=[page for page, _ in READERS])
def test_a_subscriber_of_the_pages_prints_what_a_daemon_says(page: str, code: str, folder: Path) -> None:
    publish, replay = two_ports()
    with kitchen(folder, publish, replay):
        reader = subprocess.Popen(
            [sys.executable, "-u", "-c", code.replace(PUBLISH, publish)],
            stdout=subprocess.PIPE,
            text=True,
            env=environment(folder),
        )
        try:
            assert reader.stdout is not None
            printed = reader.stdout.readline().split()
        finally:
            reader.kill()
            reader.communicate()
    if "edgecap.client" in code:
        assert printed[0] in ("caption", "status")
        assert int(printed[1]) >= 1
    else:
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT[\d:.]+Z", printed[0])
        assert printed[1] in ("new", "update", "end")
        assert len(printed) > 3


@pytest.mark.parametrize(
    ("page", "code"), [each for each in PYTHON if each not in READERS], ids=lambda it: it[:12]
)
def test_other_python_of_the_pages_runs(page: str, code: str, folder: Path) -> None:
    """With the bundle that ships in the place of one's own."""
    done = subprocess.run(
        [sys.executable, "-c", code.replace('"mine"', '"room-small"')],
        capture_output=True,
        text=True,
        cwd=folder,
        env=environment(folder),
        timeout=100,
        check=False,
    )
    assert done.returncode == 0, f"{page}: {done.stderr}"
