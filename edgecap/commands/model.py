"""export and inspect: a checkpoint becomes a bundle, and what is in one."""

import sys
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from . import options

if TYPE_CHECKING:
    from edgecap.runtime.model.bundle import Bundle
    from edgecap.runtime.model.manifest import GraphFile, Tensor


def export(
    checkpoint: Annotated[
        Path,
        typer.Argument(
            metavar="CHECKPOINT", help="The folder that train wrote, or the public ConvNeXt-Tiny's file."
        ),
    ],
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="BUNDLE", help="A folder to write, or a .zip.")
    ],
    target: Annotated[
        str,
        typer.Option(
            metavar="onnx|onnx-int8|tensorrt-rtx|tensorrt|triton",
            help="What will run it: onnx-int8 suits any CPU; tensorrt-rtx adds engines for RTX cards, "
            "tensorrt for the GPU here; triton is laid out for a server of many rooms.",
        ),
    ] = "onnx-int8",
    precision: Annotated[
        str,
        typer.Option(
            metavar="fp32|fp16|bf16|int8", help="What it computes in.", show_default="the target's own"
        ),
    ] = "",
    compute_capability: Annotated[
        list[str] | None,
        typer.Option(
            metavar="8.6", help="tensorrt-rtx: build for this GPU; again for another. Without it: portable."
        ),
    ] = None,
    batch: Annotated[
        int, typer.Option(metavar="N", min=1, max=4096, help="The most rooms that one call takes.")
    ] = 1,
    windowed: Annotated[
        bool, typer.Option("--windowed", help="Add the encoder over a whole window, to compare with.")
    ] = False,
    calibrate: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER", help="int8: recordings that the ranges of activations are taken from."
        ),
    ] = None,
    static: Annotated[
        list[str] | None,
        typer.Option(
            metavar="GRAPH",
            help="With --calibrate: a graph that uses those ranges; again for another.",
            show_default="encoder",
        ),
    ] = None,
    verify: Annotated[
        bool,
        typer.Option(
            "--verify/--no-verify", help="Stream sound through torch and the files; write only if equal."
        ),
    ] = True,
    minutes: Annotated[
        float, typer.Option(metavar="MINUTES", min=0.1, help="How much sound --verify streams.")
    ] = 10.0,
    sounds: Annotated[
        Path | None,
        typer.Option(metavar="FOLDER", help="Recordings for --verify, beside what is synthesised."),
    ] = None,
) -> None:
    """A checkpoint becomes a bundle that the edge runs, proven to be the same model.

    It is written whole or not at all: what was there before stays until the new one is complete.
    """
    from edgecap.runtime.errors import UnavailableError

    try:
        from edgecap.export.export import export_bundle
        from edgecap.export.options import Options
    except ModuleNotFoundError as missing:
        raise UnavailableError(
            f"{missing.name} is not installed",
            why="export needs more than captioning does",
            fix='run: pip install "edgecap[export]"',
        ) from missing

    def progress(step: str) -> None:
        print(f"{step} …", file=sys.stderr)

    wanted = Options(
        target=target,
        precision=precision,
        batch=batch,
        capabilities=tuple(compute_capability or ()),
        windowed=windowed,
        calibrate=calibrate,
        static=tuple(static or ()),
        verify=verify,
        minutes=minutes,
        sounds=sounds,
    )
    manifest = export_bundle(checkpoint, output, wanted, progress)
    proof = "not verified"
    if verify:
        worst = min(figures["cosine"] for figures in manifest.parity.values() if "cosine" in figures)
        proof = f"least cosine to torch {worst:.5f}"
        if "sentences" in manifest.parity:
            same = manifest.parity["sentences"]["agreement"]
            proof += f", {same:.0%} of the sentences the same"
    print(f"{output}: {manifest.name} {manifest.version}, {target}; {proof}")


