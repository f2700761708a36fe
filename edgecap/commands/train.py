"""train and evaluate: from sounds to a checkpoint, and what a bundle is worth on sounds it never heard."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from . import options

if TYPE_CHECKING:
    from edgecap.training.evaluation.naming import Uttered

Corpus = Annotated[
    Path, typer.Option(metavar="FOLDER", help="Clips: a folder with clips.csv, labels.csv and the audio.")
]
Cache = Annotated[
    Path, typer.Option(metavar="FOLDER", help="Where decoded clips are kept between runs (4 MB a minute).")
]


def train(
    recipe: Annotated[Path, typer.Argument(metavar="RECIPE", help="A file of training/recipes.")],
    corpus: Corpus,
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="FOLDER", help="Checkpoints, logs, curves, the model.")
    ],
    teacher: Annotated[
        Path | None,
        typer.Option(metavar="FOLDER", help="The teacher's weights (efficientat-mn04); else labels alone."),
    ] = None,
    cache: Cache = Path("runs/cache"),
) -> None:
    """Make a model: the streaming encoder, then SEE's semantic encoder, then the decoder of sentences.

    It resumes where it was stopped. FOLDER/model is what `edgecap export` takes; every stage draws its
    curves into FOLDER/STAGE/curves.png.
    """
    with _room("train"):
        from edgecap.training.train import read_recipe
        from edgecap.training.train import train as run
    with _progress() as progress:
        papers = {"MODEL_CARD.md": recipe.with_suffix(".card.md"), "LICENSE": recipe.with_suffix(".license")}
        papers = {name: paper for name, paper in papers.items() if paper.is_file()}
        folder = run(read_recipe(recipe), corpus, teacher, output, cache, papers, progress)
    print(f"{folder}: trained. Next: edgecap export {folder} -o BUNDLE")


def evaluate(
    bundle: Annotated[str, typer.Argument(metavar="BUNDLE", help="A bundle's folder, .zip or name.")],
    corpus: Corpus,
    split: Annotated[str, typer.Option(metavar="val|test", help="Which held-out clips to caption.")] = "test",
    calibrate: Annotated[
        Path | None,
        typer.Option(
            metavar="CHECKPOINT",
            help="Fit the confidence on these clips and write it into this checkpoint; export it again then.",
        ),
    ] = None,
    minutes: Annotated[
        float,
        typer.Option(metavar="MINUTES", min=0, help="How much silence and noise to listen to."),
    ] = 10.0,
    cache: Cache = Path("runs/cache"),
    json: options.Json = False,
) -> None:
    """How often the captions name the sound of held-out clips, and how often they break a silence."""
    from edgecap.runtime.errors import UsageError

    with _room("train"):
        from edgecap.training.data import may_ship, open_corpus
        from edgecap.training.evaluation import calibration, naming, silence
        from edgecap.training.evaluation.hearing import open_model
        from edgecap.training.scenes import QUIET
        from edgecap.training.train import write_calibration
    if split not in ("val", "test"):
        raise UsageError(f"--split {split}", why="it must be val or test: train is not held out")
    model = open_model(bundle)
    with _progress() as progress:
        clips = open_corpus(corpus, cache, progress)
        names = naming.Names(clips.labels)
        held_out = [clip for clip in clips.split("val" if split == "val" else "test") if clip.label != QUIET]
        if calibrate:
            taught = [clip for clip in held_out if clip.label in model.sounds.labels]
            said = naming.utter(
                calibration.credulous(model), clips, taught, names, calibration.SAY_ALL, progress
            )
            novelty = calibration.steady_novelty(model, clips, taught)
            fitted = write_calibration(calibrate, *calibration.fit_calibration(said), novelty)
            print(f"{calibrate}: confidence calibrated on {len(said)} clips, {fitted}")
            return
        said = naming.utter(model, clips, held_out, names, progress=progress)
        tones = [clips.audio(clip) for clip in clips.split("test") if clip.label == QUIET]
        quiet = silence.quiet_sounds(60 * minutes, tones) if minutes else {}
        false = silence.false_captions(model, quiet, progress)
        ignorant = naming.chance(held_out, clips.split("train", may_ship))
    known = [u for u in said if u.clip.label in model.sounds.labels]
    figures = {
        "clips": naming.naming(said),
        "clips of sounds that it was taught": naming.naming(known),
        "by label": naming.by_label(said),
        "chance": ignorant,
        f"captions in {minutes:g} min": {name: len(texts) for name, texts in false.items()},
        "said of silence and noise": false,
    }
    if json:
        import msgspec

        print(msgspec.json.encode(figures).decode())
    else:
        _show(figures, said)


def _show(figures: dict[str, Any], said: "list[Uttered]") -> None:
    from rich.console import Console
    from rich.table import Table

    console = Console()
    table = Table("held-out clips", "n", "spoken of", "recall", "first right", "or kin", "delay")
    rows = [(name, figures[name]) for name in ("clips", "clips of sounds that it was taught")]
    for name, row in rows + list(figures["by label"].items()):
        table.add_row(
            name, f"{row['clips']:.0f}", f"{row['spoken']:.2f}", f"{row['recall']:.2f}",
            f"{row['first_right']:.2f}", f"{row['kin']:.2f}", f"{row['delay_median_s']:.1f} s",
        )  # fmt: skip
    console.print(table)
    for name, value in figures["chance"].items():
        console.print(f"chance, {name.replace('_', ' ')}: {value:.3f}")
    for key in figures:
        if key.startswith("captions in"):
            for name, count in figures[key].items():
                console.print(f"{key} of {name}: {count}")
    for uttered in said[:: max(1, len(said) // 20)]:
        console.print(f"{uttered.clip.label}: {' | '.join(uttered.texts) or '(nothing)'}", style="dim")


@contextmanager
def _room(extra: str) -> Iterator[None]:
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
def _progress() -> Iterator[Callable[[float, str], None]]:
    from edgecap.terminal import Progress

    bar = Progress(1.0)
    try:
        yield bar.at
    finally:
        bar.stop()
