"""A recording's captions hold every event, through the command: the real model, a real knock."""

import csv
import io
from pathlib import Path

import numpy as np
import soundfile
from typer.testing import CliRunner

from edgecap.cli import app
from edgecap.runtime.audio import RATE
from edgecap.runtime.sound.files import file_blocks

CLIPS = Path(__file__).parents[1] / "data" / "clips"
TIMES, EVERY_S = 9, 20


def test_a_knock_heard_for_the_ninth_time_is_still_a_knock(tmp_path: Path) -> None:
    knock = np.concatenate([block.samples for block in file_blocks(CLIPS / "door_knock.opus")])
    hall = np.random.default_rng(0).standard_normal(TIMES * EVERY_S * RATE).astype(np.float32) * 2e-4
    for i in range(TIMES):
        at = (i * EVERY_S + 2) * RATE
        hall[at : at + len(knock)] += knock
    recording = tmp_path / "hall.wav"
    soundfile.write(recording, hall, RATE, subtype="PCM_16")
    told = CliRunner().invoke(app, ["caption", "--format", "csv", str(recording)])
    rows = list(csv.DictReader(io.StringIO(told.stdout)))
    assert told.exit_code == 0, told.output
    starts = [float(row["start"]) for row in rows if "knock" in row["text"].lower()]
    assert [round((start - 2) / EVERY_S) for start in starts] == list(range(TIMES))
    assert len(rows) == TIMES
