"""inspect: what is in a bundle."""

from math import prod
from typing import TYPE_CHECKING, Annotated

import typer

from edgecap.runtime.names import visible

from ..console import say
from ..streams import print_json
from . import options

if TYPE_CHECKING:
    from edgecap.runtime.model.bundle import Bundle
    from edgecap.runtime.model.manifest import GraphFile, Tensor


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
        facts = {"path": visible(opened.path), "bytes": sizes, **msgspec.to_builtins(opened.manifest)}
        print_json(msgspec.json.encode(facts))
        return
    _print_facts(opened)


FIGURES = {"max error": "max_error", "mean error": "mean_error", "peak": "peak", "cosine": "cosine"}


def _print_facts(bundle: "Bundle") -> None:
    manifest, sound = bundle.manifest, bundle.manifest.audio
    window_s = manifest.window * sound.chunk * sound.hop / sound.rate
    files = (*(graph.file for graph in bundle.graphs_and_engines()), *manifest.files)
    say(f"{bundle.title}  {bundle.path}")
    rows = {
        "made": manifest.created,
        "licence": manifest.licence,
        "size": f"{sum(map(bundle.size, files)) / 1e6:.1f} MB in {len(files) + 1} files",
        "hears": f"{sound.rate} Hz, {sound.mels} mel bins, {manifest.labels} sounds",
        "window": f"{manifest.window} embeddings, {window_s:.1f} s",
        **manifest.training,
    }
    for name, value in rows.items():
        say(f"  {name:<10}  {value}")
    for name, graph in (*manifest.graphs.items(), *manifest.engines.items()):
        say()
        _print_graph(name, graph, bundle.size(graph.file))
    say()
    if manifest.parity:
        _print_parity(manifest.parity)
    else:
        say("It was not compared with the model that it was exported from.")


def _print_graph(name: str, graph: "GraphFile", size: int) -> None:
    form = f"{graph.backend}, {graph.precision}, " + (f"opset {graph.opset}, " if graph.opset else "")
    if graph.build:
        gpus = ", ".join(graph.build.capabilities) or "any it supports"
        form += f"version {graph.build.version} for compute capability {gpus}, "
    say(f"{name}  {form}{size / 1e6:.2f} MB, sha256 {graph.sha256[:16]}")
    sides = {"in": _ports(graph.inputs), "out": _ports(graph.outputs), "state": _state(graph)}
    for side, ports in sides.items():
        if ports:
            say(f"  {side:<10}  {ports}")


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
    say(f"compared with torch over {minutes:.1f} minutes of sound{said}")
    say(f"  {'tensor':<30}" + "".join(f"{head:>12}" for head in FIGURES))
    for tensor, figures in parity.items():
        if "cosine" in figures:
            cells = (f"{figures[key]:.6g}" if key in figures else "" for key in FIGURES.values())
            say(f"  {tensor:<30}" + "".join(f"{cell:>12}" for cell in cells))
