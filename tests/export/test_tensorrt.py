"""Engines of TensorRT-RTX, built and checked without a GPU; of TensorRT, as far as a CPU allows."""

import ctypes.util
import sys
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from edgecap.export.checkpoint import Checkpoint
from edgecap.export.export import describe_bundle, export_bundle, write_engine
from edgecap.export.options import Options
from edgecap.export.pack import pack
from edgecap.export.to_torch_tensorrt import export_program, load_torch_tensorrt, shapes
from edgecap.runtime.errors import BundleError, UnavailableError, UsageError
from edgecap.runtime.model.bundle import Bundle
from edgecap.runtime.model.manifest import Tensor
from edgecap.runtime.session import SPEAKING

GRAPHS = ("encoder", *SPEAKING)


@pytest.mark.parametrize("name", GRAPHS)
def test_an_engine_is_built_for_two_capabilities(
    name: str, tiny_bundle: Path, tiny_source: Checkpoint
) -> None:
    """No GPU is needed to build; whether it runs is for a machine that has one."""
    pytest.importorskip("tensorrt_rtx", reason="the extra tensorrt is not installed")
    bundle = Bundle.open(tiny_bundle)
    export = next(export for export in tiny_source.graphs if export.graph.name == name)
    options = Options(target="tensorrt-rtx", capabilities=("8.6", "12.0"))
    graph = bundle.manifest.graphs[name]
    engine, plan = write_engine(export, graph, bundle.read(f"{name}.onnx"), options)
    assert plan[:4] == b"vtrt"
    assert int.from_bytes(plan[16:24], "little") <= len(plan)
    assert (engine.inputs, engine.outputs, engine.state) == (graph.inputs, graph.outputs, graph.state)
    assert engine.build is not None
    assert engine.build.source == graph.sha256
    assert engine.build.capabilities == ("8.6", "12.0")
    expected = {"encoder": {}, "decoder_step": {"beam": (1, 3, 16), "n": (1, 12, 16)}}
    assert engine.build.profiles == expected.get(name, {"n": (1, 12, 16)})


@pytest.mark.parametrize("name", GRAPHS)
def test_the_networks_that_tensorrt_reads_are_the_declared_ones(name: str, tiny_bundle: Path) -> None:
    trt = pytest.importorskip("tensorrt_rtx", reason="the extra tensorrt is not installed")
    graph = Bundle.open(tiny_bundle).manifest.graphs[name]
    log = trt.Logger(trt.Logger.ERROR)
    network = trt.Builder(log).create_network(0)
    assert trt.OnnxParser(network, log).parse((tiny_bundle / f"{name}.onnx").read_bytes())

    def shapes(count: int, tensor: Callable[[int], object]) -> dict[str, list[int]]:
        return {tensor(i).name: list(tensor(i).shape) for i in range(count)}  # type: ignore[attr-defined]  # no types

    def declared(ports: tuple[Tensor, ...], prefix: str = "") -> dict[str, list[int]]:
        return {prefix + p.name: [d if isinstance(d, int) else -1 for d in p.shape] for p in ports}

    assert shapes(network.num_inputs, network.get_input) == declared(graph.inputs) | declared(graph.state)
    outputs = declared(graph.outputs) | declared(graph.state, "new_")
    assert shapes(network.num_outputs, network.get_output) == outputs
    assert network.num_layers > 5


def test_a_bundle_with_engines_opens_and_round_trips(
    tiny_bundle: Path, tiny_source: Checkpoint, tmp_path: Path
) -> None:
    pytest.importorskip("tensorrt_rtx", reason="the extra tensorrt is not installed")
    bundle = Bundle.open(tiny_bundle)
    graphs = bundle.manifest.graphs
    options = Options(target="tensorrt-rtx", batch=64)
    engine, plan = write_engine(
        tiny_source.graphs[2], graphs["decoder_prefill"], bundle.read("decoder_prefill.onnx"), options
    )
    manifest = describe_bundle(tiny_source, graphs, {"decoder_prefill": engine}, {}, tiny_source.files)
    files = {file.name: file.read_bytes() for file in tiny_bundle.iterdir()}
    pack(files | {"manifest.json": msgspec.json.encode(manifest), engine.file: plan}, tmp_path / "rtx")
    assert Bundle.open(tmp_path / "rtx").manifest == manifest
    spoilt = tmp_path / "rtx" / engine.file
    spoilt.write_bytes(spoilt.read_bytes()[:-1])
    with pytest.raises(BundleError, match=r"decoder_prefill.engine does not match the manifest's sha256"):
        Bundle.open(tmp_path / "rtx")


def test_gpus_that_the_library_does_not_know_are_refused(tiny_checkpoint: Path, tmp_path: Path) -> None:
    pytest.importorskip("tensorrt_rtx", reason="the extra tensorrt is not installed")
    for capabilities, reason in {
        ("9.0",): r"no --compute-capability '9.0' in TensorRT-RTX: there are 7.5, 8.0, 8.6",
        ("8.6", "7.5"): r"--compute-capability 7.5 has no fp32 engines. Add --precision fp16",
    }.items():
        with pytest.raises(UsageError, match=reason):
            export_bundle(
                tiny_checkpoint, tmp_path / "out", Options(target="tensorrt-rtx", capabilities=capabilities)
            )


def test_without_the_library_the_target_is_unavailable(
    tiny_checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "tensorrt_rtx", None)
    with pytest.raises(UnavailableError, match=r"TensorRT-RTX is not available: .*pip install") as refused:
        export_bundle(tiny_checkpoint, tmp_path / "out", Options(target="tensorrt-rtx"))
    assert refused.value.code == 69


# --- TensorRT itself: not run, for want of a GPU; what comes before it is ---------------------------


@pytest.mark.skipif(ctypes.util.find_library("cuda") is not None, reason="an NVIDIA driver is installed here")
def test_tensorrt_without_a_gpu_is_unavailable(
    tiny_checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted = Options(target="tensorrt")
    monkeypatch.setitem(sys.modules, "tensorrt", None)
    with pytest.raises(UnavailableError, match=r"TensorRT is not available: .*pip install tensorrt"):
        export_bundle(tiny_checkpoint, tmp_path / "out", wanted)
    rtx = pytest.importorskip("tensorrt_rtx", reason="the extra tensorrt is not installed")
    monkeypatch.setitem(sys.modules, "tensorrt", rtx)  # the library is there, the GPU is not
    with pytest.raises(UnavailableError, match=r"there is no NVIDIA driver"):
        export_bundle(tiny_checkpoint, tmp_path / "out", wanted)
    monkeypatch.setitem(sys.modules, "torch_tensorrt", None)
    with pytest.raises(UnavailableError, match=r"torch-tensorrt is not available: .*or mend it") as refused:
        load_torch_tensorrt()
    assert refused.value.code == 69


def test_the_program_that_torch_tensorrt_is_given_computes_the_graph(
    tiny_source: Checkpoint, tiny_bundle: Path
) -> None:
    """torch.export's half of the road: names in order, and every length within the profile."""
    export = tiny_source.graphs[3]
    graph = Bundle.open(tiny_bundle).manifest.graphs["decoder_step"]
    program = export_program(export, graph, export.dims)
    sizes = {"beam": 5, "n": 7, "batch": 1}
    arguments = export.example(sizes, seed=1)
    for expected, found in zip(export.module(*arguments), program.module()(*arguments), strict=True):
        assert abs(expected - found).max() < 1e-5
    least, usual, most = shapes(export, graph, export.dims)[2]  # of cross_keys
    assert (least[3], usual[3], most[3]) == (1, 12, 16)
