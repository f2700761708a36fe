"""`edgecap run` and `demo`: what they say, publish and refuse, and how they end."""

import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import zmq

from tests.called import edgecap, free_endpoints, publishing, refused, write
from tests.handmade import dog, silence

ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.usefixtures("nobodys_home")


def test_the_demo_is_one_room_whatever_is_configured(bundle: Path, tmp_path: Path) -> None:
    file = tmp_path / "c.yaml"
    file.write_text("rooms: [{room: a}, {room: b}]\n")
    flags = "--config", file, "--room", "den", "--bundle", bundle
    result = edgecap("demo", "--fast", "--json", *flags, *publishing())
    assert result.exit_code == 0, result.output
    assert {json.loads(line)["room"] for line in result.stdout.splitlines()} == {"den"}


def test_a_file_is_run_as_if_it_sounded_now(bundle: Path, tmp_path: Path) -> None:
    path = write(tmp_path / "s.wav", np.concatenate([silence(0.5), dog(1), silence(1)]))
    started = time.monotonic()
    result = edgecap("run", "--source", "file", "--name", path, "--bundle", bundle, "--json", *publishing())
    assert result.exit_code == 0, result.output
    assert time.monotonic() - started > 2.4
    events = [json.loads(line) for line in result.stdout.splitlines()]
    assert [event["text"] for event in events if event["event"] == "end"] == ["A dog barks."]
    assert [event["seq"] for event in events] == list(range(1, len(events) + 1))


def test_the_wire_and_the_file_say_the_same(bundle: Path, sounds: Path) -> None:
    """`run` on a file and `caption` of it: the same events, texts and lengths."""
    live = edgecap("run", "--source", "file", "--name", sounds, "--bundle", bundle, "--json", *publishing())
    offline = edgecap("caption", sounds, "--bundle", bundle, "--json")
    parts = [
        [
            (event["event"], event["text"], event["confidence"], event["sounds"])
            for event in map(json.loads, lines)
        ]
        for lines in (live.stdout.splitlines(), offline.stdout.splitlines())
    ]
    assert parts[0] == parts[1] != []


def on_a_pipe(bundle: Path) -> list[str]:
    """`edgecap run` of what comes on standard input."""
    run = [sys.executable, "-m", "edgecap", "run", "--source", "stdin"]
    return [*run, "--bundle", str(bundle), *publishing()]


def test_a_pipe_is_a_source(bundle: Path) -> None:
    pcm = (np.concatenate([dog(1), silence(2)]) * 32767).astype("<i2").tobytes()
    done = subprocess.run(
        on_a_pipe(bundle), input=pcm, capture_output=True, cwd=ROOT, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.decode().rstrip().endswith("  A dog barks.")  # a plain line: local time, the sentence
    empty = subprocess.run(
        on_a_pipe(bundle), input=b"", capture_output=True, cwd=ROOT, timeout=60, check=False
    )
    assert empty.returncode == 65
    assert b"Nothing came on standard input" in empty.stderr


def test_a_taken_port(bundle: Path, sounds: Path) -> None:
    publish, replay = free_endpoints()
    context = zmq.Context()
    holder = context.socket(zmq.PUB)
    try:
        holder.bind(publish)
        arguments = (
            "--source",
            "file",
            "--name",
            sounds,
            "--bundle",
            bundle,
            "--publish",
            publish,
            "--replay",
            replay,
        )
        said = refused(69, "run", *arguments)
        assert f"{publish} is taken" in said
        assert "choose another" in said
    finally:
        holder.close(linger=0)
        context.term()


def test_no_such_input_for_the_daemon(bundle: Path, tmp_path: Path) -> None:
    missing = tmp_path / "none.wav"
    result = edgecap("run", "--source", "file", "--name", missing, "--bundle", bundle, "-q", *publishing())
    assert result.exit_code == 66
    assert result.stderr.count("none.wav does not exist") == 1
    assert "Traceback" not in result.stderr


def test_the_demo_ends_by_itself_and_tells_what_it_held(bundle: Path) -> None:
    result = edgecap("demo", "--fast", "--bundle", bundle, *publishing())
    assert result.exit_code == 0, result.output
    assert "the scene held knocking at 4 s, doorbell at" in result.stderr
    assert edgecap("demo", "--fast", "-q", "--bundle", bundle, *publishing()).output == ""


def test_a_demo_beside_a_running_daemon_takes_other_ports(bundle: Path) -> None:
    publish, replay = free_endpoints()
    context = zmq.Context()
    holder = context.socket(zmq.PUB)
    try:
        holder.bind(publish)
        result = edgecap("demo", "--fast", "--bundle", bundle, "--publish", publish, "--replay", replay)
        assert result.exit_code == 0, result.output
        assert "Published on tcp://127.0.0.1:" in result.stderr
    finally:
        holder.close(linger=0)
        context.term()


@pytest.fixture
def daemon(bundle: Path) -> Iterator[subprocess.Popen[bytes]]:
    """`edgecap run` on a pipe that stays open and silent."""
    process = subprocess.Popen(
        on_a_pipe(bundle), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=ROOT
    )  # fmt: skip
    yield process
    process.kill()
    process.communicate()


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 0)])
def test_signals_end_it_cleanly(daemon: subprocess.Popen[bytes], number: int, code: int) -> None:
    assert daemon.stdin is not None
    assert daemon.stdout is not None
    pcm = (np.concatenate([silence(0.5), dog(2)]) * 32767).astype("<i2").tobytes()
    daemon.stdin.write(pcm)
    daemon.stdin.flush()
    assert b"A dog barks." in daemon.stdout.readline()
    daemon.send_signal(number)
    daemon.stdin.write(b"\0" * 6_400)  # the source must not keep it from ending
    daemon.stdin.close()
    assert daemon.wait(10) == code
    assert daemon.stderr is not None
    assert b"Traceback" not in daemon.stderr.read()
    daemon.stdin = None
