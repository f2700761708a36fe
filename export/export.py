"""From a checkpoint to a bundle: the whole road of `edgecap export`.

checkpoint -> its graphs -> files of the target -> proven to be the same model -> bundle
"""

import contextlib
import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Literal, cast

import msgspec
import onnx
import torch

from ..runtime.errors import UsageError
from ..runtime.model.manifest import FORMAT, MANIFEST_FILE, GraphFile, Manifest, Tensor, audio_contract
from ..runtime.model.onnx_file import read_onnx_facts
from ..training.models.graph import ExportGraph, Extent
from .calibrate import CALIBRATED, Feeds, record_feeds
from .checkpoint import Checkpoint, read_checkpoint
from .options import ENGINES, STATIC, Options, check_options
from .pack import check_target, pack
from .parity import check_parity
from .quantize import Flavour, quantize, quantize_calibrated
from .to_onnx import fix_sizes, opset_for, to_onnx
from .to_tensorrt import build_engine
from .to_torch_tensorrt import build_from_torch, has_torch_tensorrt
from .to_triton import paths, triton_config

Precision = Literal["fp32", "fp16", "bf16", "int8"]
Progress = Callable[[str], None]
Files = dict[str, tuple[GraphFile, bytes]]
"""Graph -> what the manifest says of its file, and the file."""


def export_bundle(
    checkpoint: Path,
    output: Path,
    options: Options | None = None,
    progress: Progress = lambda step: None,
) -> Manifest:
    """Write the bundle of a checkpoint for a target; returns its manifest.

    progress: told each step as it begins.
    Raises InputMissingError, BundleError, UsageError or UnavailableError; the output is then as it was.
    """
    options = options or Options()
    check_options(options)
    check_target(output)
    with _one_thread():
        manifest, files = _export(checkpoint, options, progress)
    progress(f"packing {output}")
    pack(files, output)
    return manifest


def _export(checkpoint: Path, options: Options, progress: Progress) -> tuple[Manifest, dict[str, bytes]]:
    """The bundle's manifest and files, proven if that is wanted."""
    progress("reading the checkpoint")
    source = read_checkpoint(checkpoint, options.windowed)
    has_engines = options.target in ENGINES
    # For one room a graph has no dimension that varies; a server batches, whatever the number.
    onnx_of = Exporter({"batch": 1} if options.batch == 1 and options.target != "triton" else {})
    precision = "fp32" if has_engines else options.computes_in
    graphs, parity = _write(source, options, precision, onnx_of, progress)
    engines: Files = {}
    if has_engines:
        models = graphs
        if options.computes_in != "fp32":
            models, reduced = _write(source, options, options.computes_in, onnx_of, progress)
            parity |= {f"{name} {options.computes_in}": figures for name, figures in reduced.items()}
        for export in (export for export in source.graphs if export.on_gpu):
            progress(f"building {export.graph.name}'s engine")
            engines[export.graph.name] = write_engine(export, *models[export.graph.name], options)
    if source.opinion:
        graphs["opinion"] = _opinion(source.opinion)
    extra = dict(source.files)
    if options.target == "triton":
        extra |= {
            paths(export.graph.name)[0]: triton_config(export.graph, options.batch).encode()
            for export in source.graphs
        }
    described = [{name: graph for name, (graph, _) in files.items()} for files in (graphs, engines)]
    manifest = describe_bundle(source, described[0], described[1], parity, extra)
    head = msgspec.json.format(msgspec.json.encode(manifest), indent=2) + b"\n"
    contents = {graph.file: content for files in (graphs, engines) for graph, content in files.values()}
    return manifest, {MANIFEST_FILE: head, **contents, **extra}


def _write(
    source: Checkpoint, options: Options, precision: str, onnx_of: "Exporter", progress: Progress
) -> tuple[Files, dict[str, dict[str, float]]]:
    """Every graph as an ONNX file that computes in this precision, and the proof, if it is wanted."""
    files: Files = {}
    feeds = _feeds(source, options, onnx_of, progress) if precision == "int8" and options.calibrate else {}
    for export in source.graphs:
        progress(f"writing {export.graph.name}")
        model = onnx_of(export, precision)
        content = model if precision != "int8" else _in_int8(export.graph.name, model, feeds, options)
        graph = describe(export, onnx_of.sizes, precision, content, is_repository=options.target == "triton")
        files[export.graph.name] = graph, content
    if not options.verify:
        return files, {}
    graphs = {name: graph for name, (graph, _) in files.items()}
    contents = {graph.file: content for graph, content in files.values()}
    parity = check_parity(
        source, graphs, contents, minutes=options.minutes, sounds=options.sounds, progress=progress
    )
    return files, parity


