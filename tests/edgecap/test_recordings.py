"""Recordings as people have them, through the real command: unfinished, joined, on pipes, under any name."""

import io
import json
import os
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
import soundfile

from edgecap.runtime.audio import RATE
from tests.recordings import Encoded, encodings, with_length

ROOT = Path(__file__).parents[2]
CLIP = ROOT / "tests" / "data" / "clips" / "door_knock.opus"
PATIENCE_S = 100.0
KNOCKS = "Someone knocks on a door."


def knocks(container: str, codec: str) -> Encoded:
    """Knocking, and two seconds of silence."""
    samples, rate = soundfile.read(CLIP, dtype="float32")
    samples = np.concatenate([samples, np.zeros(2 * rate, np.float32)])
    data = io.BytesIO()
    soundfile.write(data, samples, rate, format=container, subtype=codec)
    return Encoded(container, codec, data.getvalue(), samples)


def edgecap(*arguments: object, sound: bytes | None = None) -> tuple[int, str, list[str]]:
    """Exit code, standard output, and the lines on stderr; `sound` comes on standard input."""
    done = subprocess.run(
        [sys.executable, "-m", "edgecap", *map(str, arguments)],
        input=sound, capture_output=True, cwd=ROOT, timeout=PATIENCE_S, check=False,
    )  # fmt: skip
    assert b"Traceback" not in done.stderr, done.stderr.decode()
    return done.returncode, done.stdout.decode(), done.stderr.decode().splitlines()


def captioned(output: str) -> dict[str, list[str]]:
    """The recordings and what was said of them."""
    said: dict[str, list[str]] = {}
    for line in map(json.loads, output.splitlines()):
        if line["event"] == "new":
            said.setdefault(Path(line["file"]).name, []).append(line["text"])
    return said


@pytest.fixture(scope="module")
def wav() -> Encoded:
    return knocks("WAV", "PCM_16")


def test_what_a_recorder_left_behind_is_captioned_with_one_line_for_each(
    tmp_path: Path, wav: Encoded
) -> None:
    flac, ogg, mp3 = knocks("FLAC", "PCM_16"), knocks("OGG", "VORBIS"), knocks("MP3", "MPEG_LAYER_III")
    aiff = knocks("AIFF", "PCM_24")
    left = {
        "whole.wav": wav.data,
        "never-finished.wav": with_length(wav, lambda length: 0) or b"",
        "lost-tail.wav": wav.data[: -2 * RATE],
        "a-byte-short.wav": wav.data[:-1],
        "two-pieces.wav": wav.data + b"data" + (2 * RATE).to_bytes(4, "little") + bytes(2 * RATE),
        "joined.wav": 2 * wav.data,
        "too-long.aiff": with_length(aiff, lambda length: 9 * length) or b"",
        "cut.flac": flac.data[: len(flac.data) * 3 // 4],
        "no-end.ogg": ogg.data[: ogg.data.rindex(b"OggS")],
        "cut-at-both-ends.mp3": mp3.data[1000:-1000],
        "empty.wav": b"",
        "header.wav": wav.data[:40],
    }
    for name, data in left.items():
        (tmp_path / name).write_bytes(data)
    code, output, lines = edgecap("caption", "--json", *(tmp_path / name for name in left))
    said = captioned(output)
    refused = {"empty.wav", "header.wav"}
    assert set(said) == set(left) - refused
    assert all(KNOCKS in texts for texts in said.values())
    assert said["joined.wav"].count(KNOCKS) >= 2
    assert code == 65  # for those two
    told = {name: [line for line in lines if f"{name} " in line and "%" not in line] for name in left}
    assert {name: len(each) for name, each in told.items()} == {
        name: 0 if name == "whole.wav" else 1 for name in left
    }
    for name in ("lost-tail.wav", "a-byte-short.wav", "too-long.aiff", "cut.flac", "no-end.ogg"):
        assert " ends early: " in told[name][0]
        assert "; captioned the " in told[name][0]
    assert not any("again" in line for line in lines)


@pytest.mark.parametrize(("name", "container"), [("-", "FLAC"), ("/dev/stdin", "WAV")])
def test_standard_input_is_a_recording_of_any_kind(name: str, container: str) -> None:
    code, output, lines = edgecap("caption", "--json", name, sound=knocks(container, "PCM_16").data)
    assert (code, captioned(output)) == (0, {Path(name).name: [KNOCKS]}), lines


def test_a_pipe_by_its_path_is_a_recording(tmp_path: Path, wav: Encoded) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    writing = threading.Thread(target=fifo.write_bytes, args=(wav.data,))
    writing.start()
    code, output, lines = edgecap("caption", "--json", fifo)
    writing.join(PATIENCE_S)
    assert (code, captioned(output)) == (0, {"fifo": [KNOCKS]}), lines


@pytest.mark.parametrize("codec", ["MPEG_LAYER_III", "PCM_24", "VORBIS", "raw f32"])
def test_what_is_piped_into_run_is_known_by_its_first_bytes(codec: str, wav: Encoded) -> None:
    flags = ["--publish", "tcp://127.0.0.1:*", "--replay", "tcp://127.0.0.1:*"]
    if codec == "raw f32":
        data = wav.samples.astype("<f4").tobytes()
        code, output, lines = edgecap("run", "--source", "stdin", "--rate", "16000", *flags, sound=data)
        doubt = "does not look like s16le: it looks like f32le; if so, add --sample f32le"
        assert any(doubt in line for line in lines)
        flags += ["--sample", "f32le", "--rate", str(soundfile.info(CLIP).samplerate)]
    else:
        container = {"MPEG_LAYER_III": "MP3", "PCM_24": "AIFF", "VORBIS": "OGG"}[codec]
        data = knocks(container, codec).data
    code, output, lines = edgecap("run", "--source", "stdin", *flags, sound=data)
    assert code == 0, lines
    assert KNOCKS in output
    assert not any("look" in line for line in lines)


def test_a_sample_of_every_kind_ends_in_captions_or_one_sentence(tmp_path: Path) -> None:
    """Of each container one, cut: no defect, nothing but its sentence."""
    containers = {each.container: each for each in encodings()}
    for name, each in containers.items():
        (tmp_path / name).write_bytes(each.data[: len(each.data) // 2])
    code, _, lines = edgecap("caption", "--format", "csv", *(tmp_path / name for name in containers))
    assert code in (0, 65)
    told = [line for line in lines if "%" not in line]
    assert all(line.startswith("edgecap: ") for line in told)
    for name in containers:
        assert sum(f"/{name} " in line for line in told) <= 1
