"""Fewer bits: fp16 and bf16 behind float32, int8 with ranges measured on the carried stream."""

from pathlib import Path

import numpy as np
import onnx
import pytest

from edgecap.export.calibrate import Feeds, record_feeds
from edgecap.export.checkpoint import Checkpoint, read_checkpoint
from edgecap.export.export import describe
from edgecap.export.parity import TOLERANCES, Pair, check_parity
from edgecap.export.quantize import quantize_calibrated
from edgecap.export.to_onnx import to_onnx
from edgecap.export.to_tensorrt import build_engine
from edgecap.runtime.model.bundle import Bundle
from edgecap.runtime.session import SPEAKING

CLIPS = Path(__file__).parents[1] / "data"


@pytest.mark.parametrize("precision", ["fp16", "bf16"])
def test_fewer_bits_behind_float32(tiny_source: Checkpoint, precision: str) -> None:
    """The encoder: convolutions too, and a state that stays float32. TensorRT-RTX takes it as it is."""
    export = tiny_source.graphs[0]
    content = to_onnx(export, {"batch": 1}, precision)
    model = onnx.load_model_from_string(content)
    assert {port.type.tensor_type.elem_type for port in model.graph.input} == {onnx.TensorProto.FLOAT}
    pair = Pair(export, describe(export, {"batch": 1}, precision, content), content)
    rng = np.random.default_rng(0)
    for _ in range(3):
        pair.step({"log_mel": rng.uniform(-90, 0, (1, 32, 32)).astype(np.float32)})
    for difference in pair.differences.values():
        assert difference.largest > 1e-6
        assert difference.figures()["cosine"] > TOLERANCES[precision].cosine
    pytest.importorskip("tensorrt_rtx", reason="the extra tensorrt is not installed")
    plan, build = build_engine("encoder", content, "0" * 64, {}, ("8.6", "12.0"))
    assert plan[:4] == b"vtrt"
    assert build.capabilities == ("8.6", "12.0")


@pytest.fixture(scope="module")
def feeds(tiny_source: Checkpoint, tiny_bundle: Path) -> Feeds:
    graphs = Bundle.open(tiny_bundle).manifest.graphs
    contents = {graph.file: (tiny_bundle / graph.file).read_bytes() for graph in graphs.values()}
    return record_feeds(tiny_source, graphs, contents, CLIPS, minutes=0.3)


def test_calibration_hears_the_carried_state(feeds: Feeds) -> None:
    assert feeds.keys() == {"encoder", *SPEAKING}
    first, *later = feeds["encoder"]
    assert not first["s0_b0"].any()
    assert all(feed["s0_b0"].any() for feed in later)
    assert len(later) > 40
    assert len({feed["embeddings"].shape[1] for feed in feeds["adapter"]}) > 1  # segments of several lengths
    assert any(feed["keys"].any() for feed in feeds["decoder_step"])


@pytest.mark.parametrize("name", ["encoder", "decoder_step"])
def test_calibrated_int8_is_close_to_torch(
    name: str, feeds: Feeds, tiny_source: Checkpoint, tiny_bundle: Path
) -> None:
    """One graph with static ranges among exact ones, as `--static` makes them."""
    bundle = Bundle.open(tiny_bundle)
    content = quantize_calibrated(name, bundle.read(f"{name}.onnx"), feeds[name], "cpu")
    assert content == quantize_calibrated(name, bundle.read(f"{name}.onnx"), feeds[name], "cpu")
    export = next(export for export in tiny_source.graphs if export.graph.name == name)
    graphs = bundle.manifest.graphs | {name: describe(export, {"batch": 1}, "int8", content)}
    contents = {graph.file: bundle.read(graph.file) for graph in bundle.manifest.graphs.values()}
    figures = check_parity(tiny_source, graphs, contents | {f"{name}.onnx": content}, minutes=0.1)
    output = "embedding" if name == "encoder" else "log_probs"
    assert 0.99 < figures[f"{name}.{output}"]["cosine"] < 0.9999999
    kinds = {node.op_type for node in onnx.load_model_from_string(content).graph.node}
    assert {"QuantizeLinear", "DequantizeLinear"} <= kinds


def test_tensorrt_takes_its_own_flavour_of_int8(feeds: Feeds, tiny_bundle: Path) -> None:
    pytest.importorskip("tensorrt_rtx", reason="the extra tensorrt is not installed")
    content = (tiny_bundle / "encoder.onnx").read_bytes()
    model = quantize_calibrated("encoder", content, feeds["encoder"], "tensorrt")
    plan, build = build_engine("encoder", model, "0" * 64, {}, ("8.6", "12.0"))
    assert plan[:4] == b"vtrt"
    assert build.capabilities == ("8.6", "12.0")


def test_the_window_is_the_streams_last_seconds(tiny_checkpoint: Path, tiny_bundle: Path) -> None:
    """`--windowed`: one graph more, whose last embedding is the stream's, begun 31 hops ago."""
    source = read_checkpoint(tiny_checkpoint, windowed=True)
    export = source.graphs[-1]
    assert export.graph.name == "encoder_window"
    content = to_onnx(export, {"batch": 1})
    bundle = Bundle.open(tiny_bundle)
    graph = describe(export, {"batch": 1}, "fp32", content)
    graphs = bundle.manifest.graphs | {"encoder_window": graph}
    contents = {known.file: bundle.read(known.file) for known in bundle.manifest.graphs.values()}
    figures = check_parity(source, graphs, contents | {graph.file: content}, minutes=0.1)
    assert figures["encoder_window.embeddings"]["max_error"] < 1e-4
    window = Pair(export, graph, content)
    log_mel = np.random.default_rng(0).uniform(-90, 0, (1, 31 * 32, 32)).astype(np.float32)
    whole, _ = window.step({"log_mel": log_mel})
    stream = Pair(source.graphs[0], bundle.manifest.graphs["encoder"], bundle.read("encoder.onnx"))
    for hop in range(31):
        _, found = stream.step({"log_mel": log_mel[:, 32 * hop : 32 * (hop + 1)]})
        np.testing.assert_allclose(found["embedding"], whole["embeddings"][:, hop], atol=1e-4)
