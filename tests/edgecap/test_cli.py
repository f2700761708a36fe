"""The command line: what it prints, what it writes, and for every bad input one sentence and a code."""

import json
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import zmq
from typer.testing import CliRunner, Result

from edgecap.cli import app
from edgecap.runtime.audio import RATE
from tests.handmade import bell, dog, silence

ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def nobodys_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("COLUMNS", "100")


@pytest.fixture
def sounds(tmp_path: Path) -> Path:
    """A second of silence, a bell, four of silence, a dog, and silence."""
    return write(
        tmp_path / "sounds.wav", np.concatenate([silence(1), bell(1), silence(4), dog(1), silence(2)])
    )


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


# --- caption ----------------------------------------------------------------------------------------


def test_caption_prints_a_table(bundle: Path, sounds: Path) -> None:
    result = edgecap("caption", sounds, "--bundle", bundle)
    assert result.exit_code == 0, result.output
    lines = [line.split() for line in result.stdout.splitlines()]
    assert lines[0] == ["from", "to", "caption", "sure"]
    assert [line[2:-1] for line in lines[1:]] == [["A", "bell", "rings."], ["A", "dog", "barks."]]
    assert lines[1][:2] == ["0:01.0", "0:02.0"]


def test_json_lines_are_every_event(bundle: Path, sounds: Path) -> None:
    lines = edgecap("caption", sounds, "--bundle", bundle, "--json").stdout.splitlines()
    events = [json.loads(line) for line in lines]
    assert [event["seq"] for event in events] == list(range(1, len(events) + 1))
    assert all(event["file"] == str(sounds) and event["model"] == "by-hand 1" for event in events)
    ends = [event for event in events if event["event"] == "end"]
    assert [(event["text"], event["start"], event["end"]) for event in ends] == [
        ("A bell rings.", 1.0, 2.0),
        ("A dog barks.", 6.0, 7.0),
    ]


def test_formats_go_to_stdout_or_to_a_file(bundle: Path, sounds: Path, tmp_path: Path) -> None:
    printed = edgecap("caption", sounds, "--bundle", bundle, "--format", "srt").stdout
    assert printed.startswith("1\n00:00:01,000 --> 00:00:03,000\nA bell rings.\n")
    out = tmp_path / "out.srt"
    assert edgecap("caption", sounds, "--bundle", bundle, "--format", "srt", "-o", out).stdout == ""
    assert out.read_text() == printed


def test_several_recordings_each_into_its_own_file(bundle: Path, sounds: Path, tmp_path: Path) -> None:
    other = write(tmp_path / "other.flac", dog(1))
    folder = tmp_path / "out"
    folder.mkdir()
    assert (
        edgecap("caption", sounds, other, "--bundle", bundle, "--format", "vtt", "-o", folder).exit_code == 0
    )
    assert sorted(path.name for path in folder.iterdir()) == ["other.vtt", "sounds.vtt"]
    assert "A dog barks." in (folder / "other.vtt").read_text()
    assert "2 recordings don't go into one srt" in refused(
        2, "caption", sounds, other, "--bundle", bundle, "--format", "srt"
    )


def test_one_bad_recording_of_several_is_told_and_the_others_are_captioned(
    bundle: Path, sounds: Path, tmp_path: Path
) -> None:
    result = edgecap("caption", tmp_path / "no.wav", sounds, "--bundle", bundle)
    assert result.exit_code == 66
    assert "no.wav does not exist" in result.stderr
    assert "A bell rings." in result.stdout


def test_flags_reach_the_session(bundle: Path, sounds: Path) -> None:
    assert "A bell" not in edgecap("caption", sounds, "--bundle", bundle, "--level", "-1").stdout
    assert refused(78, "caption", sounds, "--bundle", bundle, "--level", "3") == (
        "edgecap: command line: --level is 3.0: allowed is a number from -100 to 0."
        " `edgecap config` explains every key."
    )


