"""The bundle that ships: whole, proven when it was made, and the same bytes again from its checkpoint."""

import hashlib
import os
from pathlib import Path

import msgspec
import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from edgecap.export.export import export_bundle
from edgecap.export.options import Options
from edgecap.export.parity import TOLERANCES
from edgecap.export.to_tensorrt import build_engine
from edgecap.runtime.model.bundle import Bundle
from edgecap.runtime.model.engine import Engine
from edgecap.runtime.model.manifest import GraphFile
from edgecap.runtime.session import SPEAKING
from edgecap.training.models.graph import Extent

ROOT = Path(__file__).parents[2]
CHECKPOINT = Path(os.environ.get("EDGECAP_CHECKPOINT", ROOT / "runs" / "room-small" / "model"))
"""65 MB, so not in the repository: `make model` leaves it there."""


@pytest.fixture(scope="module")
def shipped() -> Bundle:
    return Bundle.open("room-small")


@pytest.mark.parametrize("name", ["encoder", *SPEAKING])
def test_every_shipped_graph_was_proven(shipped: Bundle, name: str) -> None:
    """The manifest's own figures, against the tolerance of the graph's precision."""
    graph = shipped.manifest.graphs[name]
    onnx.checker.check_model(onnx.load_model_from_string(shipped.read(graph.file)))
    tolerance = TOLERANCES[graph.precision]
    figures = {key: values for key, values in shipped.manifest.parity.items() if key.startswith(f"{name}.")}
    outputs = {f"{name}.{port.name}" for port in (*graph.outputs, *graph.state)}
    assert outputs <= figures.keys()
    assert all(values["cosine"] >= tolerance.cosine for values in figures.values())
    assert shipped.manifest.parity["stream"]["seconds"] > 590


def in_float32(content: bytes) -> bytes:
    """The same graph with each dynamic int8 product in float32 again, its weights as they were rounded."""
    model = onnx.load_model_from_string(content)
    graph = model.graph
    constants = {weight.name: numpy_helper.to_array(weight) for weight in graph.initializer}
    makers = {output: node for node in graph.node for output in node.output}
    readers = {name: node for node in graph.node for name in node.input}  # of these values, one each
    replaced: dict[str, onnx.NodeProto] = {}
    for product in [node for node in graph.node if node.op_type == "MatMulInteger"]:
        quantised, weight, _ = product.input  # symmetric weights have no zero point (export/lean.py)
        cast = readers[product.output[0]]
        scaled = readers[cast.output[0]]
        (scales,) = set(scaled.input) - set(cast.output)
        (scale,) = [name for name in makers[scales].input if name in constants]
        values = constants[weight].astype(np.float32) * constants[scale]
        graph.initializer.append(numpy_helper.from_array(values, f"{weight}.float32"))
        source = makers[quantised].input[0]
        replaced[scaled.output[0]] = onnx.helper.make_node(
            "MatMul", [source, f"{weight}.float32"], [scaled.output[0]], name=product.name
        )
    nodes = [replaced.get(node.output[0], node) for node in graph.node]
    wanted, kept = {port.name for port in graph.output}, []
    for node in reversed(nodes):  # what only the int8 products read goes with them
        if wanted & set(node.output):
            kept.append(node)
            wanted.update(node.input)
    del graph.node[:]
    graph.node.extend(reversed(kept))
    for unused in [weight for weight in graph.initializer if weight.name not in wanted]:
        graph.initializer.remove(unused)
    onnx.checker.check_model(model, full_check=True)
    return bytes(model.SerializeToString())


def drawn(graph: GraphFile, rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Inputs: decibels, embeddings, or the first word."""
    sizes = {"n": 9, "beam": 2}
    values = {}
    for port in graph.inputs:
        shape = [sizes[size] if isinstance(size, str) else size for size in port.shape]
        low, high = (-80, -30) if port.name == "log_mel" else (-1, 1)
        values[port.name] = rng.uniform(low, high, shape).astype(np.float32)
        if port.dtype == "int64":
            values[port.name] = np.zeros(shape, np.int64)
    return values


@pytest.mark.parametrize("name", ["encoder", *SPEAKING])
def test_the_shipped_model_in_float32_is_itself_and_becomes_engines(shipped: Bundle, name: str) -> None:
    """Its checkpoint is too large for the repository, so its float32 graphs are made of what ships."""
    graph = shipped.manifest.graphs[name]
    content = in_float32(shipped.read(graph.file))
    exact = Engine(name, content, msgspec.structs.replace(graph, precision="fp32"))
    int8 = Engine(name, shipped.graph(name), graph)
    rng = np.random.default_rng(0)
    state, own_state = exact.initial_state(beam=2), int8.initial_state(beam=2)
    for _ in range(40 if name == "encoder" else 1):
        inputs = drawn(graph, rng)
        outputs, state = exact.step(inputs, state)
        rounded, own_state = int8.step(inputs, own_state)
        for output, value in outputs.items():
            a, b = value.ravel().astype(np.float64), rounded[output].ravel().astype(np.float64)
            assert a @ b > 0.99 * np.sqrt((a @ a) * (b @ b)), output
    pytest.importorskip("tensorrt_rtx", reason="the extra tensorrt is not installed")
    window = shipped.manifest.window
    dims = {"n": Extent(1, window, min(12, window)), "beam": Extent(1, 16, 3)}
    plan, build = build_engine(name, content, "0" * 64, dims, ("8.6", "12.0"))
    assert plan[:4] == b"vtrt"
    assert build.capabilities == ("8.6", "12.0")


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("target", ["onnx-int8", "onnx", "tensorrt-rtx"])
def test_the_shipped_checkpoint_exports(shipped: Bundle, target: str, tmp_path: Path) -> None:
    """For the target that ships, to the very bytes that ship."""
    weights = CHECKPOINT / "model.safetensors"
    if not weights.is_file():
        pytest.skip(f"there is no {weights}: run make model, or name it in EDGECAP_CHECKPOINT")
    if hashlib.sha256(weights.read_bytes()).hexdigest() != shipped.manifest.training["checkpoint"]:
        pytest.skip(f"{weights} is another one than what ships was made from")
    if target == "tensorrt-rtx":
        pytest.importorskip("tensorrt_rtx", reason="the extra tensorrt is not installed")
    gpus = ("8.6", "12.0") if target == "tensorrt-rtx" else ()
    manifest = export_bundle(
        CHECKPOINT, tmp_path / "again", Options(target=target, capabilities=gpus, minutes=1)
    )
    if target == "onnx-int8":
        again = {name: graph.sha256 for name, graph in manifest.graphs.items()}
        assert again == {name: graph.sha256 for name, graph in shipped.manifest.graphs.items()}
    if target == "tensorrt-rtx":
        assert manifest.engines.keys() == {"encoder", *SPEAKING}
        assert {graph.build.capabilities for graph in manifest.engines.values() if graph.build} == {gpus}
