"""prepare: human captions and real clips become scenes to learn from."""

import os
from pathlib import Path
from typing import Annotated, Literal

import typer

from ..console import say
from .train import Cache, Corpus, progress_bar, room


def prepare(
    corpus: Corpus,
    captions: Annotated[
        Path,
        typer.Option(
            metavar="FOLDER", help="Sentences of people: .csv or .csv.gz files with caption and split."
        ),
    ],
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="FOLDER", help="plans.jsonl, summary.json, sample.html.")
    ],
    split: Annotated[
        Literal["train", "val", "test"],
        typer.Option(metavar="train|val|test", help="Captions and clips of this split alone."),
    ] = "train",
    scenes: Annotated[
        int | None,
        typer.Option(metavar="N", min=1, help="So many scenes.", show_default="one a caption, three a clip"),
    ] = None,
    seed: Annotated[int, typer.Option(metavar="N", min=0, help="Another seed, other recordings.")] = 0,
    workers: Annotated[
        int | None, typer.Option(metavar="N", min=1, help="Processes.", show_default="one a processor")
    ] = None,
    licence: Annotated[
        Literal["shipping", "free", "all"],
        typer.Option(
            metavar="shipping|free|all",
            help="Clips whose licence lets a model be passed on; lets anything be done; or all.",
        ),
    ] = "shipping",
    sample: Annotated[
        int, typer.Option(metavar="N", min=0, help="Scenes in sample.html, to hear and see.")
    ] = 50,
    teacher: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER",
            help="A tagger (efficientat-mn04) that judges scenes; clips it contradicts are left out.",
        ),
    ] = None,
    cache: Cache = Path("runs/cache"),
) -> None:
    """Scenes for training: each human caption that the clips can play, played by them in its own order.

    A caption of which one word is not understood, or one sound is not among the clips, is refused;
    summary.json counts the reasons. FOLDER/plans.jsonl says what to play, some hundred bytes a scene:
    nothing is rendered until it is trained on. The same seed gives the same bytes with any number of workers.
    """
    with room("train"):
        from edgecap.training.prepare.prepare import Order, make
    order = Order(
        corpus, captions, output, cache, split, licence, scenes, seed, workers or os.cpu_count() or 1,
        sample, teacher,
    )  # fmt: skip
    with progress_bar() as progress:
        summary = make(order, progress)
    say(
        f"{output}: {summary.scenes} scenes and {summary.singles} of one sound, {summary.hours:g} hours; "
        f"{summary.accepted} of {summary.captions} captions ({summary.share:.0%}) are understood in full"
    )
