"""train: from sounds to a checkpoint."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..console import say

if TYPE_CHECKING:
    from edgecap.training.papers.smoke import Rehearsal

Corpus = Annotated[
    Path, typer.Option(metavar="FOLDER", help="Clips: a folder with clips.csv, labels.csv and the audio.")
]
Cache = Annotated[
    Path, typer.Option(metavar="FOLDER", help="Where decoded clips are kept between runs (4 MB a minute).")
]


class Split(StrEnum):
    """Recordings that were not taught."""

    val = "val"
    test = "test"


def train(
    recipe: Annotated[Path, typer.Argument(metavar="RECIPE", help="A file of training/recipes.")],
    corpus: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER",
            help="Clips: a folder with clips.csv, labels.csv and the audio; or a public corpus.",
        ),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="FOLDER", help="Checkpoints, logs, curves, the model."),
    ] = None,
    teacher: Annotated[
        Path | None,
        typer.Option(metavar="FOLDER", help="The teacher's weights (efficientat-mn04); else labels alone."),
    ] = None,
    scenes: Annotated[
        Path | None,
        typer.Option(metavar="FOLDER", help="What `edgecap prepare` made of people's captions; else ours."),
    ] = None,
    weights: Annotated[
        Path | None,
        typer.Option(metavar="FOLDER", help="Public weights that a recipe of the paper begins with."),
    ] = None,
    start: Annotated[
        str | None,
        typer.Option(
            metavar="BUNDLE",
            help="Go on from this encoder (or an encoder.safetensors) by the recipe's last stage of it.",
        ),
    ] = None,
    cache: Cache = Path("runs/cache"),
    smoke: Annotated[
        bool,
        typer.Option(
            "--smoke",
            help="Of a paper's recipe: twenty steps at full size on random features, and their memory.",
        ),
    ] = False,
    anew: Annotated[
        bool,
        typer.Option(
            "--anew", help="Make a stage again whose settings or inputs changed; else it is refused."
        ),
    ] = False,
    split: Annotated[
        Split,
        typer.Option(help="Which held-out recordings a recipe of the paper is scored on; test is counted."),
    ] = Split.val,
) -> None:
    """Make a model: the streaming encoder, then SEE's semantic encoder, then the decoder of sentences.

    It resumes where it was stopped; a stage that was made from other settings or inputs is refused, with what
    changed. FOLDER/model is what `edgecap export` takes; every stage draws its
    curves into FOLDER/STAGE/curves.png. A paper's recipe (clotho-ref.yaml) learns from a public corpus and
    public weights, one of our own scale (-small) from prepared scenes; both end with scores in FOLDER: of
    validation, unless the test split is asked for.
    """
    from edgecap.runtime.errors import UsageError

    with room("train"):
        from edgecap.training.papers.order import Order
        from edgecap.training.recipe import PAPERS, SMOKES, Recipe, read_recipe
        from edgecap.training.train import train as run
    plan = read_recipe(recipe)
    if smoke:
        _rehearse(plan, SMOKES)
        return
    if corpus is None or output is None:
        raise UsageError(
            f"{recipe} is trained from a corpus into a folder",
            fix="name both: --corpus FOLDER -o FOLDER; a paper's recipe can be rehearsed without, by --smoke",
        )
    if not isinstance(plan, Recipe):
        with progress_bar() as progress:
            order = Order(
                corpus, output, weights, scenes, start or "room-small", cache, progress, anew, split.value
            )
            folder = PAPERS[type(plan)](plan, order)
        made = ", ".join(str(path) for path in sorted(output.glob("*.csv")) + sorted(output.glob("*.json")))
        say(f"{folder}: trained. What it says of the held-out recordings, and its scores: {made}")
        return
    with progress_bar() as progress:
        papers = {"MODEL_CARD.md": recipe.with_suffix(".card.md"), "LICENSE": recipe.with_suffix(".license")}
        papers = {name: paper for name, paper in papers.items() if paper.is_file()}
        folder = run(plan, corpus, teacher, output, cache, papers, scenes, start or "", progress, anew=anew)
    say(f"{folder}: trained. Next: edgecap export {folder} -o BUNDLE")


def _rehearse(plan: object, stages: "Mapping[type, Callable[[Any], Iterator[Rehearsal]]]") -> None:
    """Twenty steps of every stage of a recipe, a line each."""
    from edgecap.runtime.errors import UsageError
    from edgecap.training.papers.smoke import rehearse

    if type(plan) not in stages:
        raise UsageError("--smoke is for the recipes of papers", fix="leave it out, and name --corpus and -o")
    for stage in stages[type(plan)](plan):
        with progress_bar() as progress:
            done = rehearse(stage, progress)
        say(str(done))


@contextmanager
def room(extra: str) -> Iterator[None]:
    """Imports of a room that needs an extra: one sentence where it is not installed."""
    from edgecap.runtime.errors import UnavailableError

    try:
        yield
    except ModuleNotFoundError as missing:
        raise UnavailableError(
            f"{missing.name} is not installed",
            why="making models needs more than captioning does",
            fix=f'run: pip install "edgecap[{extra}]"',
        ) from missing


@contextmanager
def progress_bar() -> Iterator[Callable[[float, str], None]]:
    """How far a long job is, until it ends: called with the share done and what is at work."""
    from edgecap.terminal import Progress

    bar = Progress(1.0)
    try:
        yield bar.at
    finally:
        bar.stop()