def test_a_long_job_shows_progress_on_stderr(
    bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From two seconds on; here each look at the clock is a second later."""
    seconds = iter(range(100_000))
    monkeypatch.setattr("edgecap.terminal.time.monotonic", lambda: float(next(seconds)))
    long = write(tmp_path / "long.wav", silence(20))
    result = edgecap("caption", long, "--bundle", bundle, "--json")
    assert "edgecap: long.wav: " in result.stderr
    assert result.stdout == ""


# --- any sound in -----------------------------------------------------------------------------------


def test_silence_and_dc_say_nothing(bundle: Path, tmp_path: Path) -> None:
    for name, samples in (("silence", silence(3)), ("dc", np.full(3 * RATE, 0.5, np.float32))):
        result = edgecap("caption", write(tmp_path / f"{name}.wav", samples), "--bundle", bundle)
        assert (result.exit_code, result.stdout) == (0, ""), name
        assert "nothing was heard" in result.stderr


@pytest.mark.parametrize(
    ("name", "samples", "rate"),
    [
        ("nan", np.where(np.arange(3 * RATE) % 997 == 0, np.nan, np.resize(dog(3), 3 * RATE)), RATE),
        ("clipped", np.sign(dog(3)), RATE),
        ("8 kHz", dog(3)[::4], 8_000),
        ("six channels", np.stack([dog(3)] * 6, axis=1), RATE),
        ("three samples", np.zeros(3), RATE),
    ],
)
def test_unusual_sound_is_captioned_without_complaint(
    bundle: Path, tmp_path: Path, name: str, samples: Any, rate: int
) -> None:
    path = write(tmp_path / "in.wav", samples.astype(np.float32), rate, subtype="FLOAT")
    result = edgecap("caption", path, "--bundle", bundle, "--json")
    assert result.exit_code == 0, result.output
    for line in result.stdout.splitlines():
        event = json.loads(line)
        assert 0 <= event["confidence"] <= 1


def test_input_that_is_no_sound(bundle: Path, tmp_path: Path, sounds: Path) -> None:
    (tmp_path / "empty.wav").touch()
    (tmp_path / "text.wav").write_text("this is not audio")
    out = tmp_path / "out.srt"
    for file, code, says in [
        ("empty.wav", 65, "holds no sound: it is empty"),
        ("text.wav", 65, "is not a recording: it is text"),
        ("none.wav", 66, "does not exist"),
        (".", 65, "is a folder"),
    ]:
        arguments = "caption", tmp_path / file, "--bundle", bundle, "--format", "srt", "-o", out
        assert says in refused(code, *arguments)
        assert not out.exists()


# --- bundles, configuration, usage ------------------------------------------------------------------


def test_a_damaged_foreign_or_missing_bundle(bundle: Path, sounds: Path, tmp_path: Path) -> None:
    damaged = tmp_path / "damaged"
    damaged.mkdir()
    for file in bundle.iterdir():
        (damaged / file.name).write_bytes(file.read_bytes())
    encoder = bytearray((damaged / "encoder.onnx").read_bytes())
    encoder[-1] ^= 1
    (damaged / "encoder.onnx").write_bytes(encoder)
    assert "does not match the manifest's sha256" in refused(65, "caption", sounds, "--bundle", damaged)
    assert "is not a bundle" in refused(65, "caption", sounds, "--bundle", tmp_path)
    assert "there is no bundle 'room-huge'" in refused(66, "caption", sounds, "--bundle", "room-huge")


def test_a_configuration_that_is_wrong(sounds: Path, tmp_path: Path) -> None:
    file = tmp_path / "c.yaml"
    file.write_text("captions: {confidnce: 0.5}\n")
    for command in (["run"], ["demo"], ["caption", sounds], ["config"]):
        said = refused(78, *command, "--config", file)
        assert "unknown key captions.confidnce" in said
    assert "which other machines can reach" in refused(78, "run", "--publish", "tcp://0.0.0.0:7310")
    assert "can't be read" in refused(78, "config", "--config", tmp_path / "none.yaml")


def test_a_hedge_above_the_bundles_confidence_is_refused_once(bundle: Path, sounds: Path) -> None:
    said = "captions.hedge 0.8 is above confidence 0.5, the bundle's own"
    flags = "--bundle", bundle, "--hedge", "0.8"
    assert said in refused(78, "caption", sounds, sounds, *flags)
    assert said in refused(78, "run", "--source", "file", "--name", sounds, *flags, *publishing())
    assert (
        edgecap("caption", sounds, "--bundle", bundle, "--confidence", "0.1").exit_code == 0
    )  # hedge follows


def test_set_reaches_every_key_and_is_refused_by_its_name(tmp_path: Path) -> None:
    rooms = "rooms=[{room: a}, {room: b, source: {kind: file, name: b.wav}}]"
    printed = edgecap("config", "--set", rooms, "--set", "captions.level=-50").stdout
    (tmp_path / "c.yaml").write_text(printed)
    assert "room: b" in printed
    assert edgecap("config", "--config", tmp_path / "c.yaml").stdout == printed
    assert "rooms[0].source.kind is 'radio'" in refused(
        78, "config", "--set", "rooms=[{room: a, source: {kind: radio}}]"
    )
    assert "--level is 3" in refused(78, "config", "--set", "captions.level=3")
    assert "unknown key captions.lvl" in refused(78, "config", "--set", "captions.lvl=3")
    assert "is no KEY=VALUE" in refused(2, "config", "--set", "captions.level")
    assert "--set room=[, line 1: not valid YAML" in refused(78, "config", "--set", "room=[")


def test_the_demo_is_one_room_whatever_is_configured(bundle: Path, tmp_path: Path) -> None:
    file = tmp_path / "c.yaml"
    file.write_text("rooms: [{room: a}, {room: b}]\n")
    flags = "--config", file, "--room", "den", "--bundle", bundle
    result = edgecap("demo", "--fast", "--json", *flags, *publishing())
    assert result.exit_code == 0, result.output
    assert {json.loads(line)["room"] for line in result.stdout.splitlines()} == {"den"}


def test_the_printed_configuration_is_one(tmp_path: Path) -> None:
    printed = edgecap("config", "--room", "kitchen", "--level", "-50").stdout
    assert "room: kitchen\n" in printed
    (tmp_path / "c.yaml").write_text(printed)
    assert edgecap("config", "--config", tmp_path / "c.yaml").stdout == printed


@pytest.mark.parametrize(
    "arguments",
    [["--no-such"], ["nothing"], ["caption"], ["run", "--level", "loud"], ["demo", "--seed", "-1"]],
)
def test_wrong_usage_is_2(arguments: list[str]) -> None:
    assert edgecap(*arguments).exit_code == 2


def test_options_that_exclude_each_other(sounds: Path) -> None:
    assert "--json and --format" in refused(2, "caption", sounds, "--json", "--format", "srt")
    assert "--json and --quiet" in refused(2, "run", "--json", "--quiet")
    assert "known are srt, vtt, csv" in refused(2, "caption", sounds, "--format", "doc")


# --- run and demo -----------------------------------------------------------------------------------


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


def test_a_pipe_is_a_source(bundle: Path) -> None:
    pcm = (np.concatenate([dog(1), silence(2)]) * 32767).astype("<i2").tobytes()
    command = [
        sys.executable,
        "-m",
        "edgecap",
        "run",
        "--source",
        "stdin",
        "--bundle",
        str(bundle),
        *publishing(),
    ]
    done = subprocess.run(command, input=pcm, capture_output=True, cwd=ROOT, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.decode().rstrip().endswith("  A dog barks.")  # a plain line: local time, the sentence
    empty = subprocess.run(command, input=b"", capture_output=True, cwd=ROOT, timeout=60, check=False)
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
    command = [
        sys.executable,
        "-m",
        "edgecap",
        "run",
        "--source",
        "stdin",
        "--bundle",
        str(bundle),
        *publishing(),
    ]
    process = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=ROOT
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


def test_a_reader_that_leaves_is_no_error(bundle: Path, sounds: Path) -> None:
    command = f"'{sys.executable}' -m edgecap caption {sounds} --bundle {bundle} --json"
    done = subprocess.run(
        ["bash", "-c", f"set -o pipefail; {command} | true"],
        capture_output=True,
        cwd=ROOT,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, b"")


def test_a_defect_of_ours_is_called_one(sounds: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise ZeroDivisionError("made for this test")

    monkeypatch.setattr("edgecap.runtime.config.file.load", broken)
    result = edgecap("caption", sounds)
    assert result.exit_code == 70
    assert "ZeroDivisionError: made for this test" in result.stderr
    assert "defect of ours" in result.stderr


# --- this machine -----------------------------------------------------------------------------------


@pytest.fixture
def no_sound_server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing to connect to: an empty home, an empty runtime folder, a socket that isn't there."""
    for variable in ("HOME", "XDG_RUNTIME_DIR", "PULSE_RUNTIME_PATH"):
        monkeypatch.setenv(variable, str(tmp_path))
    monkeypatch.setenv("PULSE_SERVER", f"unix:{tmp_path}/none")


@pytest.mark.usefixtures("no_sound_server")
def test_no_microphone() -> None:
    pytest.importorskip("pyaudio")
    result = edgecap("devices")
    if result.exit_code == 0:
        pytest.skip("this machine has a sound card of its own")
    assert result.exit_code == 66
    assert "There is no microphone. Connect one" in result.stderr


@pytest.mark.usefixtures("no_sound_server")
def test_doctor_says_what_works_and_the_fix(bundle: Path, tmp_path: Path) -> None:
    publish, replay = free_endpoints()
    file = tmp_path / "c.yaml"
    file.write_text(f"bundle: {bundle}\npublish: {publish}\nreplay: {replay}\n")
    result = edgecap("doctor", "--config", file)
    assert result.exit_code == 0, result.output
    assert "by-hand 1, every hash matches" in result.stdout
    file.write_text("bundle: nowhere\n")
    result = edgecap("doctor", "--config", file, "--json")
    assert result.exit_code == 69
    findings = {finding["what"]: finding for finding in map(json.loads, result.stdout.splitlines())}
    assert findings["bundle"]["verdict"] == "broken"
    assert findings["bundle"]["fix"]
    assert findings["onnxruntime"]["verdict"] == "works"


def test_bench_has_a_figure_for_everything(bundle: Path) -> None:
    result = edgecap("bench", bundle, "--live", "2", "--json")
    assert result.exit_code == 0, result.output
    parts = [json.loads(line) for line in result.stdout.splitlines()]
    assert [part["part"] for part in parts] == [
        "machine",
        "stages",
        "comparison",
        *["backend"] * 4,
        "live",
        "live",
    ]
    stages = parts[1]
    names = "front_end", "encoder", "alarms", "segment_policy", "adapter_decoder"
    assert all(stages[name] >= 0 for name in (*names, "silence"))
    assert sum(stages[name] for name in names) == pytest.approx(stages["whole"])
    assert parts[2]["name"] == "edgecap"
    for backend in parts[3:7]:
        assert backend["backend"] == "onnxruntime cpu"
        assert 0 < backend["tight_p50_ms"] <= backend["tight_p99_ms"]
        assert backend["paced_p50_ms"] > 0
    for live in parts[7:]:
        assert 0 < live["ready_s"] < 30
        assert 10 < live["rss_mb"] <= live["peak_rss_mb"] * 1.01
        assert live["duration_s"] >= 2
    assert "holds no peer" in refused(65, "bench", bundle, "--peer", bundle)


def test_doctor_reports_a_broken_configuration(tmp_path: Path) -> None:
    file = tmp_path / "c.yaml"
    file.write_text("rom: kitchen\n")
    result = edgecap("doctor", "--config", file)
    assert result.exit_code == 69
    assert "unknown key rom" in result.stdout
