"""evaluate: what a bundle is worth on sounds that it never heard."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..console import say
from ..streams import print_json
from . import options
from .train import Cache, Corpus, progress_bar, room

if TYPE_CHECKING:
    from edgecap.training.evaluation.context import Context


def evaluate(
    bundle: Annotated[str, typer.Argument(metavar="BUNDLE", help="A bundle's folder, .zip or name.")],
    corpus: Corpus,
    only: Annotated[
        str | None,
        typer.Option(
            metavar="PART,...",
            help="naming, silence, stability, safety (a plain run), rooms, day, calibration, probe, scenes, "
            "retrieval.",
        ),
    ] = None,
    split: Annotated[
        str,
        typer.Option(
            metavar="val|choose|check|test",
            help="Which held-out clips to hear; choose and check are the two halves of val.",
        ),
    ] = "test",
    clips: Annotated[
        int | None,
        typer.Option(metavar="N", min=1, help="Hear so many of them alone, always the same; else all."),
    ] = None,
    peer: Annotated[
        Path | None,
        typer.Option(
            metavar="WEIGHTS",
            help="mn04's folder: its figures on the same clips beside ours, and of lines on its vectors and "
            "YAMNet's.",
        ),
    ] = None,
    hours: Annotated[
        float,
        typer.Option(
            metavar="HOURS",
            min=0,
            help="Of each silence and noise, and of a sparse day; three times that for false alarms.",
        ),
    ] = 0.2,
    trials: Annotated[
        int, typer.Option(metavar="N", min=1, help="Of each alarm at each level, and of each look-alike.")
    ] = 20,
    scenes: Annotated[
        int, typer.Option(metavar="N", min=2, help="How many held-out scenes to caption.")
    ] = 300,
    taught: Annotated[
        int, typer.Option(metavar="N", min=1, help="Training scenes that baselines take captions from.")
    ] = 5000,
    plans: Annotated[
        Path | None,
        typer.Option(metavar="FOLDER", help="Scenes of human captions too: edgecap prepare's, FOLDER/SPLIT."),
    ] = None,
    wording: Annotated[
        str, typer.Option(metavar="said|free", help="What the session says, or the decoder's own best beam.")
    ] = "said",
    sentences: Annotated[
        Path | None,
        typer.Option(metavar="FOLDER", help="The sentence model for similarity, where not the packaged one."),
    ] = None,
    assets: Annotated[
        Path | None,
        typer.Option(metavar="FOLDER", help="What SPICE and FENSE need and can't be shipped."),
    ] = None,
    seed: Annotated[int, typer.Option(metavar="N", help="Of every draw.")] = 0,
    calibrate: Annotated[
        Path | None,
        typer.Option(
            metavar="CHECKPOINT",
            help="Fit the confidence on these clips and write it into this checkpoint; export it again then.",
        ),
    ] = None,
    plot: Annotated[
        Path | None,
        typer.Option(metavar="FILE.png", help="Draw the confidence against the truth (calibration)."),
    ] = None,
    report: Annotated[
        Path | None, typer.Option(metavar="FILE.html", help="Write a page for people, with pictures.")
    ] = None,
    jobs: Annotated[int, typer.Option(metavar="N", min=1, help="Processes that listen at once.")] = 2,
    cache: Cache = Path("runs/cache"),
    json: options.Json = False,
) -> None:
    """Do captions name held-out sounds, soon and steadily? Are alarms heard, and is silence kept?"""
    from edgecap.runtime.errors import UsageError

    from .evaluate_tables import show

    with room("train"):
        from edgecap.training.evaluation.questions import calibration
        from edgecap.training.evaluation.suite import PLAIN, QUESTIONS
        from edgecap.training.train import write_calibration
    if split not in ("val", "choose", "check", "test"):
        raise UsageError(
            f"--split {split}", why="it must be val, choose, check or test: train is not held out"
        )
    if wording not in ("said", "free"):
        raise UsageError(f"--wording {wording}", why="it must be said or free")
    chosen = only.split(",") if only else list(PLAIN)
    for part in chosen:
        if part not in QUESTIONS:
            raise UsageError(f"--only {part}", why=f"the parts are {', '.join(QUESTIONS)}")
    for file in (plot, report):
        if file and not file.parent.is_dir():
            raise UsageError(f"{file} can't be written", why=f"there is no folder {file.parent}")
    if plot and "calibration" not in chosen:
        raise UsageError("--plot draws the part calibration", fix="add it: --only calibration")
    with _context(
        bundle, corpus, cache, jobs, split=split, most=clips, hours=hours, trials=trials, seed=seed,
        peer=peer, scenes=scenes, taught=taught, plans=plans, wording=wording, sentences=sentences,
        assets=assets,
    ) as context:  # fmt: skip
        if calibrate:
            count, bias, slope, novelty = calibration.fit(context)
            fitted = write_calibration(calibrate, bias, slope, novelty)
            say(f"{calibrate}: confidence calibrated on {count} clips, {fitted}")
            return
        figures = _about(bundle, context)
        for part in chosen:
            begun = time.monotonic()
            figures[part] = QUESTIONS[part](context)
            figures["seconds"][part] = round(time.monotonic() - begun, 1)
    if plot:
        calibration.draw(figures["calibration"], plot)
    if report:
        from edgecap.training.evaluation.page import report as page

        page.write(figures, report)
    if json:
        import msgspec

        print_json(msgspec.json.encode(figures))
    else:
        show(figures)


@contextmanager
def _context(bundle: str, corpus: Path, cache: Path, jobs: int, **choices: Any) -> "Iterator[Context]":
    """Bundle and corpus open, and processes that have them open too."""
    from edgecap.training.evaluation.context import Context, open_stage, workers

    with progress_bar() as progress:
        stage = open_stage(bundle, corpus, cache, progress)  # first: it fills the cache
        with workers(bundle, corpus, cache, jobs) as pool:
            yield Context(stage, corpus, progress=progress, pool=pool, **choices)


def _about(bundle: str, context: "Context") -> dict[str, Any]:
    """What was evaluated, with what, how: enough to do it again."""
    import hashlib
    import platform

    import numpy
    import onnxruntime

    from edgecap import __version__
    from edgecap.runtime.model.bundle import Bundle

    opened = Bundle.open(bundle)
    clips = (context.folder / "clips.csv").read_bytes()
    return {
        "command": ["edgecap", *sys.argv[1:]],
        "bundle": {
            "title": opened.title,
            "created": opened.manifest.created,
            "encoder_sha256": opened.manifest.graphs["encoder"].sha256,
            "thresholds": opened.manifest.thresholds,
        },
        "corpus": {"clips": len(context.corpus.clips), "clips_csv_sha256": hashlib.sha256(clips).hexdigest()},
        "split": context.split,
        "clips": len(context.clips),
        "seed": context.seed,
        "hours": context.hours,
        "trials": context.trials,
        "scenes": context.scenes,
        "wording": context.wording,
        "versions": {
            "edgecap": __version__,
            "python": platform.python_version(),
            "numpy": numpy.__version__,
            "onnxruntime": onnxruntime.__version__,
        },
        "seconds": {},
    }