def inspect(
    bundle: Annotated[str, typer.Argument(metavar="BUNDLE", help="A folder, a .zip, or a name.")],
    json: options.Json = False,
) -> None:
    """What is in a bundle: graphs, shapes, state, precision, hashes, licence, proof and size."""
    from edgecap.runtime.model.bundle import Bundle

    opened = Bundle.open(bundle)
    if json:
        import msgspec

        files = opened.manifest.files.keys() | {graph.file for graph in opened.graphs_and_engines()}
        sizes = {file: opened.size(file) for file in sorted(files)}
        facts = {"path": str(opened.path), "bytes": sizes, **msgspec.to_builtins(opened.manifest)}
        print(msgspec.json.encode(facts).decode())
        return
    _print_facts(opened)


FIGURES = {"max error": "max_error", "mean error": "mean_error", "peak": "peak", "cosine": "cosine"}


def _print_facts(bundle: "Bundle") -> None:
    manifest, sound = bundle.manifest, bundle.manifest.audio
    window_s = manifest.window * sound.chunk * sound.hop / sound.rate
    files = (*(graph.file for graph in bundle.graphs_and_engines()), *manifest.files)
    print(f"{bundle.title}  {bundle.path}")
    rows = {
        "made": manifest.created,
        "licence": manifest.licence,
        "size": f"{sum(map(bundle.size, files)) / 1e6:.1f} MB in {len(files) + 1} files",
        "hears": f"{sound.rate} Hz, {sound.mels} mel bins, {manifest.labels} sounds",
        "window": f"{manifest.window} embeddings, {window_s:.1f} s",
        **manifest.training,
    }
    for name, value in rows.items():
        print(f"  {name:<10}  {value}")
    for name, graph in (*manifest.graphs.items(), *manifest.engines.items()):
        print()
        _print_graph(name, graph, bundle.size(graph.file))
    print()
    if manifest.parity:
        _print_parity(manifest.parity)
    else:
        print("It was not compared with the model that it was exported from.")


def _print_graph(name: str, graph: "GraphFile", size: int) -> None:
    form = f"{graph.backend}, {graph.precision}, " + (f"opset {graph.opset}, " if graph.opset else "")
    if graph.build:
        gpus = ", ".join(graph.build.capabilities) or "any it supports"
        form += f"version {graph.build.version} for compute capability {gpus}, "
    print(f"{name}  {form}{size / 1e6:.2f} MB, sha256 {graph.sha256[:16]}")
    sides = {"in": _ports(graph.inputs), "out": _ports(graph.outputs), "state": _state(graph)}
    for side, ports in sides.items():
        if ports:
            print(f"  {side:<10}  {ports}")


def _ports(ports: "tuple[Tensor, ...]") -> str:
    return ", ".join(f"{port.name} {'×'.join(map(str, port.shape))}" for port in ports)


def _state(graph: "GraphFile") -> str:
    """The encoder has a dozen tensors alike; their number and sum say more than a list."""
    if len(graph.state) < 3:
        return _ports(graph.state)
    numbers = sum(prod(extent for extent in t.shape if isinstance(extent, int)) for t in graph.state)
    return f"{graph.state[0].name} … {graph.state[-1].name}: {len(graph.state)} tensors, {numbers} numbers"


def _print_parity(parity: dict[str, dict[str, float]]) -> None:
    minutes = parity.get("stream", {}).get("seconds", 0.0) / 60
    same = parity.get("sentences", {}).get("agreement")
    said = "" if same is None else f", {same:.0%} of the sentences the same"
    print(f"compared with torch over {minutes:.1f} minutes of sound{said}")
    print(f"  {'tensor':<30}" + "".join(f"{head:>12}" for head in FIGURES))
    for tensor, figures in parity.items():
        if "cosine" in figures:
            cells = (f"{figures[key]:.6g}" if key in figures else "" for key in FIGURES.values())
            print(f"  {tensor:<30}" + "".join(f"{cell:>12}" for cell in cells))
