"""`edgecap evaluate`: its report, its tables, and what it can not be asked."""

import json
from pathlib import Path

import pytest
import soundfile
from typer.testing import CliRunner, Result

from edgecap.cli import app
from edgecap.runtime.audio import RATE
from tests import handmade
from tests.asked import LABELS


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    """A corpus folder with two bells and two rooms in each split."""
    folder = tmp_path / "clips"
    folder.mkdir()
    rows = ["id,file,source,recording,label,labels,split,licence"]
    for i, split in enumerate(("train", "val", "test") * 2):
        for label, sound in (("bell", handmade.bell(1.0)), ("room_tone", 0.01 * handmade.rain(1.0, i))):
            name = f"{label}-{i}"
            soundfile.write(folder / f"{name}.wav", sound, RATE)
            rows.append(f"{name},{name}.wav,made,made:{i},{label},{label},{split},CC0")
    (folder / "clips.csv").write_text("\n".join(rows) + "\n")
    labels = [f"{label.name},{label.phrase},{label.category}" for label in LABELS]
    (folder / "labels.csv").write_text("\n".join(["label,phrase,category", *labels]) + "\n")
    return folder


def evaluate(bundle: Path, corpus: Path, *flags: str) -> Result:
    """The command's answer."""
    cache = corpus.parent / "cache"
    return CliRunner().invoke(
        app, ["evaluate", str(bundle), "--corpus", str(corpus), "--cache", str(cache), *flags]
    )  # fmt: skip


def test_the_command_gives_one_object_whoever_does_the_work(tiny_bundle: Path, corpus: Path) -> None:
    reports = []
    for jobs in ("1", "2"):
        flags = ["--only", "naming,silence", "--hours", "0.002", "--jobs", jobs, "--json"]
        done = evaluate(tiny_bundle, corpus, *flags)
        assert done.exit_code == 0, done.output
        reports.append(json.loads(done.stdout))
    for part in ("naming", "silence"):
        assert reports[0][part] == reports[1][part]
    assert reports[0]["naming"]["clips"]["clips"] == 2  # the test split's bells; rooms hold nothing to name
    assert set(reports[0]["seconds"]) == {"naming", "silence"}
    assert reports[0]["bundle"]["title"] == "room-tiny 0.1"
    assert reports[0]["seed"] == 0


def test_tables_show_the_same_figures(tiny_bundle: Path, corpus: Path, tmp_path: Path) -> None:
    plot = tmp_path / "plot.png"
    flags = ["--only", "naming,silence,calibration,day", "--hours", "0.001", "--jobs", "1"]
    done = evaluate(tiny_bundle, corpus, *flags, "--plot", str(plot))
    assert done.exit_code == 0, done.output
    for words in ("held-out clips", "chance, uniform: 1.000", "digital silence", "ece: ", "captions_an_hour"):
        assert words in done.stdout
    assert plot.read_bytes().startswith(b"\x89PNG")


def test_a_corpus_without_noise_can_not_ask_for_rooms(tiny_bundle: Path, corpus: Path) -> None:
    done = evaluate(tiny_bundle, corpus, "--only", "rooms", "--jobs", "1", "--split", "val", "--clips", "1")
    assert done.exit_code != 0
    assert "the split val has no recording of everyday noise" in done.stderr


@pytest.mark.parametrize(
    ("flags", "complaint"),
    [
        (["--only", "naming,tides"], "--only tides"),
        (["--split", "train"], "train is not held out"),
        (["--clips", "0"], "--clips"),
        (["--plot", "reliability.png"], "Add it: --only calibration"),
        (["--report", "nowhere/page.html"], "there is no folder nowhere"),
    ],
)
def test_what_can_not_be_asked_is_said_before_the_work(
    tiny_bundle: Path, corpus: Path, flags: list[str], complaint: str
) -> None:
    done = evaluate(tiny_bundle, corpus, *flags)
    assert done.exit_code == 2
    assert complaint in done.stderr
