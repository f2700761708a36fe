"""What `edgecap train` asks of a paper's recipe."""

from pathlib import Path
from typing import Literal, NamedTuple

from ...runtime.errors import InputMissingError
from ..loop import Progress


class Order(NamedTuple):
    """The folders that a paper is trained from and into.

    corpus: recordings with captions, or clips. weights: public ones. scenes: train, val and test by
    `edgecap prepare`, for a recipe of our own scale. bundle: whose encoder is ours.
    anew: a stage that was made from something else is made again; else UsageError says what changed.
    scored: which recordings that were not taught.
    """

    corpus: Path
    output: Path
    weights: Path | None = None
    scenes: Path | None = None
    bundle: str = "room-small"
    cache: Path = Path("runs/cache")
    progress: Progress = lambda done, what: None
    anew: bool = False
    scored: Literal["val", "test"] = "val"


def given(folder: Path | None, option: str, paper: str, why: str) -> Path:
    """The folder of an option that this recipe can't do without. Raises InputMissingError."""
    if folder is None:
        raise InputMissingError(f"{paper} needs {option}", why=why, fix=f"name the folder: {option} FOLDER")
    return folder
