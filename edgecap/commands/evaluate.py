"""evaluate: what a bundle is worth on sounds that it never heard."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from . import options
from .train import Cache, Corpus, progress_bar, room

if TYPE_CHECKING:
    from rich.console import Console

    from edgecap.training.evaluation.setting import Setting


def evaluate(
    bundle: Annotated[str, typer.Argument(metavar="BUNDLE", help="A bundle's folder, .zip or name.")],
    corpus: Corpus,
    only: Annotated[
        str | None,
        typer.Option(
            metavar="PART,...",
            help="naming, silence, stability, safety (a plain run), calibration, probe, scenes, retrieval.",
        ),
    ] = None,
    split: Annotated[str, typer.Option(metavar="val|test", help="Which held-out clips to hear.")] = "test",
    peer: Annotated[
        Path | None,
        typer.Option(metavar="WEIGHTS", help="mn04's folder: its figures on the same clips beside ours."),
    ] = None,
    hours: Annotated[
        float,
        typer.Option(
            metavar="HOURS", min=0, help="Of each silence and noise; three times that for false alarms."
        ),
    ] = 0.2,
    trials: Annotated[
        int, typer.Option(metavar="N", min=1, help="Of each alarm at each level, and of each look-alike.")
    ] = 20,
    scenes: Annotated[
        int, typer.Option(metavar="N", min=2, help="How many held-out scenes to caption.")
    ] = 300,
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

    with room("train"):
        from edgecap.training.evaluation import calibration
        from edgecap.training.evaluation.parts import PARTS, PLAIN
        from edgecap.training.train import write_calibration
    if split not in ("val", "test"):
        raise UsageError(f"--split {split}", why="it must be val or test: train is not held out")
    if wording not in ("said", "free"):
        raise UsageError(f"--wording {wording}", why="it must be said or free")
    chosen = only.split(",") if only else list(PLAIN)
    for part in chosen:
        if part not in PARTS:
            raise UsageError(f"--only {part}", why=f"the parts are {', '.join(PARTS)}")
    for file in (plot, report):
        if file and not file.parent.is_dir():
            raise UsageError(f"{file} can't be written", why=f"there is no folder {file.parent}")
    if plot and "calibration" not in chosen:
        raise UsageError("--plot draws the part calibration", fix="add it: --only calibration")
    with _setting(
        bundle, corpus, cache, jobs, split=split, hours=hours, trials=trials, seed=seed, peer=peer,
        scenes=scenes, plans=plans, wording=wording, sentences=sentences, assets=assets,
    ) as setting:  # fmt: skip
        if calibrate:
            clips, bias, slope, novelty = calibration.fit(setting)
            fitted = write_calibration(calibrate, bias, slope, novelty)
            print(f"{calibrate}: confidence calibrated on {clips} clips, {fitted}")
            return
        figures = _about(bundle, setting)
        for part in chosen:
            begun = time.monotonic()
            figures[part] = PARTS[part](setting)
            figures["seconds"][part] = round(time.monotonic() - begun, 1)
    if plot:
        calibration.draw(figures["calibration"], plot)
    if report:
        from edgecap.training.evaluation import report as page

        page.write(figures, report)
    if json:
        import msgspec

        print(msgspec.json.encode(figures).decode())
    else:
        _show(figures)


@contextmanager
def _setting(bundle: str, corpus: Path, cache: Path, jobs: int, **choices: Any) -> "Iterator[Setting]":
    """Bundle and corpus open, and processes that have them open too."""
    from edgecap.training.evaluation.setting import Setting, open_stage, workers

    with progress_bar() as progress:
        stage = open_stage(bundle, corpus, cache, progress)  # first: it fills the cache
        with workers(bundle, corpus, cache, jobs) as pool:
            yield Setting(stage, corpus, progress=progress, pool=pool, **choices)


def _about(bundle: str, setting: "Setting") -> dict[str, Any]:
    """What was evaluated, with what, how: enough to do it again."""
    import hashlib
    import platform

    import numpy
    import onnxruntime

    from edgecap import __version__
    from edgecap.runtime.bundle import Bundle

    opened = Bundle.open(bundle)
    clips = (setting.folder / "clips.csv").read_bytes()
    return {
        "command": ["edgecap", *sys.argv[1:]],
        "bundle": {
            "title": opened.title,
            "created": opened.manifest.created,
            "encoder_sha256": opened.manifest.graphs["encoder"].sha256,
            "thresholds": opened.manifest.thresholds,
        },
        "corpus": {"clips": len(setting.corpus.clips), "clips_csv_sha256": hashlib.sha256(clips).hexdigest()},
        "split": setting.split,
        "seed": setting.seed,
        "hours": setting.hours,
        "trials": setting.trials,
        "scenes": setting.scenes,
        "wording": setting.wording,
        "versions": {
            "edgecap": __version__,
            "python": platform.python_version(),
            "numpy": numpy.__version__,
            "onnxruntime": onnxruntime.__version__,
        },
        "seconds": {},
    }


def _show(figures: dict[str, Any]) -> None:
    from rich.console import Console

    console = Console()
    for part, seconds in figures["seconds"].items():
        console.rule(f"{part} ({seconds:.0f} s)")
        _SHOW.get(part, _show_plainly)(console, figures[part])


def _show_naming(console: "Console", figures: dict[str, Any]) -> None:
    from rich.table import Table

    peer = figures.get("mn04", {}).get("as it goes")
    table = Table("held-out clips", "n", "spoken of", "recall", "first right", "or kin", "delay")
    if peer:
        table.add_column("mn04's recall")
        table.add_column("first right")

    def add(name: str, row: dict[str, float], beside: dict[str, float] | None) -> None:
        cells = [_share(row[key]) for key in ("spoken", "recall", "first_right", "kin")]
        delay = _time(row.get("delay_median_s", float("nan")))
        theirs = [_share(beside[key]) for key in ("recall", "first_right")] if beside else []
        table.add_row(name, f"{row.get('clips', row.get('classes')):.0f}", *cells, delay, *theirs)

    for name, row in figures.items():
        if "recall" in row:
            add(name, row, peer[name] if peer else None)
    for name, row in figures["by label"].items():
        add(name, row, peer["by label"][name] if peer else None)
    console.print(table)
    for name, value in figures["chance"].items():
        console.print(f"chance, {name.replace('_', ' ')}: {value:.3f}")
    for rule, row in figures.get("mn04", {}).items():
        console.print(
            f"mn04, {rule}, threshold {row['threshold']:.2f}: recall {row['clips']['recall']:.3f}, "
            f"first right {row['clips']['first_right']:.3f}"
        )
    for example in figures["examples"]:
        console.print(f"{example['label']}: {' | '.join(example['said']) or '(nothing)'}", style="dim")


def _show_silence(console: "Console", figures: dict[str, Any]) -> None:
    from rich.table import Table

    table = Table("sound", "captions", "an hour", "untrue", "said")
    for name, row in figures.items():
        said = ", ".join(f"{count} × {text}" for text, count in row["said"].items())
        table.add_row(name, str(row["captions"]), f"{row['captions_an_hour']:.1f}", str(row["untrue"]), said)
    console.print(table)


def _show_stability(console: "Console", figures: dict[str, Any]) -> None:
    from rich.table import Table

    onsets = Table(
        "onset to caption", "clips", "spoken of", "median", "p90", "first right, median", "updates"
    )
    steady = Table("steady sound", "clip", "captions", "updates", "said first")
    for name, row in figures.items():
        if isinstance(row, dict):
            seconds = [_time(row[key]) for key in ("first_median_s", "first_p90_s", "first_right_median_s")]
            counts = [f"{row[key]:.0f}" for key in ("clips", "spoken")]
            onsets.add_row(name, *counts, *seconds, f"{row['updates_a_caption']:.2f} a caption")
            continue
        for one in row:
            said = one["said"][0] if one["said"] else "(nothing)"
            steady.add_row(one["label"], one["clip"], str(one["captions"]), str(one["updates"]), said)
    console.print(onsets)
    console.print(steady)


def _show_safety(console: "Console", figures: dict[str, Any]) -> None:
    from rich.table import Table

    alarms = Table(
        "alarm over household noise", "trials", "named", "plainly", "median", "p90", "only kin", "nothing"
    )
    for name, row in sorted(figures["alarms"].items(), key=lambda item: item[0].startswith("all")):
        alarms.add_row(
            name, str(row["trials"]), _share(row["recall"]), _share(row["plainly"]),
            _time(row["median_s"]), _time(row["p90_s"]), str(row["only_kin"]), str(row["nothing"]),
        )  # fmt: skip
    console.print(alarms)
    alike = Table(
        "look-alike", "trials", "called smoke alarm", "called CO alarm", "named right", "nothing said"
    )
    keys = ("trials", "called smoke_alarm", "called co_alarm", "named", "nothing said")
    for name, row in figures["look-alikes"].items():
        alike.add_row(name, *(str(row[key]) for key in keys))
    console.print(alike)
    other = figures["other sound"]
    console.print(
        f"false alarms in {other['hours']:g} h of other sound: {other['false_alarms']} "
        f"({other['false_alarms_an_hour']:.2f} an hour; {other['captions']} captions)"
    )
    for text, count in other["said"].items():
        console.print(f"{count} × {text}", style="dim")


def _show_scenes(console: "Console", figures: dict[str, Any]) -> None:
    from rich.table import Table

    for name, found in figures.items():
        console.print(f"{found['scenes']} scenes, {name}; a caption for {_share(found['spoken of'])} of them")
        metrics = list(found["systems"]["edgecap"]["text"])
        table = Table("captions of", *metrics, "events F1")
        for system, row in found["systems"].items():
            scores = [f"{row['text'][metric]:.3f}" if metric in row["text"] else "–" for metric in metrics]
            table.add_row(system, *scores, f"{row['events']['micro']['f1']:.3f}")
        console.print(table)


def _show_plainly(console: "Console", figures: dict[str, Any]) -> None:
    import yaml

    text = yaml.safe_dump(_rounded(figures), sort_keys=False, allow_unicode=True, width=110)
    console.print(text, highlight=False, markup=False)


def _rounded(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _rounded(one) for key, one in value.items()}
    if isinstance(value, list):
        return [_rounded(one) for one in value]
    return round(value, 4) if isinstance(value, float) else value


def _share(value: float) -> str:
    return "–" if value != value else f"{value:.2f}"  # not a number: nothing to have a share of


def _time(seconds: float) -> str:
    return "–" if seconds != seconds else f"{seconds:.2f} s"


_SHOW = {
    "naming": _show_naming,
    "silence": _show_silence,
    "stability": _show_stability,
    "safety": _show_safety,
    "scenes": _show_scenes,
}
