"""bench: figures of this machine."""

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import typer

from ..console import console, note, print_table
from ..streams import print_json
from . import options

if TYPE_CHECKING:
    from rich.table import Table

    from edgecap.bench.backends import Candidate, Rooms, Timing
    from edgecap.bench.measure import Comparison, Live, Stages

LIVE_S = 20.0


class Figures(NamedTuple):
    """All that one run measured."""

    title: str
    stages: "Stages"
    comparisons: "list[Comparison]"
    timings: "list[Timing]"
    rooms: "list[Rooms]"
    lives: "list[Live]"


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
    checkpoint: Annotated[
        Path | None,
        typer.Option(
            metavar="CHECKPOINT", help="Beside the backends: its encoder in torch, streamed and recomputed."
        ),
    ] = None,
    rooms: Annotated[
        bool, typer.Option("--rooms", help="How many rooms at real time, by how many are heard at once.")
    ] = False,
    json: options.Json = False,
) -> None:
    """What captioning costs here: by stage, by backend, as live, and beside what else could be used.

    One thread, all in one run, on the built-in scene. Takes about two minutes; torch takes longer.
    """
    import numpy as np
    import soundfile

    from edgecap.bench import backends, measure
    from edgecap.bench.memory import own_process
    from edgecap.runtime.audio import RATE
    from edgecap.runtime.config.file import load
    from edgecap.runtime.demo.scene import synthesise
    from edgecap.runtime.model.bundle import Bundle
    from edgecap.runtime.model.engine import Engine
    from edgecap.runtime.session import Model

    own_process()  # what it needs is said before minutes of measuring
    peers = measure.find_peers(peer) if peer else []
    name = bundle or load().bundle
    opened = Bundle.open(name)
    scene = synthesise()
    busy = measure.busy_sound(scene)
    quiet = measure.quiet_sound(scene, len(busy) / RATE)
    model = Model.load(opened)
    note("stages, in a tight loop …")
    stages = measure.measure_stages(model, busy, quiet)
    note("beside what else could be used …")
    window = opened.manifest.graphs.get("encoder_window")
    recomputed = Engine("encoder_window", opened.graph("encoder_window"), window) if window else None
    comparisons = measure.compare(model, recomputed, busy, peers)
    note("every backend …")
    found = list(backends.candidates(opened, note))
    if checkpoint:
        found += _beside(checkpoint)
    timings = backends.measure(found, live, note)
    counted = backends.count_rooms(found, note) if rooms else []
    lives = []
    if live > 0:
        with tempfile.TemporaryDirectory() as folder:
            for what, sound in (("busy", busy), ("quiet", quiet)):
                note(f"as live, {what}, {live:g} s …")
                recording = Path(folder) / f"{what}.wav"
                soundfile.write(recording, np.resize(sound, round(live * RATE)), RATE, subtype="FLOAT")
                lives.append(measure.measure_live(name, what, recording))
    figures = Figures(opened.title, stages, comparisons, timings, counted, lives)
    if json:
        _print_json(figures)
    else:
        _print_tables(figures)


def _beside(checkpoint: Path) -> "list[Candidate]":
    from edgecap.bench.backends import beside
    from edgecap.runtime.errors import UnavailableError

    try:
        return list(beside(checkpoint, note))
    except ModuleNotFoundError as missing:
        raise UnavailableError(
            f"{missing.name} is not installed",
            why="--checkpoint needs torch",
            fix='run: pip install "edgecap[export]"',
        ) from missing


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


def _print_json(figures: Figures) -> None:
    import msgspec

    lines: list[dict[str, Any]] = [
        {"part": "machine", "model": figures.title, **machine()},
        {"part": "stages", **msgspec.to_builtins(figures.stages)},
        *({"part": "comparison", **msgspec.to_builtins(comparison)} for comparison in figures.comparisons),
        *({"part": "backend", **msgspec.to_builtins(timing)} for timing in figures.timings),
        *({"part": "rooms", **msgspec.to_builtins(one)} for one in figures.rooms),
        *({"part": "live", **msgspec.to_builtins(one)} for one in figures.lives),
    ]
    for line in lines:
        print_json(msgspec.json.encode(line))


def _print_tables(figures: Figures) -> None:
    out = console()
    out.print(f"{figures.title} on {machine()['processor']}, one thread", style="bold")
    out.print("\nCPU in a tight loop, captions changing often", style="bold")
    print_table(out, _stages_table(figures.stages))
    out.print("\nCPU in a tight loop, beside what else could be used, in turns", style="bold")
    print_table(out, _comparison_table(figures.comparisons))
    out.print("\nEvery backend, in turns: milliseconds a call", style="bold")
    print_table(out, _backends_table(figures.timings))
    if figures.rooms:
        out.print("\nRooms at real time, the encoder alone", style="bold")
        print_table(out, _rooms_table(figures.rooms))
    if figures.lives:
        out.print("\nThe daemon in its own process, its sound paced as live", style="bold")
        print_table(out, _live_table(figures.lives))


def _stages_table(stages: "Stages") -> "Table":
    table = _table("stage", ">ms per s of audio")
    for name, value in (
        ("front end", stages.front_end),
        ("encoder", stages.encoder),
        ("alarms", stages.alarms),
        ("segments, policy", stages.segment_policy),
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


def _backends_table(timings: "list[Timing]") -> "Table":
    table = _table(
        "graph",
        "backend",
        "precision",
        ">tight p50",
        ">p99",
        ">times",
        ">CPU",
        ">live p50",
        ">p99",
        ">MB",
        ">J",
    )
    first: dict[str, float] = {}
    for one in sorted(timings, key=lambda timing: timing.graph):
        ratio = one.tight_p50_ms / first.setdefault(one.graph, one.tight_p50_ms)
        table.add_row(
            one.graph, one.backend, one.precision, f"{one.tight_p50_ms:.2f}", f"{one.tight_p99_ms:.2f}",
            f"{ratio:.1f}", f"{one.cpu_ms:.2f}", _figure(one.paced_p50_ms), _figure(one.paced_p99_ms),
            f"{one.memory_mb:.0f}", _figure(one.joules),
        )  # fmt: skip
    return table


def _rooms_table(rooms: "list[Rooms]") -> "Table":
    table = _table("backend", "precision", ">at once", ">p50 ms", ">p99 ms", ">rooms")
    for one in rooms:
        figures = f"{one.batch}", f"{one.hop_p50_ms:.2f}", f"{one.hop_p99_ms:.2f}", f"{one.rooms}"
        table.add_row(one.backend, one.precision, *figures)
    return table


def _figure(value: float | None) -> str:
    return "–" if value is None else f"{value:.2f}"


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
