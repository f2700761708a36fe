"""bench: figures of this machine."""

import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from . import options

if TYPE_CHECKING:
    from rich.table import Table

    from edgecap.measure import Comparison, Live, Stages

LIVE_S = 20.0


def bench(
    bundle: Annotated[
        str | None, typer.Argument(metavar="[BUNDLE]", help="A folder, a .zip, or a name.")
    ] = None,
    peer: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER", help="Public taggers to run beside it: holds mn04.onnx or yamnet.onnx."
        ),
    ] = None,
    live: Annotated[
        float,
        typer.Option(metavar="SECONDS", min=0, help="How long each part paced as live lasts; 0 skips it."),
    ] = LIVE_S,
    json: options.Json = False,
) -> None:
    """What captioning costs here: CPU by stage, latency, memory, and what else could be used.

    One thread, all in one run, on the built-in scene. Takes a minute and a half.
    """
    import numpy as np
    import soundfile

    from edgecap import measure
    from edgecap.runtime.audio import RATE
    from edgecap.runtime.bundle import Bundle
    from edgecap.runtime.config import load
    from edgecap.runtime.scene import synthesise
    from edgecap.runtime.session import Model

    peers = measure.find_peers(peer) if peer else []
    name = bundle or load().bundle
    opened = Bundle.open(name)
    scene = synthesise()
    busy = measure.busy_sound(scene)
    quiet = measure.quiet_sound(scene, len(busy) / RATE)
    model = Model.load(opened)
    _say("stages, in a tight loop …")
    stages = measure.measure_stages(model, busy, quiet)
    _say("beside what else could be used …")
    comparisons = measure.compare(model, busy, peers)
    lives = []
    if live > 0:
        with tempfile.TemporaryDirectory() as folder:
            for what, sound in (("busy", busy), ("quiet", quiet)):
                _say(f"as live, {what}, {live:g} s …")
                recording = Path(folder) / f"{what}.wav"
                soundfile.write(recording, np.resize(sound, round(live * RATE)), RATE, subtype="FLOAT")
                lives.append(measure.measure_live(name, what, recording))
    if json:
        _print_json(opened.title, stages, comparisons, lives)
    else:
        _print_tables(opened.title, stages, comparisons, lives)


def _say(words: str) -> None:
    print(f"edgecap: {words}", file=sys.stderr)


def machine() -> dict[str, str]:
    """What the figures were measured on."""
    import platform

    import numpy
    import onnxruntime

    processor = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        for line in cpuinfo.read_text(encoding="utf-8").splitlines():
            if line.startswith(("model name", "Model")):
                processor = line.partition(":")[2].strip()
                break
    return {
        "processor": processor,
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "onnxruntime": onnxruntime.__version__,
        "numpy": numpy.__version__,
    }


def _print_json(title: str, stages: "Stages", comparisons: "list[Comparison]", lives: "list[Live]") -> None:
    import msgspec

    lines: list[dict[str, Any]] = [
        {"part": "machine", "model": title, **machine()},
        {"part": "stages", **msgspec.to_builtins(stages)},
        *({"part": "comparison", **msgspec.to_builtins(comparison)} for comparison in comparisons),
        *({"part": "live", **msgspec.to_builtins(one)} for one in lives),
    ]
    for line in lines:
        print(msgspec.json.encode(line).decode())


def _print_tables(title: str, stages: "Stages", comparisons: "list[Comparison]", lives: "list[Live]") -> None:
    from rich.console import Console

    console = Console(highlight=False, width=None if sys.stdout.isatty() else 110)
    console.print(f"{title} on {machine()['processor']}, one thread", style="bold")
    console.print("\nCPU in a tight loop, captions changing often", style="bold")
    console.print(_stages_table(stages))
    console.print("\nCPU in a tight loop, beside what else could be used, in turns", style="bold")
    console.print(_comparison_table(comparisons))
    if lives:
        console.print("\nThe daemon in its own process, its sound paced as live", style="bold")
        console.print(_live_table(lives))


def _stages_table(stages: "Stages") -> "Table":
    table = _table("stage", ">ms per s of audio")
    for name, value in (
        ("front end", stages.front_end),
        ("encoder", stages.encoder),
        ("segment, policy", stages.segment_policy),
        ("adapter, decoder", stages.adapter_decoder),
        ("all together", stages.whole),
        ("all, in a quiet room", stages.silence),
    ):
        table.add_row(name, f"{value:.2f}")
    return table


def _comparison_table(comparisons: "list[Comparison]") -> "Table":
    table = _table("", ">ms per s of audio", ">times", "what")
    ours = comparisons[0].per_second
    for comparison in comparisons:
        ratio = comparison.per_second / ours
        table.add_row(comparison.name, f"{comparison.per_second:.2f}", f"{ratio:.1f}", comparison.what)
    return table


def _live_table(lives: "list[Live]") -> "Table":
    table = _table("", *(f">{one.sound}" for one in lives))
    for name, cells in (
        ("CPU, of one core", [f"{one.cpu_percent:.1f} %" for one in lives]),
        ("events published", [str(one.captions) for one in lives]),
        ("end of a hop to published, p50", [_ms(one.published_p50_ms) for one in lives]),
        ("end of a hop to published, p95", [_ms(one.published_p95_ms) for one in lives]),
        ("of that since the block came, p95", [_ms(one.worked_p95_ms) for one in lives]),
        ("start of the process to ready", [f"{one.ready_s:.2f} s" for one in lives]),
        ("memory, resident", [f"{one.rss_mb:.0f} MB" for one in lives]),
        ("memory, at its peak", [f"{one.peak_rss_mb:.0f} MB" if one.peak_rss_mb else "–" for one in lives]),
    ):
        table.add_row(name, *cells)
    return table


def _table(*headers: str) -> "Table":
    """A plain table; a header that begins with > is of numbers, flush right."""
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="dim")
    for header in headers:
        table.add_column(header.removeprefix(">"), justify="right" if header.startswith(">") else "left")
    return table


def _ms(value: float | None) -> str:
    return "–" if value is None else f"{value:.0f} ms"
