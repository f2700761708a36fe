"""The command line: what it prints, what it writes, and for every bad input one sentence and a code."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgecap.runtime.audio import RATE
from tests.called import edgecap, free_endpoints, publishing, refused, write
from tests.handmade import dog, silence

ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.usefixtures("nobodys_home")


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


# --- readers that leave, defects ---------------------------------------------------------------------


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
