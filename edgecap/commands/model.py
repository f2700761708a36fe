"""export and inspect, and what makes the checkpoints that they take."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from . import options

if TYPE_CHECKING:
    from edgecap.runtime.bundle import Bundle, GraphFile, Tensor

# --- from sounds to a checkpoint: prepare, train, evaluate ----------------------------------------


# --- from a checkpoint to a bundle, and what is in one: export, inspect ---------------------------


def export(
    checkpoint: Annotated[Path, typer.Argument(metavar="CHECKPOINT", help="The folder that train wrote.")],
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="BUNDLE", help="A folder to write, or a .zip.")
    ],
    target: Annotated[
        str,
        typer.Option(
            metavar="onnx|onnx-int8|tensorrt-rtx|triton",
            help="What will run it: onnx-int8 suits any CPU; tensorrt-rtx adds engines for RTX cards; triton "
            "is laid out for a server of many rooms.",
        ),
    ] = "onnx-int8",
    precision: Annotated[
        str, typer.Option(metavar="fp32|fp16", help="What onnx and tensorrt-rtx compute in.")
    ] = "fp32",
    compute_capability: Annotated[
        list[str] | None,
        typer.Option(
            metavar="8.6", help="tensorrt-rtx: build for this GPU; again for another. Without it: portable."
        ),
    ] = None,
    batch: Annotated[
        int, typer.Option(metavar="N", min=1, max=4096, help="The most rooms that one call takes.")
    ] = 1,
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
        from edgecap.export.export import Options, export_bundle
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
        verify=verify,
        minutes=minutes,
        sounds=sounds,
    )
    manifest = export_bundle(checkpoint, output, wanted, progress)
    proof = "not verified"
    if verify:
        worst = min(figures["cosine"] for figures in manifest.parity.values() if "cosine" in figures)
        same = manifest.parity["sentences"]["agreement"]
        proof = f"least cosine to torch {worst:.5f}, {same:.0%} of the sentences the same"
    print(f"{output}: {manifest.name} {manifest.version}, {target}; {proof}")


def inspect(
    bundle: Annotated[str, typer.Argument(metavar="BUNDLE", help="A folder, a .zip, or a name.")],
    json: options.Json = False,
) -> None:
    """What is in a bundle: graphs, shapes, state, precision, hashes, licence, proof and size."""
    from edgecap.runtime.bundle import Bundle

    opened = Bundle.open(bundle)
    if json:
        import msgspec

        files = opened.manifest.files.keys() | {graph.file for graph in opened.graphs_and_engines()}
        sizes = {file: opened.size(file) for file in sorted(files)}
        facts = {"path": str(opened.path), "bytes": sizes, **msgspec.to_builtins(opened.manifest)}
        print(msgspec.json.encode(facts).decode())
        return
    _print_tables(opened)


def _print_tables(bundle: "Bundle") -> None:
    from rich.console import Console

    manifest = bundle.manifest
    console = Console(highlight=False)
    console.print(f"{bundle.title}  {bundle.path}", markup=False)
    files = (*(graph.file for graph in bundle.graphs_and_engines()), *manifest.files)
    sizes = [bundle.size(file) for file in files]
    origin = "; ".join(f"{key} {value}" for key, value in manifest.training.items())
    sound = manifest.audio
    window_s = manifest.window * sound.chunk * sound.hop / sound.rate
    rows = {
        "made": manifest.created,
        "licence": manifest.licence,
        "size": f"{sum(sizes) / 1e6:.1f} MB",
        "hears": f"{sound.rate} Hz, {sound.mels} mel bins, {manifest.labels} sounds",
        "window": f"{manifest.window} embeddings, {window_s:.1f} s",
        "trained on": origin or "not said",
    }
    for name, value in rows.items():
        console.print(f"  {name:<10}  {value}", markup=False, soft_wrap=True)
    console.print(_graphs_table(bundle))
    if manifest.parity:
        console.print(_parity_table(manifest.parity))
    else:
        console.print("It was not compared with the model that it was exported from.")


def _graphs_table(bundle: "Bundle") -> Any:
    from rich.table import Table

    table = Table(title="graphs", title_justify="left")
    for column in ("graph", "backend", "precision", "opset", "MB", "in", "out", "state", "sha256"):
        table.add_column(column, justify="right" if column in ("opset", "MB") else "left", overflow="fold")
    for name, graph in (*bundle.manifest.graphs.items(), *bundle.manifest.engines.items()):
        made_for = f" for {', '.join(graph.build.capabilities) or 'any'}" if graph.build else ""
        table.add_row(
            name,
            graph.backend + made_for,
            graph.precision,
            str(graph.opset or ""),
            f"{bundle.size(graph.file) / 1e6:.2f}",
            _ports(graph.inputs),
            _ports(graph.outputs),
            _state(graph),
            graph.sha256[:12],
        )
    return table


def _ports(ports: "tuple[Tensor, ...]") -> str:
    return "\n".join(f"{port.name} {'×'.join(map(str, port.shape))}" for port in ports)


def _state(graph: "GraphFile") -> str:
    """The encoder has a dozen tensors alike; their number and sum say more than a list."""
    if len(graph.state) < 3:
        return _ports(graph.state)
    numbers = 0
    for port in graph.state:
        size = 1
        for extent in port.shape:
            size *= extent if isinstance(extent, int) else 1
        numbers += size
    return f"{graph.state[0].name} … {graph.state[-1].name}\n{len(graph.state)} tensors, {numbers} numbers"


def _parity_table(parity: dict[str, dict[str, float]]) -> Any:
    from rich.table import Table

    heads = ("max_error", "mean_error", "peak", "cosine", "least_cosine")
    minutes = parity.get("stream", {}).get("seconds", 0.0) / 60
    same = parity.get("sentences", {}).get("agreement")
    said = "" if same is None else f", {same:.0%} of the sentences the same"
    table = Table(
        title=f"compared with torch over {minutes:.1f} minutes of sound{said}", title_justify="left"
    )
    table.add_column("tensor")
    for head in heads:
        table.add_column(head.replace("_", " "), justify="right")
    for tensor, figures in parity.items():
        if "cosine" in figures:
            table.add_row(tensor, *(f"{figures[head]:.6g}" if head in figures else "" for head in heads))
    return table
