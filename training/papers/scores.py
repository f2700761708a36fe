"""What a captioner of a paper said of held-out recordings, and its scores: captions.csv, scores.json."""

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import msgspec

from ..evaluation.metrics.text_scores import TextScores, score_text
from ..models.checkpoint import write_json

Scored = Literal["val", "test"]


class Scores(msgspec.Struct):
    """scores.json: what was scored, and how often the test split was looked at."""

    val: TextScores | None = None
    test: TextScores | None = None
    test_looks: int = 0


def write_scores(
    said: Sequence[str], names: Sequence[str], references: Sequence[Sequence[str]], split: Scored,
    output: Path,
) -> None:  # fmt: skip
    """Write both, the scores beside the other split's.

    All at once: the rarity of words in CIDEr comes from the references scored together.
    """
    with (output / "captions.csv").open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(["recording", "caption"])
        table.writerows(zip(names, said, strict=True))
    path = output / "scores.json"
    scores = msgspec.json.decode(path.read_bytes(), type=Scores) if path.exists() else Scores()
    if len(said) > 1:  # CIDEr knows no rare words else
        setattr(scores, split, score_text(said, references))
    scores.test_looks += split == "test"
    write_json(scores, path)