def _opinion(content: bytes) -> tuple[GraphFile, bytes]:
    """The second opinion, as training left it: for every target the same file, since it is always heard on a
    CPU, a window now and then. An older checkpoint's hears less."""
    graph = onnx.load_model_from_string(content).graph

    def described(ports: Iterable[onnx.ValueInfoProto]) -> tuple[Tensor, ...]:
        return tuple(
            Tensor(
                port.name, tuple(size.dim_param or size.dim_value for size in port.type.tensor_type.shape.dim)
            )
            for port in ports
        )

    return GraphFile(
        file="opinion.onnx",
        sha256=hashlib.sha256(content).hexdigest(),
        inputs=described(graph.input),
        outputs=described(graph.output),
        opset=read_onnx_facts(content).opset,
    ), content


class Exporter:
    """Graphs as ONNX, each exported once for a precision of weights, whoever asks: torch takes seconds."""

    def __init__(self, sizes: Mapping[str, int]) -> None:
        """sizes: named dimensions to fix."""
        self.sizes = sizes
        self._done: dict[tuple[str, str], bytes] = {}

    def __call__(self, export: ExportGraph, precision: str = "fp32") -> bytes:
        """See to_onnx; of int8 the float32 graph that is quantised."""
        weights = "fp32" if precision == "int8" else precision
        key = export.graph.name, weights
        if key not in self._done:
            self._done[key] = to_onnx(export, self.sizes, weights)
        return self._done[key]


def _in_int8(name: str, model: bytes, feeds: Feeds, options: Options) -> bytes:
    flavour: Flavour = "tensorrt" if options.target in ENGINES else "cpu"
    return quantize_calibrated(name, model, feeds[name], flavour) if name in feeds else quantize(name, model)


def _feeds(source: Checkpoint, options: Options, onnx_of: Exporter, progress: Progress) -> Feeds:
    """What the exact graphs are given over the recordings: of those that are to be calibrated."""
    assert options.calibrate
    known = [export.graph.name for export in source.graphs if export.graph.name in CALIBRATED]
    chosen = known if options.target in ENGINES else options.static or STATIC
    for name in chosen:
        if name not in known:
            raise UsageError(f"--static {name}: nothing to calibrate", why=f"there are {', '.join(known)}")
    exact: Files = {}
    for export in source.graphs:
        content = onnx_of(export)
        exact[export.graph.name] = describe(export, onnx_of.sizes, "fp32", content), content
    graphs = {name: graph for name, (graph, _) in exact.items()}
    contents = {graph.file: content for graph, content in exact.values()}
    feeds = record_feeds(source, graphs, contents, options.calibrate, progress=progress)
    return {name: feeds[name] for name in chosen}


@contextlib.contextmanager
def _one_thread() -> Iterator[None]:
    """Torch's steps here are too small to share: on a busy machine its threads wait for one another."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def write_engine(
    export: ExportGraph, graph: GraphFile, model: bytes, options: Options
) -> tuple[GraphFile, bytes]:
    """The engine of a graph, from its ONNX file: what the manifest says of it, and its bytes."""
    name, library = export.graph.name, ENGINES[options.target]
    dims = dict(export.dims)
    if "batch" in dims:
        dims["batch"] = Extent(1, options.batch, min(dims["batch"].example, options.batch))
    if library == "tensorrt" and graph.precision != "int8" and has_torch_tensorrt():
        plan, build = build_from_torch(export, graph, dims)
    else:
        plan, build = build_engine(name, model, graph.sha256, dims, options.capabilities, library)
    engine = msgspec.structs.replace(
        graph,
        file=f"{name}.engine",
        sha256=hashlib.sha256(plan).hexdigest(),
        backend=library,
        opset=None,
        build=build,
    )
    return engine, plan


def describe(
    export: ExportGraph, sizes: Mapping[str, int], precision: str, content: bytes, is_repository: bool = False
) -> GraphFile:
    """What the manifest says of a graph's ONNX file. is_repository: it lies as Triton wants it."""
    graph = fix_sizes(export.graph, sizes)
    return GraphFile(
        file=paths(graph.name)[1] if is_repository else f"{graph.name}.onnx",
        sha256=hashlib.sha256(content).hexdigest(),
        inputs=graph.inputs,
        outputs=graph.outputs,
        state=graph.state,
        precision=cast(Precision, precision),
        backend="onnx",
        opset=opset_for(precision),
    )


def describe_bundle(
    source: Checkpoint,
    graphs: dict[str, GraphFile],
    engines: dict[str, GraphFile],
    parity: dict[str, dict[str, float]],
    files: Mapping[str, bytes],
) -> Manifest:
    """The manifest: the checkpoint's own words, the graphs, and the proof."""
    about = source.about
    origin = {
        "checkpoint": source.sha256,
        "sources": ", ".join(about.sources),
        "licences": ", ".join(about.licences),
        "clips": str(about.clips) if about.clips else "",
        "commit": about.commit,
    }
    return Manifest(
        format=FORMAT,
        name=about.name,
        version=about.version,
        created=source.created,
        licence=about.licence,
        audio=audio_contract(source.mels),
        labels=source.labels,
        window=source.window,
        graphs=graphs,
        engines=engines,
        thresholds=about.thresholds,
        files={name: hashlib.sha256(content).hexdigest() for name, content in files.items()},
        parity=parity,
        training={key: value for key, value in origin.items() if value},
    )
