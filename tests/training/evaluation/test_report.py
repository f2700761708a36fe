"""The report's page holds what was measured, whatever was measured, and nothing from elsewhere."""

import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgecap.runtime.audio import RATE
from edgecap.training.evaluation.captioned import Said
from edgecap.training.evaluation.page.report import SECTIONS, TITLES, render, write
from edgecap.training.evaluation.questions.comparison import SPOKEN, picture
from edgecap.training.evaluation.questions.day import Lived, figures
from edgecap.training.evaluation.suite import QUESTIONS

VOID = {"meta", "img", "rect", "line", "circle"}


class Outline(HTMLParser):
    """Checks that tags are closed in order; gathers text and what is loaded."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.text: list[str] = []
        self.loaded: list[str] = []

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        if tag not in VOID:
            self.open.append(tag)
        self.loaded += [str(value) for name, value in attributes if name in ("src", "href")]

    def handle_endtag(self, tag: str) -> None:
        assert tag in VOID or self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text.append(data)


def scores(f1: float) -> dict[str, float]:
    return {"precision": f1, "recall": f1, "f1": f1}


def system(cider: float, f1: float) -> dict[str, Any]:
    by_class = {"dog_bark": {**scores(f1), "scenes": 9}}
    events = {"micro": scores(f1), "macro": scores(f1), "kin": scores(f1), "by class": by_class}
    return {
        "text": {"CIDEr-D": cider, "ROUGE-L": 0.3, "vocabulary": 8.0},
        "absent": {"METEOR": "there is no java"},
        "events": events,
        "notes": {},
    }


def gain(value: float) -> dict[str, float]:
    return {"ours": 1.2, "theirs": 1.0, "gain": value, "low": value - 0.1, "high": value + 0.1}


@pytest.fixture
def report() -> dict[str, Any]:
    tone = np.sin(np.arange(2 * RATE) * 0.3).astype(np.float32)
    example = {
        "references": ["a <dog> barks"],
        "labels": ["dog_bark"],
        "captions": [{"text": "A dog barks.", "start_s": 0.5, "end_s": 1.5}],
        "systems": {"edgecap": "A dog barks."},
        "spectrogram": picture(tone),
    }
    composed = {
        "scenes": 12,
        "scenes with nothing to hear": 2,
        "of these spoken of": 1,
        "systems": {"edgecap": system(1.234, 0.512), "mn04, templates": system(1.0, 0.4)},
        "gains": {"mn04, templates": {"CIDEr-D": gain(0.234), "event F1": gain(0.12), SPOKEN: gain(0.05)}},
        "examples": [example],
    }
    retrieval = {"scenes": 10, "captions": 9, "text to audio": {"R@1": 0.5, "mAP@10": 0.71}}
    return {
        "command": ["edgecap", "evaluate", "room-small"],
        "bundle": {"title": "room-small 1.0"},
        "split": "test",
        "seed": 3,
        "scenes": {"composed": composed},
        "retrieval": {"composed": retrieval},
        "probe": {"streaming": {"top1": 0.618}, "ratio": float("nan")},
        "calibration": {
            "captions": 9, "right": 0.5, "ece": 0.041, "brier": 0.2,
            "bins": [{"from": 0.4, "captions": 9, "confidence": 0.45, "right": 0.5}],
        },
        "rooms": {
            "in a room": {"clips of sounds that it was taught": {
                "clips": 9, "spoken": 0.9, "recall": 0.713, "recall_low": 0.65, "recall_high": 0.77,
                "first_right": 0.8, "kin": 0.85,
            }},
            "over noise, +0 dB": {"clips": {"clips": 9, "recall": 0.22}},
        },
        "day": figures(
            [Lived([], [Said(0, "new", "1", "A <baby> is crying.", 0.9, frozenset({"crying_baby"}))])],
            8.0, frozenset(),
        ),
        "seconds": {"scenes": 181.0},
    }  # fmt: skip


def test_the_page_is_whole_and_loads_nothing(report: dict[str, Any]) -> None:
    html = render(report)
    outline = Outline()
    outline.feed(html)
    assert outline.open == []
    anchors = {f"#{name}" for name in SECTIONS if name in report}
    assert {url for url in outline.loaded if not url.startswith("data:image/png;base64,")} == anchors
    text = " ".join(outline.text)
    for figure in (
        "1.234", "0.512", "+23 %", "+12 %", "+5 %", "0.710", "0.618", "0.041", "there is no java",
        "0.71 (0.65 to 0.77)", "0.22", "0.125", "A <baby> is crying. (nothing)",
    ):  # fmt: skip
        assert figure in text, figure
    assert "a <dog> barks" in text  # escaped, and so read as it was written
    assert "alarms" not in text.lower()  # that part was not asked for


def test_a_gain_below_the_aim_is_not_called_enough(report: dict[str, Any]) -> None:
    gains = report["scenes"]["composed"]["gains"]["mn04, templates"]

    def verdict() -> str:
        row = re.search(r"<tr><th scope=\"row\">mn04, templates</th>(?:(?!</tr>).)*%.*?</tr>", render(report))
        assert row
        return re.findall(r"<td>(\w+)</td>", row[0])[-1]

    assert verdict() == "no"
    gains["event F1"] = gain(0.16)
    assert verdict() == "yes"
    gains["CIDEr-D"] = {**gain(0.0), "theirs": 0.0, "gain": float("nan")}
    assert verdict() == "yes"  # more than nothing


def test_every_part_of_an_evaluation_has_a_section() -> None:
    assert QUESTIONS.keys() == SECTIONS.keys() == TITLES.keys()


def test_a_page_appears_when_it_is_complete(report: dict[str, Any], tmp_path: Path) -> None:
    write(report, tmp_path / "report.html")
    assert [path.name for path in tmp_path.iterdir()] == ["report.html"]
    report["scenes"]["composed"]["examples"][0]["spectrogram"]["levels"] = "not base64 at all"
    before = (tmp_path / "report.html").read_text()
    with pytest.raises(ValueError):
        write(report, tmp_path / "report.html")
    assert (tmp_path / "report.html").read_text() == before
